"""Who is meant by an address: an opt-out touches every profile that has it, an opt-in the oldest one, or a new one."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from profiles import address_book, consent, custom_fields
from profiles.channels import Channel
from profiles.models import Address, Profile

from . import counting, questions
from .models import Counted, Kind, OptOutRequest
from .notices import tell_left
from .requests import OF_A_PAGE, each_unhandled, evidence_of

KEPT = timedelta(days=1)  # a request that has been handled, for as long as somebody may ask what became of it


def handle_opt_outs(at: datetime) -> int:
    """Act on the typed opt-outs that nobody has acted on yet; return how many."""
    return each_unhandled(OptOutRequest.objects.select_related(*OF_A_PAGE), _opt_out, at=at)


def purge_opt_outs(at: datetime) -> int:
    """Delete the typed opt-outs that were handled a day ago; the ledger has what they did."""
    return OptOutRequest.objects.filter(handled_at__lte=at - KEPT).delete()[0]


def oldest(digest: bytes) -> Profile | None:
    """Return the oldest profile that has an address."""
    return Profile.objects.having(digest).order_by("pk").first()


def oldest_or_new(channel: Channel, text: str, *, answers: Mapping[str, str], language: str, at: datetime) -> int:
    """Return the oldest profile that has an address, with its blanks filled in, or a new one with that address.

    An opt-out that was kept for the address applies to a new profile. Call it in a transaction.
    """
    given = {**questions.of_profile(answers), "language": language}
    attributes = custom_fields.as_declared(questions.attributes_of(answers))
    address = Address.make(channel, text)
    found = oldest(bytes(address.digest))
    if found is None:
        profile = Profile.objects.create(**given, attributes=attributes)
        _add_addresses(profile, answers, at, first=address)
        return int(profile.pk)
    profile = Profile.objects.select_for_update(no_key=True).get(pk=found.pk)
    _fill_in(profile, given, attributes)
    _add_addresses(profile, answers, at)
    return int(profile.pk)


def _fill_in(profile: Profile, given: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
    """Write what was answered where nothing was known."""
    blanks = {name: value for name, value in given.items() if value and not getattr(profile, name)}
    if unknown := {name: text for name, text in attributes.items() if profile.attributes.get(name) in (None, "")}:
        blanks["attributes"] = {**profile.attributes, **unknown}
    if blanks:
        for name, value in blanks.items():
            setattr(profile, name, value)
        profile.save(update_fields=[*blanks, "updated_at"])
        profile.refresh_search()


def _add_addresses(profile: Profile, answers: Mapping[str, str], at: datetime, *, first: Address | None = None) -> None:
    """Give a person the addresses that they wrote, on channels where they have none."""
    held = set(Address.objects.filter(profile=profile).values_list("channel", flat=True))
    saved = [first] if first else []
    held |= {address.channel for address in saved}
    saved += [
        Address.make(channel, text, country=profile.country)
        for channel, text in questions.addresses_of(answers).items()
        if channel not in held
    ]
    if saved:
        address_book.change(profile, saved=saved, at=at)


def _opt_out(request: OptOutRequest, *, at: datetime) -> None:
    """Opt out everybody who has the address: from the service of the page, or from everything."""
    page, digest = request.version.page, bytes(request.digest)
    counting.add(Counted.SUBMIT, page.pk, at=request.created_at)
    service = page.service if page.kind == Kind.UNSUBSCRIPTION else None
    with transaction.atomic():
        change = consent.opt_out_address(
            Channel(page.channel), digest, service=service, evidence=evidence_of(request), at=at
        )
        tell_left(request.version, change, digest=digest, language=request.language, at=at)
