"""What is known of a person besides their verdicts: the state of each address, opt-outs, subscriptions then and now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from profiles import twins
from profiles.models import Act, Address, ConsentEvent, Profile, Service, Source, Subscription
from quarantine.models import QuarantinedAddress, Status

from .timeline import entries_of

EVENTS_READ = 200
PAST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class ShownAddress:
    """An address and what is done about it: the state, its tone, and the particulars, each in a few words."""

    address: Address
    state: str
    tone: str
    particulars: Sequence[str]
    entry: int | None


@dataclass(frozen=True, slots=True)
class ShownSubscription:
    """A subscription that runs, or that has ended (`until` then says when, and `how` in which way)."""

    service: str
    since: datetime | None
    until: datetime | None
    source: str
    how: str = ""
    event: int | None = None


def addresses(profile: Profile, *, at: datetime) -> list[ShownAddress]:
    """Return the addresses of a person with what is known of each. Two queries."""
    held = list(profile.addresses.order_by("channel", "position"))
    known = {(entry.channel, bytes(entry.digest)): entry for entry in entries_of(held) if not entry.scope}
    return [_address(address, known.get((address.channel, bytes(address.digest))), at) for address in held]


def opted_out_of(profile: Profile) -> list[str]:
    """Return the labels of the opt-outs that hold, such as "by email"."""
    return twins.opted_out_of(profile)


def subscriptions(profile: int, *, at: datetime) -> tuple[list[ShownSubscription], list[ShownSubscription]]:
    """Return the subscriptions that run, and the latest that have ended. Three queries."""
    rows = list(Subscription.objects.filter(profile=profile).select_related("service").order_by("service__name"))
    running = [row for row in rows if row.expires_at is None or row.expires_at > at]
    now = [ShownSubscription(str(r.service), r.created_at, r.expires_at, _from(r.source)) for r in running]
    expired = [
        ShownSubscription(str(r.service), r.created_at, r.expires_at, _from(r.source), str(Act.EXPIRE.label))
        for r in rows
        if r not in running
    ]
    return now, [*expired, *_ended(profile)][:PAST_SHOWN]


def _ended(profile: int) -> list[ShownSubscription]:
    """Return what the ledger says of subscriptions that have ended, the latest first."""
    acts = [Act.SUBSCRIBE, Act.UNSUBSCRIBE, Act.EXPIRE]
    events = list(ConsentEvent.objects.filter(profile_id=profile, act__in=acts).order_by("-pk")[:EVENTS_READ])
    services = Service.objects.in_bulk({event.service_id for event in events if event.service_id}) if events else {}
    begun: dict[int, datetime] = {}
    found = []
    for event in reversed(events):
        number = event.service_id or 0
        if event.act == Act.SUBSCRIBE:
            begun.setdefault(number, event.at)
            continue
        name = str(services.get(number, event.service_name))
        how, source = str(event.get_act_display()), _from(event.source)
        found.append(ShownSubscription(name, begun.pop(number, None), event.at, source, how, event.pk))
    return found[::-1]


def _from(source: str) -> str:
    return str(Source(source).label) if source in Source.values else source


def _address(address: Address, entry: QuarantinedAddress | None, at: datetime) -> ShownAddress:
    if entry is not None and entry.is_blocking(at):
        told = [str(entry.get_cause_display()), _("since %(since)s") % {"since": _day(entry.quarantined_at)}]
        told += [*_errors(entry), _release(entry)]
        return ShownAddress(
            address, str(entry.get_status_display()), "bad", [*told, *([entry.text] if entry.text else [])], entry.pk
        )
    if address.validity:
        return ShownAddress(address, str(address.get_validity_display()), "bad", [], entry.pk if entry else None)
    if entry is not None and entry.status in (Status.ERRONEOUS, Status.ALLOWLISTED):
        tone = "wait" if entry.status == Status.ERRONEOUS else "good"
        return ShownAddress(address, str(entry.get_status_display()), tone, _errors(entry), entry.pk)
    return ShownAddress(address, _("In use"), "good", [], entry.pk if entry else None)


def _errors(entry: QuarantinedAddress) -> list[str]:
    if not entry.errors:
        return []
    told = ngettext("%(n)d error noted", "%(n)d errors noted", entry.errors) % {"n": entry.errors}
    if entry.last_error_at is None:
        return [told]
    return [_("%(errors)s, the last on %(day)s") % {"errors": told, "day": _day(entry.last_error_at)}]


def _release(entry: QuarantinedAddress) -> str:
    if entry.release_at is None:
        return _("no date of release: for good")
    return _("next release on %(day)s") % {"day": _day(entry.release_at)}


def _day(moment: datetime | None) -> str:
    return date_format(timezone.localtime(moment), "DATE_FORMAT") if moment else ""
