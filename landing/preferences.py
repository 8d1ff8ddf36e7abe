"""Links to the page on which somebody chooses what they receive: asked for by anybody, mailed to the owner only.

    handle(at)                 mail the link to whoever has the address, a few times a day at most
    is_open(request, at)       say whether the link of a request still opens
    purge(at)                  forget the requests of the day before

Where nobody has the address, nothing is sent, and the answer on the page is the same.
"""

from datetime import datetime, timedelta

from django.db import transaction

from profiles import outbox
from profiles.channels import Channel
from profiles.models import Address, OutboxMessage
from profiles.outbox import Link
from profiles.sql import lock_digests
from profiles.tokens import Purpose
from quarantine.models import Cause, QuarantinedAddress

from .models import PreferencesRequest
from .requests import each_unhandled

VIEW = "landing:preferences"
LASTS = timedelta(hours=1)
KEPT = timedelta(days=1)
A_DAY = 3
# To an address that its owner had asked us not to use: what they have just asked for may reach it, and no more.
A_DAY_UNUSED = 1


def handle(at: datetime) -> int:
    """Act on the requests for a link that nobody has acted on yet; return on how many."""
    return each_unhandled(PreferencesRequest.objects.select_related("brand"), _mail, at=at)


def is_open(request: PreferencesRequest, at: datetime) -> bool:
    """Say whether the link of a request shows and changes anything: for an hour after it was mailed."""
    return request.expires_at is not None and at < request.expires_at


def purge(at: datetime) -> int:
    """Forget the requests that were handled a day ago, with their messages; the ledger has what their links did."""
    over = PreferencesRequest.objects.filter(handled_at__lte=at - KEPT)
    with transaction.atomic():
        OutboxMessage.objects.filter(link_view=VIEW, link_subject__in=over.values("pk")).delete()
        return over.delete()[0]


def _mail(request: PreferencesRequest, *, at: datetime) -> None:
    """Post the message with the link to the address as its owner gave it to us, and not as a visitor typed it."""
    digest = bytes(request.digest)
    held = Address.objects.filter(channel=Channel.EMAIL, digest=digest).order_by("profile").first()
    if held is None or request.channel != Channel.EMAIL:
        return
    lock_digests([digest])  # two workers count one after the other
    dedupe = f"preferences:{digest.hex()}:{at:%Y%m%d%H}"
    if OutboxMessage.objects.filter(dedupe=dedupe).exists() or not _has_room(digest, at):
        return
    posted = outbox.post(
        "preferences_link", address=held.value, digest=digest, brand=request.brand, language=request.language, at=at,
        requested=True, link=Link(view=VIEW, purpose=Purpose.PREFERENCES, subject=request.pk), dedupe=dedupe,
    )  # fmt: skip
    if posted:
        PreferencesRequest.objects.filter(pk=request.pk).update(expires_at=at + LASTS)


def _has_room(digest: bytes, at: datetime) -> bool:
    """Say whether an address may get one more link today. Rows are kept for a day, so they can be counted."""
    unused = QuarantinedAddress.objects.blocking(at).filter(channel=Channel.EMAIL, digest=digest, cause=Cause.PERSON)
    mailed = PreferencesRequest.objects.filter(digest=digest, expires_at__gt=at + LASTS - KEPT)
    return mailed.count() < (A_DAY_UNUSED if unused.exists() else A_DAY)
