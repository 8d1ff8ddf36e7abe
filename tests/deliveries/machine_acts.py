"""What people, machines and operators do about suppression while deliveries are sent, in the tables and in the model.

Each act takes a number that chooses whom it is about, and says whether it did anything.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.core.files.base import ContentFile
from django.utils import timezone

from profiles import address_book, consent, imports
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Address, ImportJob, Profile, Service, Source
from quarantine import escalation, failures
from quarantine.models import Cause, QuarantinedAddress, Status
from tests.deliveries.machine_model import Facts

BY_PERSON = Evidence(source=Source.PREFERENCES)
BY_OPERATOR = Evidence(source=Source.OPERATOR, actor_name="emilie", reason="asked")
BY_MACHINE = Evidence(source=Source.BOUNCE)
POOL = [f"person{n}@{host}.example" for n in range(6) for host in ("fast", "slow")]
FEWEST = 3  # so many people are never erased


def _digest(text: str) -> bytes:
    return bytes(Address.make(Channel.EMAIL, text).digest)


DIGESTS = {text: _digest(text) for text in POOL}


@dataclass(slots=True)
class Acts:
    """Acts on the people of one service."""

    service: Service
    facts: Facts
    pass_time: Callable[[timedelta], None]
    names: dict[str, Callable[[int], bool]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = (
            self.leave_service, self.opt_out_of_channel, self.opt_out_of_everything, self.opt_in, self.lift,
            self.quarantine, self.complaint, self.hard_bounce, self.soft_bounces, self.release, self.erase,
            self.import_again, self.change_address, self.opt_out_of_address,
        )  # fmt: skip
        self.names = {act.__name__: act for act in found}

    def person(self, n: int) -> int:
        people = sorted(self.facts.people)
        return people[n % len(people)]

    def free(self, n: int) -> str | None:
        """Return an address that nobody has."""
        held = {bytes(digest) for digest in Address.objects.values_list("digest", flat=True)}
        texts = [text for text in POOL if DIGESTS[text] not in held]
        return texts[n % len(texts)] if texts else None

    def leave_service(self, n: int) -> bool:
        pk = self.person(n)
        changed = consent.unsubscribe([pk], self.service, evidence=BY_PERSON, at=timezone.now())
        self.facts.begin("left", pk, self.service.pk)
        return bool(changed)

    def opt_out_of_channel(self, n: int) -> bool:
        return self._opt_out(self.person(n), Channel.EMAIL)

    def opt_out_of_everything(self, n: int) -> bool:
        return self._opt_out(self.person(n), None)

    def _opt_out(self, pk: int, channel: Channel | None) -> bool:
        changed = consent.opt_out([pk], channel=channel, evidence=BY_PERSON, at=timezone.now())
        self.facts.begin("flag", pk, channel)
        return bool(changed)

    def opt_in(self, n: int) -> bool:
        """Subscribe again somebody who has left."""
        pk = self._somebody_with("left", n)
        if pk is None:
            return False
        consent.subscribe([pk], self.service, evidence=BY_PERSON, at=timezone.now())
        self.facts.end("left", pk, self.service.pk)
        return True

    def lift(self, n: int) -> bool:
        """Lift what somebody opted out of, as an operator may who says why."""
        pk = self._somebody_with("flag", n)
        if pk is None:
            return False
        for channel in (None, Channel.EMAIL):
            consent.opt_in([pk], channel=channel, evidence=BY_OPERATOR, at=timezone.now())
            self.facts.end("flag", pk, channel)
        return True

    def _somebody_with(self, kind: str, n: int) -> int | None:
        people = sorted({fact[1] for fact in self.facts.since if fact[0] == kind} & self.facts.people)
        return people[n % len(people)] if people else None

    def quarantine(self, n: int) -> bool:
        return self._quarantine(n, (Cause.PERSON, Cause.OPERATOR, Cause.IMPORT)[n % 3])

    def complaint(self, n: int) -> bool:
        return self._quarantine(n, Cause.COMPLAINT)

    def _quarantine(self, n: int, cause: Cause) -> bool:
        target = self._target(n)
        new = escalation.quarantine([target], cause=cause, evidence=BY_MACHINE, at=timezone.now())
        self.facts.begin("quarantined", target.digest)
        return bool(new)

    def hard_bounce(self, n: int) -> bool:
        target = self._target(n)
        failure = failures.classify(550, "5.1.1 User unknown")
        escalation.note_failure(target, failure, evidence=BY_MACHINE, at=timezone.now())
        self.facts.begin("quarantined", target.digest)
        return True

    def soft_bounces(self, n: int) -> bool:
        """Return messages to an address on as many days; the fifth quarantines."""
        target = self._target(n)
        for _day in range(1 + n % settings.QUARANTINE_ERRORS):
            row = QuarantinedAddress.objects.filter(digest=target.digest).first()
            errors, last, now = (row.errors, row.last_error_at, timezone.now()) if row else (0, None, timezone.now())
            forgotten = last is not None and now - last >= settings.QUARANTINE_FORGET
            counts = last is None or now - last >= settings.QUARANTINE_BETWEEN_ERRORS
            escalation.note_failure(target, failures.classify(550, "Not now"), evidence=BY_MACHINE, at=now)
            fifth = counts and (0 if forgotten else errors) + 1 >= settings.QUARANTINE_ERRORS
            if fifth and not self.facts.holds("quarantined", target.digest):
                self.facts.begin("quarantined", target.digest)
            self.pass_time(timedelta(hours=25))
        return True

    def _target(self, n: int) -> escalation.Target:
        text = POOL[n % len(POOL)]
        return escalation.Target(Channel.EMAIL, DIGESTS[text], text, text)

    def release(self, n: int) -> bool:
        """Write again to one of the addresses left out, or to all of them."""
        entries = list(QuarantinedAddress.objects.filter(status=Status.QUARANTINED).order_by("pk"))
        chosen = entries if n % 2 else entries[:1]
        escalation.release(chosen, evidence=BY_OPERATOR, at=timezone.now())
        for entry in chosen:
            self.facts.end("quarantined", bytes(entry.digest))
        return bool(chosen)

    def erase(self, n: int) -> bool:
        if len(self.facts.people) <= FEWEST:
            return False
        pk = self.person(n)
        Profile.objects.get(pk=pk).delete()
        self.facts.people.remove(pk)
        self.facts.begin("gone", pk)
        return True

    def import_again(self, n: int) -> bool:
        """Import an address of the pool, whoever has or had it, with a wish to lift that no import may grant."""
        text = POOL[n % len(POOL)]
        known = set(self.facts.people)
        options = imports.Options(provenance="Fair", basis="consent", service=self.service)
        content = ContentFile(f"email;first_name;blacklisted;blacklisted_email\n{text};Zoé;non;non\n".encode())
        job = imports.receive(
            content, name="people.csv", options=options, state=ImportJob.State.RUNNING, at=timezone.now()
        )
        imports.run(job.pk, clock=timezone.now)
        job.refresh_from_db()
        assert (job.state, job.errors) == (ImportJob.State.DONE, 0)
        for pk in set(Profile.objects.values_list("pk", flat=True)) - known:
            self.facts.people.add(pk)
            self._apply_kept(pk, [DIGESTS[text]])
        return True

    def change_address(self, n: int) -> bool:
        text, person = self.free(n // 3), Profile.objects.get(pk=self.person(n))
        if text is None:
            return False
        old = list(Address.objects.filter(profile=person, channel=Channel.EMAIL))
        address_book.change(
            person, removed=old, saved=[Address.make(Channel.EMAIL, text, position=1)], at=timezone.now()
        )
        for address in old:
            self.facts.begin("moved", person.pk, bytes(address.digest))
        self.facts.end("moved", person.pk, DIGESTS[text])
        self._apply_kept(person.pk, [DIGESTS[text]])
        return True

    def opt_out_of_address(self, n: int) -> bool:
        """Follow the opt-out link of an old message to an address that nobody has any more."""
        text = self.free(n // 3)
        if text is None:
            return False
        scope = ("service", "channel", "everything")[n % 3]
        consent.opt_out_address(
            Channel.EMAIL, DIGESTS[text], service=self.service if scope == "service" else None,
            flag=Channel.EMAIL if scope == "channel" else None, evidence=BY_PERSON, at=timezone.now(),
        )  # fmt: skip
        self.facts.kept.add((DIGESTS[text], scope))
        return True

    def _apply_kept(self, pk: int, digests: list[bytes]) -> None:
        for digest, scope in self.facts.kept:
            if digest in digests:
                fact = ("left", pk, self.service.pk) if scope == "service" else ("flag", pk, _CHANNEL_OF[scope])
                self.facts.begin(*fact)


_CHANNEL_OF = {"channel": Channel.EMAIL, "everything": None}
