"""Drawn histories of addresses: in batches or one by one, tidied or not, read or written, they mean the same."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiles import left_out
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.digests import digest
from profiles.models import ConsentEvent, Source
from quarantine import escalation, tidying
from quarantine.entries import Target
from quarantine.failures import Failure, Kind
from quarantine.models import Cause, QuarantinedAddress, QuarantineEvent, Reason, Status
from tests.factories import QuarantinedAddressFactory
from tests.quarantine import lifecycle_oracle as oracle

pytestmark = pytest.mark.django_db
NOW = timezone.now()
HOUR = timedelta(hours=1)
NAMES = ("ann@example.org", "Bob@Example.org", "zoé@mail.example.org")
WHO = [Target(Channel.EMAIL, digest(Channel.EMAIL, n.casefold()), n, n.casefold()) for n in NAMES]
FAILURES = [
    Failure(Kind.HARD, Reason.USER_UNKNOWN), Failure(Kind.SOFT, Reason.UNREACHABLE),
    Failure(Kind.SOFT, Reason.MAILBOX_FULL), Failure(Kind.IGNORED, Reason.REFUSED),
]  # fmt: skip
FROM = [Evidence(source=Source.BOUNCE, delivery_id=n, delivery_name=f"Delivery {n}") for n in (1, 2)]
OPERATOR = Evidence(source=Source.OPERATOR, actor_name="emilie", reason="asked")
# Around every threshold: within a day, a day, ten days, thirty days.
SPANS = st.sampled_from([0, 1, 23, 24, 25, 26, 9 * 24, 239, 240, 241, 719, 720, 721]).map(lambda hours: hours * HOUR)
drawn = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True, slots=True)
class Step:
    """What happens after a span of time to one of the addresses."""

    after: timedelta
    who: int
    what: int  # an index of FAILURES; beyond: a success, a release, a wish of the person, an import
    origin: int
    text: str


STEPS = st.lists(
    st.builds(
        Step, SPANS, st.integers(0, 2), st.integers(0, 7), st.integers(0, 1), st.sampled_from(["", "550 5.1.1 é", "x"])
    ),
    max_size=14,
)
NOTED = st.lists(
    st.lists(
        st.builds(Step, SPANS, st.integers(0, 2), st.integers(0, 3), st.integers(0, 1), st.sampled_from(["", "y"])),
        max_size=12,
    ),
    max_size=4,
)

ANSWERS = st.sampled_from([0, 1, 1, 2, 4])


def act(step: Step, at: datetime) -> None:
    who, evidence = WHO[step.who], FROM[step.origin]
    if step.what < len(FAILURES):
        escalation.note_failure(who, FAILURES[step.what], evidence=evidence, at=at, text=step.text)
    elif step.what == 4:
        escalation.note_success(who, evidence=evidence, at=at)
    elif step.what == 5:
        escalation.release(QuarantinedAddress.objects.filter(digest=who.digest), evidence=OPERATOR, at=at)
    else:
        cause = Cause.PERSON if step.what == 6 else Cause.IMPORT
        escalation.quarantine([who], cause=cause, evidence=evidence, at=at, text=step.text)


def entries() -> list[dict[str, Any]]:
    rows = QuarantinedAddress.objects.order_by("digest").values()
    leave = ("id", "created_at", "updated_at")
    return [{k: bytes(v) if k == "digest" else v for k, v in row.items() if k not in leave} for row in rows]


def history() -> list[dict[str, Any]]:
    rows = QuarantineEvent.objects.order_by("pk").values()
    leave = ("id", "entry_id")
    return [{k: bytes(v) if k == "digest" else v for k, v in row.items() if k not in leave} for row in rows]


def ledger() -> list[tuple[Any, ...]]:
    rows = ConsentEvent.objects.order_by("pk").values_list("at", "act", "channel", "digest", "source", "delivery_id")
    return [(*row[:3], bytes(row[3] or b""), *row[4:]) for row in rows]


def told() -> tuple[Any, ...]:
    return entries(), history(), ledger()


class _Undone(Exception):
    """Everything that was written is to be forgotten."""


def written_by(steps: Iterable[Any]) -> tuple[Any, ...]:
    """Return what the tables say after some work, and leave them as they were."""
    found: tuple[Any, ...] = ()
    try:
        with transaction.atomic():
            for step in steps:
                step()
            found = told()
            raise _Undone
    except _Undone:
        return found


@drawn
@given(NOTED)
def test_many_failures_at_once_are_noted_as_one_by_one(batches: list[list[Step]]) -> None:
    def moments() -> Iterable[tuple[datetime, Sequence[Step]]]:
        at = NOW
        for batch in batches:
            at += sum((step.after for step in batch[:1]), timedelta(0))
            yield at, batch

    def at_once(at: datetime, batch: Sequence[Step]) -> None:
        noted = [(WHO[s.who], FAILURES[s.what], FROM[s.origin], s.text) for s in batch]
        escalation.note_failures(noted, at=at)

    def one_by_one(at: datetime, batch: Sequence[Step]) -> None:
        for step in batch:
            act(step, at)

    def all_of(way: Any) -> Any:
        return written_by([lambda m=moment: way(*m) for moment in moments()])

    assert all_of(at_once) == all_of(one_by_one)


@drawn
@given(STEPS, st.lists(st.booleans(), min_size=14, max_size=14))
def test_tidying_at_any_time_changes_when_it_is_written_and_nothing_else(steps: list[Step], tidied: list[bool]) -> None:
    def all_of(tidies: Sequence[bool]) -> tuple[Any, ...]:
        def go() -> None:
            at = NOW
            for step, tidies_now in zip(steps, tidies, strict=False):
                at += step.after
                if tidies_now:
                    tidying.tidy(at)
                    tidying.tidy(at)
                act(step, at)
            tidying.tidy(at + timedelta(days=400))

        rows, events, lines = written_by([go])
        return rows, sorted(events, key=str), sorted(lines, key=str)

    assert all_of(tidied) == all_of([False] * 14)


@drawn
@given(
    st.lists(st.builds(Step, SPANS, st.just(0), st.sampled_from([0, 1, 2, 4]), st.just(0), st.just("")), max_size=20)
)
def test_histories_of_answers_end_as_is_promised(steps: list[Step]) -> None:
    known, at = oracle.Remembered(), NOW
    with transaction.atomic():
        for step in steps:
            at += step.after
            act(step, at)
            if step.what == 0:
                known.hard(at)
            elif step.what == 4:
                known.success(at)
            else:
                known.soft(at, full=step.what == 2)
        blocked = QuarantinedAddress.objects.blocking(at).exists()
        assert blocked == oracle.blocks(known.status, Cause.BOUNCE, known.until, at)
        end = at + timedelta(days=400)
        known.pass_time(end)
        tidying.tidy(end)
        events = QuarantineEvent.objects.order_by("at", "pk").values_list("at", "after")
        assert list(events) == known.steps
        row = QuarantinedAddress.objects.first()
        assert (row.status if row else Status.VALID) == known.status
        transaction.set_rollback(True)


ENTRY = st.fixed_dictionaries(
    {
        "status": st.sampled_from(Status.values),
        "cause": st.sampled_from(Cause.values),
        "release_at": st.sampled_from([None, *(n * timedelta(microseconds=1) for n in (-1, 0, 1)), HOUR, -HOUR]),
        "scope": st.sampled_from(["", "", "", "38000"]),
    }
)


@drawn
@given(st.lists(ENTRY, max_size=8))
def test_what_blocks_is_what_the_oracle_says(drawn_entries: list[dict[str, Any]]) -> None:
    with transaction.atomic():
        expected, everywhere = set(), set()
        for n, fields in enumerate(drawn_entries):
            release_at = None if fields["release_at"] is None else NOW + fields["release_at"]
            row = QuarantinedAddressFactory.create(
                value=f"{n}@example.org", **(fields | {"release_at": release_at, "quarantined_at": NOW - HOUR})
            )
            blocks = oracle.blocks(fields["status"], fields["cause"], release_at, NOW)
            assert row.is_blocking(NOW) == blocks
            if blocks:
                expected.add(row.pk)
                if not fields["scope"]:
                    everywhere.add(bytes(row.digest))
        rows = QuarantinedAddress.objects.all()
        assert set(rows.blocking(NOW).values_list("pk", flat=True)) == expected
        every = {bytes(digest) for digest in rows.values_list("digest", flat=True)}
        assert set(left_out.among(every, at=NOW)) == everywhere
        transaction.set_rollback(True)


def test_no_more_than_a_thousand_are_locked_at_once() -> None:
    with pytest.raises(ValueError, match="At most 1000"):
        escalation.note_failures([(WHO[0], FAILURES[0], FROM[0], "")] * 1001, at=NOW)


def test_the_number_of_queries_does_not_grow(django_assert_max_num_queries: Any) -> None:
    many = [Target(Channel.EMAIL, n.to_bytes(16, "big"), f"{n}@e.org", f"{n}@e.org") for n in range(300)]
    for day in range(5):
        with django_assert_max_num_queries(20):
            escalation.note_failures(
                [(one, FAILURES[1], FROM[0], "450 later") for one in many], at=NOW + day * 24 * HOUR
            )
    assert QuarantinedAddress.objects.blocking(NOW + 96 * HOUR).count() == 300
