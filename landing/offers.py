"""What somebody can choose on the page of their preferences, and how it stands.

    person = person_of(request)        whoever has the address of a request: their profiles and addresses
    offered = read(request, person)    the services and channels, each on or off, in the active language
    offered.shown.seal()               what the page showed, for the form to send back

Several profiles may have the address: what is on for one of them is shown as on.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Self

from django.db.models import Max, Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from profiles.blacklist import FLAGS
from profiles.channels import Channel
from profiles.errors import TokenRefused
from profiles.models import Address, Brand, Profile, Service, Subscription
from profiles.texts import pick
from profiles.tokens import Purpose, open_token, seal
from quarantine.models import Cause, QuarantinedAddress

from . import history
from .models import PreferencesRequest

TITLE = gettext_lazy("Your preferences")
SERVICES = gettext_lazy("What you receive")
CHANNELS = gettext_lazy("How we may reach you")
NAMES = {
    Channel.EMAIL: gettext_lazy("Emails"),
    Channel.SMS: gettext_lazy("Text messages"),
    Channel.PUSH: gettext_lazy("Notifications"),
    Channel.DIRECT_MAIL: gettext_lazy("Letters"),
    Channel.PHONE: gettext_lazy("Calls"),
}
_HEAD = struct.Struct(">QQ")
_ITEM = struct.Struct(">B?Q")


class Part(IntEnum):
    """The two lists of the page."""

    SERVICE = 1
    CHANNEL = 2


@dataclass(frozen=True, slots=True)
class Item:
    """One box of the page: a service or a channel, by its number."""

    part: Part
    number: int

    @property
    def key(self) -> str:
        """Return the value of the box in the form."""
        return f"{self.part.name.lower()}-{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One line of the page. `remark` says why nothing comes although it is on."""

    item: Item
    label: str
    on: bool
    detail: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whoever has an address: their profiles, oldest first, with all of their addresses."""

    profiles: Sequence[Profile]
    held: Sequence[Address]
    proven: Address

    @property
    def ids(self) -> list[int]:
        return [profile.pk for profile in self.profiles]

    @property
    def digests(self) -> set[bytes]:
        return {bytes(address.digest) for address in self.held}

    def on(self, channel: Channel) -> list[Address]:
        """Return the addresses on a channel, the oldest profile's first."""
        return [address for address in self.held if address.channel == channel]

    def reachable(self, channel: Channel) -> list[Address]:
        """Return those of the addresses on a channel whose profile may be contacted there, the oldest's first."""
        names = FLAGS[None], FLAGS[channel]
        off = {profile.pk for profile in self.profiles if any(getattr(profile, name) for name in names)}
        return [address for address in self.on(channel) if address.profile_id not in off]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a page showed: the last event of the ledger that it knew of, and whether each box was ticked."""

    request: int
    upto: int
    items: Mapping[Item, bool]

    def seal(self) -> str:
        items = (_ITEM.pack(item.part, on, item.number) for item, on in self.items.items())
        return seal(Purpose.PREFERENCES_FORM, _HEAD.pack(self.request, self.upto) + b"".join(items))

    @classmethod
    def open(cls, token: str) -> Self:
        """Return what the page of a form showed; raise TokenRefused when the token is not one."""
        payload = open_token(Purpose.PREFERENCES_FORM, token)
        try:
            request, upto = _HEAD.unpack(payload[: _HEAD.size])
            found = list(_ITEM.iter_unpack(payload[_HEAD.size :]))
        except struct.error as error:
            raise TokenRefused from error
        return cls(request=request, upto=upto, items={Item(Part(part), number): on for part, on, number in found})


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """The two lists of the page, for one person."""

    request: int
    upto: int
    services: Sequence[Offer]
    channels: Sequence[Offer]

    @property
    def everything_off(self) -> bool:
        return not any(offer.on for offer in self.channels)

    @property
    def shown(self) -> Shown:
        offers = [*self.services, *self.channels]
        return Shown(request=self.request, upto=self.upto, items={offer.item: offer.on for offer in offers})

    @property
    def words(self) -> str:
        """Return what the page says, for the ledger: what there is to choose, and nothing about the person."""
        services = [f"{offer.label}\n{offer.detail}".strip() for offer in self.services]
        channels = [offer.label for offer in self.channels]
        return "\n\n".join([str(TITLE), str(SERVICES), *services, str(CHANNELS), *channels])


def person_of(request: PreferencesRequest, *, lock: bool = False) -> Person | None:
    """Return whoever has the address of a request; None once nobody has it. `lock` their profiles, in id order."""
    rows = Profile.objects.having(bytes(request.digest)).order_by("pk")
    profiles = list(rows.select_for_update(no_key=True) if lock else rows)
    held = list(Address.objects.filter(profile__in=profiles).order_by("profile", "channel", "position"))
    mine = (request.channel, bytes(request.digest))
    proven = next((address for address in held if (address.channel, bytes(address.digest)) == mine), None)
    return Person(profiles=profiles, held=held, proven=proven) if proven else None


def read(request: PreferencesRequest, person: Person, *, at: datetime) -> Offered:
    """Return what is offered to a person and how it stands, in a number of queries that does not grow."""
    # What happens while the rest is read counts as newer than the page.
    upto = history.events_of(person.ids, person.digests).aggregate(last=Max("pk"))["last"] or 0
    channels = list(_channels(person, at))
    reachable = {offer.item.number for offer in channels if offer.on}
    has_address = {offer.item.number for offer in channels}
    services = [
        Offer(
            item=Item(Part.SERVICE, service.pk), label=_named(service, request.brand), on=on,
            detail=_detail(service), remark=_remark(service, on, reachable, has_address),
        )
        for service, on in _services(request.brand, person, at)
    ]  # fmt: skip
    services.sort(key=lambda offer: (offer.label.casefold(), offer.item.number))
    return Offered(request=request.pk, upto=upto, services=services, channels=channels)


def _services(brand: Brand, person: Person, at: datetime) -> Iterable[tuple[Service, bool]]:
    """Return the public services of a brand, and whatever the person is subscribed to, with whether they are."""
    active = Subscription.objects.active(at).filter(profile__in=person.ids)
    subscribed = set(active.values_list("service_id", flat=True))
    offered = Q(pk__in=Service.objects.open().filter(brand=brand, is_public=True).values("pk"))
    rows = Service.objects.filter(offered | Q(pk__in=subscribed)).select_related("brand")
    return [(service, service.pk in subscribed) for service in rows]


def _channels(person: Person, at: datetime) -> Iterable[Offer]:
    """Yield the channels for which the person has an address. One on which some profile may be contacted is on."""
    entries = QuarantinedAddress.objects.blocking(at).with_digests(person.digests).filter(scope="")
    causes = {(entry.channel, bytes(entry.digest)): entry.cause for entry in entries}
    for channel in Channel:
        held = person.on(channel)
        if not held:
            continue
        found = [causes.get((channel, bytes(address.digest))) for address in person.reachable(channel)]
        # Only of the address that the link went to can its owner take the wish back here.
        off_by_wish = channel == person.proven.channel and all(cause == Cause.PERSON for cause in found)
        on = bool(found) and not off_by_wish
        masked = dict.fromkeys(address.masked for address in held)
        yield Offer(
            item=Item(Part.CHANNEL, channel), label=str(NAMES[channel]), on=on, detail=", ".join(masked),
            remark=_("Not used at the moment. To change that, write to us.") if on and all(found) else "",
        )  # fmt: skip


def _named(service: Service, brand: Brand) -> str:
    """Return what a service is called, with who sends it where that is somebody else."""
    label = pick(service.label) or service.name
    if service.brand_id == brand.pk:
        return label
    return _("%(service)s (from %(brand)s)") % {"service": label, "brand": service.brand.name}


def _detail(service: Service) -> str:
    days = service.validity_days
    lasts = ngettext("It ends by itself after %(days)d day.", "It ends by itself after %(days)d days.", days or 0)
    return " ".join(text for text in (pick(service.description), lasts % {"days": days} if days else "") if text)


def _remark(service: Service, on: bool, reachable: set[int], has_address: set[int]) -> str:
    if service.channel not in has_address:
        return {
            Channel.SMS: _("Sent by text message: we have no number of yours for it."),
            Channel.PUSH: _("Sent as a notification: we know no device of yours for it."),
            Channel.DIRECT_MAIL: _("Sent by letter: we have no postal address of yours for it."),
            Channel.PHONE: _("By phone: we have no number of yours for it."),
        }.get(Channel(service.channel), "")
    if on and reachable and service.channel not in reachable:  # where all is off, the page says so once
        return _("Not sent for now: this way of reaching you is off below.")
    return ""
