"""Whatever the registered writers do, in any order, the tables stay the fold of the ledger and its seals stay good."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiles import address_book, consent, seals
from profiles.channels import Channel
from profiles.consent import WRITERS, Evidence
from profiles.models import Act, Address, Profile, Service, Source
from profiles.opt_outs import AddressOptOut
from profiles.verify import verify
from tests.factories import ProfileFactory, ServiceFactory

pytestmark = pytest.mark.django_db
START = timezone.now()
ROUNDS = 3  # how often each writer acts in one example
EXAMPLES = 40
fired: Counter[str] = Counter()


@dataclass
class World:
    """Some people, some services, some addresses that somebody or nobody has, and a clock that goes on."""

    draw: Random
    at: datetime = START
    people: list[int] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    spare: list[str] = field(default_factory=lambda: [f"spare{n}@example.org" for n in range(3)])

    def some(self) -> list[int]:
        return self.draw.sample(self.people, self.draw.randint(1, 3))

    def service(self) -> Service:
        return self.draw.choice(self.services)

    def channel(self) -> Channel | None:
        return self.draw.choice([None, Channel.EMAIL, Channel.SMS])

    def digest(self) -> bytes:
        held = list(Address.objects.values_list("digest", flat=True))
        spare = [Address.make(Channel.EMAIL, text).digest for text in self.spare]
        return bytes(self.draw.choice([*held, *spare, *spare]))

    def by(self, *sources: Source) -> Evidence:
        return Evidence(source=self.draw.choice(sources), reason="because", ip="192.0.2.1", user_agent="Browser")


ANY = tuple(Source)
PERSON = (Source.LANDING_PAGE, Source.PREFERENCES, Source.OPERATOR)


def gain_an_address(world: World) -> None:
    """Give somebody one of the addresses whose opt-out may have been kept."""
    person = Profile.objects.get(pk=world.draw.choice(world.people))
    text = world.draw.choice(world.spare)
    if not person.addresses.filter(digest=Address.make(Channel.EMAIL, text).digest).exists():
        address_book.change(person, saved=[Address.make(Channel.EMAIL, text)], at=world.at)


def scope(world: World) -> dict[str, object]:
    return {"service": world.service()} if world.draw.random() < 0.4 else {"service": None, "flag": world.channel()}


def some_address(world: World) -> AddressOptOut:
    service = world.service() if world.draw.random() < 0.4 else None
    return AddressOptOut(world.digest(), channel=world.channel(), service=service, lift=world.draw.random() < 0.2)


ACTS: dict[str, Callable[[World], object]] = {
    "opt_out": lambda w: consent.opt_out(w.some(), channel=w.channel(), evidence=w.by(*ANY), at=w.at),
    "opt_in": lambda w: consent.opt_in(w.some(), channel=w.channel(), evidence=w.by(*PERSON), at=w.at),
    "subscribe": lambda w: consent.subscribe(w.some(), w.service(), evidence=w.by(*ANY), at=w.at),
    "unsubscribe": lambda w: consent.unsubscribe(w.some(), w.service(), evidence=w.by(*ANY), at=w.at),
    "expire_subscriptions": lambda w: consent.expire_subscriptions(w.at + timedelta(days=w.draw.choice([0, 1, 20]))),
    "agree": lambda w: consent.agree(
        w.draw.choice(w.people), consent.cite("Yes.", "en"), evidence=w.by(*PERSON), at=w.at
    ),
    "state_provenance": lambda w: consent.state_provenance("A fair", evidence=w.by(Source.IMPORT), at=w.at),
    "note_address_events": lambda w: consent.note_address_events(
        [(w.draw.choice([Act.QUARANTINE, Act.RELEASE]), Channel.EMAIL, w.digest(), w.by(*ANY), w.at)]
    ),
    "opt_out_address": lambda w: consent.opt_out_address(
        Channel.EMAIL, w.digest(), evidence=w.by(*ANY), at=w.at, **scope(w)
    ),
    "opt_out_addresses": lambda w: consent.opt_out_addresses(
        [some_address(w) for _n in range(w.draw.randint(1, 4))], evidence=w.by(Source.IMPORT), at=w.at
    ),
    "forget_kept_opt_out": lambda w: consent.forget_kept_opt_out(
        w.digest(), evidence=w.by(*PERSON), at=w.at, keeping=w.draw.choice([(), (Channel.SMS,)]), **scope(w)
    ),
    "apply_erased_opt_outs": lambda w: (gain_an_address(w), consent.apply_erased_opt_outs(w.some(), at=w.at)),
    "apply_erased_opt_outs_of": lambda w: consent.apply_erased_opt_outs_of(
        Address.objects.filter(profile__in=w.some()).values_list("profile_id", "digest"), at=w.at
    ),
    "blank_visitors": lambda w: consent.blank_visitors(before=w.at - timedelta(hours=w.draw.randint(0, 30))),
}


def test_every_writer_of_the_registry_takes_part() -> None:
    assert set(ACTS) == set(WRITERS)


@settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.permutations(sorted(ACTS) * ROUNDS), st.randoms(use_true_random=False))
def mixed_acts(order: list[str], draw: Random) -> None:
    with transaction.atomic():
        world = World(draw)
        world.people = [ProfileFactory.create().pk for _n in range(5)]
        world.services = [ServiceFactory.create(), ServiceFactory.create(validity_days=10)]
        for number, name in enumerate(order):
            ACTS[name](world)
            fired[name] += 1
            world.at += timedelta(hours=draw.choice([0, 1, 30]))
            if number % 7 == 0:
                seals.seal(world.at)
        report = verify()
        assert report.problems == []
        assert report.sealed > 0
        transaction.set_rollback(True)


def test_mixed_acts_of_every_writer_leave_a_clean_ledger() -> None:
    fired.clear()
    mixed_acts()
    assert min(fired[name] for name in WRITERS) >= 100, "each writer acts at least a hundred times"
