"""Who has an address, and what is known of it: shown on the pages of addresses, and beside those of people."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from profiles.admin import hooks
from profiles.models import Address, Profile
from quarantine.escalation import Target
from quarantine.models import QuarantinedAddress

PROFILES_SHOWN = 50


def holders(targets: Sequence[Target]) -> list[Profile]:
    """Return the profiles that have one of these addresses, at most fifty."""
    condition = Q()
    for target in targets:
        condition |= Q(channel=target.channel, digest=target.digest)
    if not condition:
        return []
    held = Address.objects.filter(condition).values("profile")
    return list(Profile.objects.filter(pk__in=held).order_by("pk")[:PROFILES_SHOWN])


def entry_of(target: Target) -> QuarantinedAddress | None:
    """Return what is known of an address."""
    return QuarantinedAddress.objects.filter(channel=target.channel, digest=target.digest, scope="").first()


def address_states(rows: Sequence[Address]) -> Mapping[int, SafeString]:
    """Say of each address left out: why, since when, until when. One query."""
    digests = {bytes(row.digest) for row in rows}
    entries = QuarantinedAddress.objects.blocking(timezone.now()).filter(
        channel__in={row.channel for row in rows}, digest__in=digests
    )
    by_digest = {(entry.channel, bytes(entry.digest)): entry for entry in entries}
    found = {row.pk: by_digest.get((row.channel, bytes(row.digest))) for row in rows}
    return {pk: _state(entry) for pk, entry in found.items() if entry}


def _state(entry: QuarantinedAddress) -> SafeString:
    words = {"cause": entry.get_cause_display(), "since": _day(entry.quarantined_at), "until": _day(entry.release_at)}
    told = (
        _("Left out since %(since)s, until %(until)s: %(cause)s")
        if entry.release_at
        else _("Left out since %(since)s: %(cause)s")
    )
    url = reverse("admin:quarantine_quarantinedaddress_change", args=[entry.pk])
    return format_html('<a class="c-link c-bad" href="{}">{}</a>', url, told % words)


def _day(moment: Any) -> str:
    return date_format(timezone.localtime(moment), "DATE_FORMAT") if moment else ""


hooks.address_states.append(address_states)
