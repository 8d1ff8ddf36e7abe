"""Sending as a state machine: whatever people, operators, workers, mail servers and clocks do, in any order.

After each step the model (`machine_model`) says whether the promises hold: no hand-off whose claim came after a
suppression forbidding it, a ledger that balances, nothing twice, suppressions lifted by their own acts only; and at
the end every delivery that began ends by itself. MACHINE_STEPS and MACHINE_SEED are for the long run (`make machine`).
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from random import Random, SystemRandom
from typing import Any

import pytest
from django.core.cache import cache
from django.db import transaction
from django.test import override_settings
from django.utils import timezone
from hypothesis import HealthCheck, Phase, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from deliveries import analysis, lifecycle, scheduling, sending
from deliveries.models import AnalysisRun, Delivery, LogStatus, State
from profiles.models import Service
from tests.deliveries.machine_acts import POOL, Acts
from tests.deliveries.machine_cards import DECKS, KINDS, PART_AT_LEAST, PARTS, RULE_AT_LEAST, RULES, WORKERS
from tests.deliveries.machine_model import Facts, Tries
from tests.deliveries.machine_world import REPLIES, Script, World, running_world
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
STEPS = 30  # in one example
EXAMPLES = 10  # in one round
# Shrinking takes minutes: MACHINE_SHRINK=1 asks for it, with the seed of a failure.
PHASES = [Phase.generate, *([Phase.shrink] if os.environ.get("MACHINE_SHRINK") else [])]
MOST_ROUNDS = 20  # when so many are not enough, something has become rare
LONGEST_SETTLING = 60
dices = st.randoms(use_true_random=True)
SPANS = [timedelta(seconds=31), timedelta(seconds=130), timedelta(minutes=8), timedelta(hours=5), timedelta(days=2)]


class Observer:
    """Who is told by the world of what its workers do."""

    def __init__(self, tries: Tries) -> None:
        self.begins, self.claimed, self.answered, self.ends = (
            tries.begins,
            tries.claimed,
            tries.answered_to,
            tries.ends,
        )


class Machine(RuleBasedStateMachine):
    """One example, in a transaction that is undone at its end."""

    world: World
    service: Service
    people: set[int]
    reached: set[Any]
    done: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        cache.clear()
        self.world.clock.back_to_start()
        self.world.under_way = []
        self.facts = Facts(people=set(self.people))
        self.tries = Tries(self.facts)
        self.world.observer = Observer(self.tries)
        self.acts = Acts(self.service, self.facts, self.world.clock.passes)
        self.sizes: Any = None
        self.decks: dict[str, list[str]] = {}

    @initialize(group=st.sampled_from([1, 1, 1, 3]), size=st.integers(2, 4))
    def configure(self, group: int, size: int) -> None:
        self.sizes = override_settings(HAND_OFF_GROUP=group, LEASE_SIZE=size, SENDING_CONNECTIONS=1)
        self.sizes.enable()

    # -- choosing a delivery ----------------------------------------------------------------------------------

    def existing(self, state: State, n: int) -> Delivery | None:
        found = list(Delivery.objects.filter(state=state).order_by("pk"))
        return found[n % len(found)] if found else None

    def draft(self, n: int) -> Delivery:
        policy, target, message_class = KINDS[n % len(KINDS)]
        return DeliveryFactory.create(
            service=self.service, in_doubt_policy=policy, target=target, message_class=message_class
        )

    def in_state(self, state: State, n: int) -> Delivery:
        """Return a delivery in a state: one that is there, else a new one that is brought there."""
        if (found := self.existing(state, n)) is not None:
            return found
        if state == State.DRAFT:
            return self.draft(n)
        if state == State.ANALYSING:
            self.begin_analysis(n)
            return self.in_state(state, n)
        if state == State.ANALYSED:
            delivery = self.in_state(State.ANALYSING, n)
            analysis.work(delivery.pk)
            self.count("analyse")
            delivery.refresh_from_db()
            if delivery.state != State.ANALYSED:  # the end of its analysis has brought it back to its schedule
                return self.in_state(State.ANALYSED, n)
        elif state == State.SENDING:
            delivery = self.in_state(State.ANALYSED, n)
            sending.start(delivery, at=timezone.now())
            self.count("start")
        else:
            self.count("pause", self.pause(n))
            return self.in_state(state, n)
        delivery.refresh_from_db()
        assert delivery.state == state
        return delivery

    def due(self, n: int) -> int:
        """Return a delivery with something to send now."""
        found = sorted(set(sending.to_ring_again(timezone.now())))
        if found:
            return found[n % len(found)]
        delivery = self.in_state(State.ANALYSED, n)
        sending.start(delivery, at=timezone.now())
        self.count("start")
        return delivery.pk

    # -- what operators do ------------------------------------------------------------------------------------

    def begin_analysis(self, n: int) -> bool:
        self.facts.analysis_begins(analysis.start(self.in_state(State.DRAFT, n), at=timezone.now()).pk)
        return True

    def analyse(self, n: int) -> bool:
        """Analyse a delivery, perhaps one that is analysed already; a worker goes on with what another began."""
        delivery = self.existing(State.ANALYSED, n) if n % 3 else None
        if delivery is None:
            delivery = self.in_state(State.ANALYSING, n)
        else:
            self.facts.analysis_begins(analysis.start(delivery, at=timezone.now()).pk)
        analysis.work(delivery.pk)
        return True

    def edit(self, n: int) -> bool:
        """Change the message of an analysed delivery: its analysis is void."""
        return lifecycle.void_analysis(self.in_state(State.ANALYSED, n))

    def fail_analysis(self, n: int) -> bool:
        analysis.fail(self.in_state(State.ANALYSING, n).pk, "no room", at=timezone.now())
        return True

    def schedule(self, n: int) -> bool:
        at = timezone.now() + timedelta(minutes=1 + n)
        scheduling.schedule(self.in_state(State.ANALYSED, n), at=at, now=timezone.now())
        return True

    def start_due(self, n: int) -> bool:
        """Let the moment of a scheduled delivery come; once in a while too late."""
        delivery = self.existing(State.SCHEDULED, n)
        if delivery is None or delivery.scheduled_at is None:
            return False
        late = timedelta(hours=2) if n % 7 == 0 else timedelta(0)
        self.world.clock.passes(max(delivery.scheduled_at - timezone.now() + late, timedelta(0)))
        for pk in scheduling.start_due(timezone.now()).to_analyse:
            self.facts.analysis_begins(AnalysisRun.objects.filter(delivery=pk).latest("pk").pk)
            if n % 2:
                analysis.work(pk)
        return True

    def start(self, n: int) -> bool:
        sending.start(self.in_state(State.ANALYSED, n), at=timezone.now())
        return True

    def pause(self, n: int, *, only: bool = False) -> bool:
        delivery = self.existing(State.SENDING, n) if only else self.in_state(State.SENDING, n)
        if delivery is None:
            return False
        sending.pause(delivery)
        self.facts.begin("halted", delivery.pk)
        return True

    def resume(self, n: int) -> bool:
        delivery = self.in_state(State.PAUSED, n)
        sending.resume(delivery)
        self.facts.end("halted", delivery.pk)
        return True

    def stop(self, n: int, *, only: bool = False) -> bool:
        state = State.SENDING if n % 2 else State.PAUSED
        delivery = self.existing(state, n) if only else self.in_state(state, n)
        if delivery is None:
            return False
        sending.stop(delivery)
        self.facts.begin("halted", delivery.pk)
        return True

    # -- what workers do --------------------------------------------------------------------------------------

    def another_worker(self, n: int, delivery: int) -> bool:
        self.world.work(delivery, iter([Script(sorted(REPLIES)[n % len(REPLIES)])] if n % 2 else []))
        return True

    def another_worker_killed(self, n: int, delivery: int) -> bool:
        return self.world.work(delivery, statements=n).dead

    def slow(self, n: int, delivery: int) -> bool:
        self.world.clock.passes(timedelta(seconds=n if n % 2 else 121 + n))
        return True

    def slow_and_another_worker(self, n: int, delivery: int) -> bool:
        return self.slow(0, delivery) and self.another_worker(n, delivery)

    def meanwhile(self, name: str, n: int, delivery: int) -> Callable[[], None]:
        def act() -> None:
            note(f"  meanwhile {name}({n})")
            if name in WORKERS:
                done = getattr(self, name)(n, delivery)
            elif name in ("pause", "stop"):
                done = getattr(self, name)(n, only=True)
            else:
                done = self.acts.names[name](n)
            self.count(name, done)
            self.done["meanwhile"] += done

        return act

    def script(self, dice: Random, delivery: int, *, how_often: float = 0.5) -> Iterator[Script]:
        """Yield what happens at each of the next messages, drawn when it comes to that."""
        for _message in range(dice.randint(1, 6)):
            act = None
            if dice.random() < how_often:
                act = self.meanwhile(self.deal("meanwhile", dice), dice.randrange(60), delivery)
            script = Script(self.deal("replies", dice), act, dice.random() < 0.5, self.deal("kills", dice))
            note(f"  {script.reply} {script.kill}")
            yield script

    def deal(self, kind: str, dice: Random) -> str:
        """Return the next card of a deck: each comes up as often as any other."""
        deck = self.decks.setdefault(kind, [])
        if not deck:
            deck += dice.sample(DECKS[kind], len(DECKS[kind]))
        return deck.pop()

    # -- rules ------------------------------------------------------------------------------------------------

    @rule(dice=dices)
    def somebody_acts(self, dice: Random) -> None:
        for _act in range(dice.randint(6, 12)):
            name, n = self.deal("people", dice), dice.randrange(60)
            note(f"  {name}({n})")
            self.count(name, self.acts.names[name](n))

    @rule(dice=dices)
    def operators_move(self, dice: Random) -> None:
        for _move in range(dice.randint(1, 3)):
            name, n = self.deal("moves", dice), dice.randrange(60)
            note(f"  {name}({n})")
            self.count(name, getattr(self, name)(n))

    @rule(dice=dices)
    def send(self, dice: Random) -> None:
        delivery = self.due(dice.randrange(60))
        self.world.work(delivery, self.script(dice, delivery, how_often=dice.choice([0, 1, 1])))
        self.count("send")

    @rule(dice=dices, statements=st.integers(0, 120))
    def send_and_be_killed(self, dice: Random, statements: int) -> None:
        delivery = self.due(dice.randrange(60))
        process = self.world.work(delivery, self.script(dice, delivery), statements=statements)
        self.count("send_and_be_killed", process.dead)

    @rule(dice=dices)
    def ring(self, dice: Random) -> None:
        for pk in analysis.to_ring_again(timezone.now()):
            analysis.work(pk)
        for pk in sending.to_ring_again(timezone.now()):
            self.world.work(pk, self.script(dice, pk))
        self.count("ring")

    @rule(dice=dices)
    def repeat_a_task(self, dice: Random) -> None:
        found = list(Delivery.objects.order_by("pk").values_list("pk", flat=True))
        if found:
            pk = dice.choice(found)
            self.world.work(pk)
            analysis.work(pk)
            self.count("repeat_a_task")

    @rule(span=st.sampled_from(SPANS), minutes=st.sampled_from([0, -60, -5, 5, 60]))
    def time_passes(self, span: timedelta, minutes: int) -> None:
        """Let time pass; now and then the clock is then put right."""
        self.world.clock.passes(span)
        self.world.clock.jumps(timedelta(minutes=minutes))
        self.count("time_passes")
        self.count("the_clock_is_put_right", minutes != 0)

    @classmethod
    def missing(cls) -> set[Any]:
        """Return the rules and parts that have not happened often enough, and the states that were not reached."""
        rules = {rule for rule, parts in RULES.items() if sum(cls.done[part] for part in parts) < RULE_AT_LEAST}
        parts = {part for part in PARTS if cls.done[part] < PART_AT_LEAST}
        return rules | parts | ({*State, *LogStatus} - cls.reached)

    def count(self, name: str, done: bool = True) -> None:
        self.done[name] += bool(done)

    # -- what holds -------------------------------------------------------------------------------------------

    @invariant()
    def all_promises_hold(self) -> None:
        self.done["steps"] += 1
        self.facts.check(self.service.pk, self.tries.answered)
        self.reached |= {LogStatus(status) for status in self.tries.check_rows()}
        self.reached |= {State(state) for state in Delivery.objects.values_list("state", flat=True)}

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.settle()
        finally:
            if self.sizes is not None:
                self.sizes.disable()
            transaction.set_rollback(True)
            self.atomic.__exit__(None, None, None)

    def settle(self) -> None:
        """Let everything that has begun run to its end, with nobody but the beat to ring."""
        for delivery in Delivery.objects.filter(state=State.PAUSED):
            sending.resume(delivery)
            self.facts.end("halted", delivery.pk)
        for _round in range(LONGEST_SETTLING):
            now = timezone.now()
            for pk in analysis.to_ring_again(now):
                analysis.work(pk)
            for pk in sending.to_ring_again(now):
                self.world.work(pk)
            waiting = Delivery.objects.filter(state__in=[State.SENDING, State.STOPPING, State.ANALYSING])
            if not waiting.exists():
                break
            self.world.clock.passes(timedelta(minutes=20))
        self.all_promises_hold()
        assert not waiting.exists(), "a delivery does not end by itself"


@pytest.fixture
def machine() -> Iterator[type[Machine]]:
    """Return a machine whose people are there for all examples, and whose counters go on through them."""
    with running_world() as world:
        own = type("SendingMachine", (Machine,), {})
        own.world, own.service = world, ServiceFactory.create()
        own.people = {ProfileFactory.create(email=text, services=[own.service]).pk for text in POOL[:5]}
        own.reached, own.done = set(), world.counted
        yield own


def run(machine: type[Machine], number: int, *, examples: int, steps: int) -> None:
    chosen = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, database=None, print_blob=True,
        report_multiple_bugs=False, suppress_health_check=list(HealthCheck), phases=PHASES,
    )  # fmt: skip
    run_state_machine_as_test(seed(number)(machine), settings=chosen)


def test_sending_keeps_its_promises_whatever_happens(machine: type[Machine]) -> None:
    drawn = int(os.environ.get("MACHINE_SEED") or SystemRandom().randrange(2**32))
    wanted = int(os.environ.get("MACHINE_STEPS") or 0)
    began, rounds = time.process_time(), 0
    while (rounds < MOST_ROUNDS and machine.missing()) or machine.done["steps"] < wanted:
        run(machine, drawn + rounds, examples=EXAMPLES, steps=STEPS)
        rounds += 1
        told = f"{rounds}: {machine.done['steps']} steps, {time.process_time() - began:.0f} s"
        sys.stdout.write(f"\n{told}, to come: {machine.missing()}")
    took = time.process_time() - began
    sys.stdout.write(f"\nseed {drawn}, {machine.done['steps']} steps, {took:.0f} s: {dict(machine.done)}\n")
    assert machine.missing() == set(), f"seed {drawn}"
