"""Opting in, in two steps: a request that a visitor typed, and the press of a button by whoever reads that mailbox.

    ask(form, ...)        store the request: the only trace of a person who has not confirmed
    handle(at)            post the message with the button, once a day at most for an address
    confirm(pending, ...) make the profile and the subscription, and note what the person was told
    purge(at)             forget the requests that nobody confirmed

Confirming proves that the address is the person's. Only then is anything lifted: the opt-out kept for this very
service, an entry of the address that the person had asked for, and, when they tick its box, the opt-out of the channel.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.translation import override

from profiles import consent, outbox
from profiles.blacklist import FLAGS
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import ErasedOptOut, OutboxMessage
from profiles.outbox import Link
from profiles.tokens import Purpose

from . import counting, met_twins, wording
from .lifting import lift_channels, write_again
from .models import Counted, Kind, LandingPage, PendingOptIn
from .notices import Reader, subscribed_before, tell_joined
from .reconciliation import oldest, oldest_or_new
from .requests import OF_A_PAGE, each_unhandled, evidence_of, words_of

VIEW = "landing:confirm"
MESSAGE_EVERY = timedelta(days=1)  # at most, to one address


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """From where somebody acts on a page, and in which language they read it."""

    ip: str
    user_agent: str
    language: str


def validity() -> timedelta:
    """Return for how long a request can be confirmed."""
    return timedelta(hours=settings.CONFIRMATION_HOURS)


def handle(at: datetime) -> int:
    """Act on the opt-in requests that nobody has acted on yet; return on how many."""
    return each_unhandled(PendingOptIn.objects.select_related(*OF_A_PAGE), _handle, at=at)


def purge(at: datetime) -> int:
    """Forget the requests whose time is over, confirmed or not, with their messages: the ledger has what was confirmed.

    Not within a day: the row of a message is also what keeps a second one of the same day from being sent.
    """
    over = PendingOptIn.objects.filter(expires_at__lte=at, created_at__lte=at - MESSAGE_EVERY)
    with transaction.atomic():
        OutboxMessage.objects.filter(link_view=VIEW, link_subject__in=over.values("pk")).delete()
        return over.delete()[0]


def stays_off(pending: PendingOptIn) -> bool:
    """Say whether the person would stay opted out of the channel after confirming, unless they tick the box.

    Only for whoever has the link that was mailed to them.
    """
    return pending.version.page.kind == Kind.SUBSCRIPTION and _is_off(pending)


def is_offered(page: LandingPage) -> bool:
    """Say, from the database, whether everybody may still subscribe to what a page is about."""
    return LandingPage.objects.filter(LandingPage.objects.offered_q(), pk=page.pk).exists()


def _is_off(pending: PendingOptIn) -> bool:
    channel, found = Channel(pending.version.page.channel), oldest(bytes(pending.digest))
    if found is not None:
        return bool(found.blacklisted or getattr(found, FLAGS[channel]))
    kept = Q(channel__in=[ErasedOptOut.EVERY, channel], service_id=ErasedOptOut.EVERY)
    return ErasedOptOut.objects.filter(kept, digest=pending.digest).exists()


def confirm(pending: PendingOptIn, *, visit: Visit, lift: bool, at: datetime) -> bool:
    """Do what a request asked for, once; return False when it is over, was confirmed before, or no longer offered."""
    with transaction.atomic():
        if not is_offered(pending.version.page):
            return False
        waiting = PendingOptIn.objects.filter(pk=pending.pk, confirmed_at=None, expires_at__gt=at)
        if not waiting.update(confirmed_at=at, lift_channel=lift):
            return False
        evidence = evidence_of(pending, ip=visit.ip, user_agent=visit.user_agent)
        page, digest = pending.version.page, bytes(pending.digest)
        quiet = stays_off(pending) and not lift
        if page.kind == Kind.SUBSCRIPTION and page.service:
            consent.forget_kept_opt_out(digest, service=page.service, evidence=evidence, at=at)
        profile = _opt_in(pending, evidence, at, quiet=quiet)
        channel = Channel(page.channel)
        if page.kind == Kind.OPT_IN:
            lift_channels(profile, [channel], digest=digest, evidence=evidence, at=at)
        elif lift:
            told = _told_of_the_box(evidence, page, visit)
            lift_channels(profile, [channel], digest=digest, evidence=told, at=at)
        write_again(channel, digest, evidence=evidence, at=at)
        counting.add(Counted.CONFIRM, page.pk, at=at)
    return True


def _handle(pending: PendingOptIn, *, at: datetime) -> None:
    """Post the message to confirm; where none is asked for, do at once what was asked, and lift nothing."""
    counting.add(Counted.SUBMIT, pending.version.page_id, at=pending.created_at)
    if pending.expires_at <= at or pending.confirmed_at or not is_offered(pending.version.page):
        return
    version, digest = pending.version, bytes(pending.digest)
    if not version.double_opt_in:
        _opt_in(pending, evidence_of(pending), at, quiet=_is_off(pending))
        return
    outbox.post(
        "confirm_opt_in", address=pending.address, digest=digest, brand=version.page.brand,
        service=version.page.service, language=pending.language, at=at, requested=True,
        link=Link(view=VIEW, purpose=Purpose.CONFIRM_OPT_IN, subject=pending.pk),
        dedupe=f"confirm:{digest.hex()}:{at:%Y%m%d}",
    )  # fmt: skip


def _opt_in(pending: PendingOptIn, evidence: Evidence, at: datetime, *, quiet: bool) -> int:
    """Make or find the profile, subscribe it, note its agreement; return its id.

    `quiet` is for those who stay opted out of the channel: they were told that nothing is sent to them.
    """
    page, digest, language = pending.version.page, bytes(pending.digest), pending.language
    profile = oldest_or_new(Channel(page.channel), pending.address, answers=pending.answers, language=language, at=at)
    met_twins.note(page, profile, digest, at=at)
    agreement = words_of(pending.version, language).agreement
    if pending.agreed and agreement:
        consent.agree(profile, consent.cite(agreement, language), evidence=evidence, at=at)
    service, first = page.service if page.kind == Kind.SUBSCRIPTION else None, False
    if service is not None:
        if _left_for_good(digest, service.pk):
            return profile
        first = not subscribed_before(profile, service)
        first = bool(consent.subscribe([profile], service, evidence=evidence, at=at)) and first
    if not quiet:
        reader = Reader(profile=profile, address=pending.address, digest=digest, language=language)
        tell_joined(pending.version, reader, first=first, at=at)
    return profile


def _left_for_good(digest: bytes, service: int) -> bool:
    """Say whether an opt-out from the service is kept for the address: what nobody has confirmed does not lift it."""
    return ErasedOptOut.objects.filter(digest=digest, service_id=service).exists()


def _told_of_the_box(evidence: Evidence, page: LandingPage, visit: Visit) -> Evidence:
    with override(visit.language):
        box = wording.lift(Channel(page.channel), page.brand.name)
    return replace(evidence, wording_id=consent.cite(box, visit.language).pk, language=visit.language)
