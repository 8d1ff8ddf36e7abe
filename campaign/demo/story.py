"""The main job of the demonstration, through the broker as in production: analysis, sending, and the proof.

The analysis says who is left out and why; its lines must add up to the people targeted. The sending hands over what
the analysis kept; the mail catcher must then hold exactly that, recipient by recipient: nobody missing, nobody twice,
nobody who was left out.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import StringIO
from typing import Any

from django.core.management import call_command
from django.utils import timezone

from deliveries import analysis, messages, reports, sending
from deliveries.errors import NotReady
from deliveries.models import AnalysisRun, Delivery, DeliveryLog, LogStatus, State
from deliveries.tasks import analyse_delivery, send_delivery
from profiles.addresses import read
from profiles.channels import Channel
from profiles.ring import ring
from quarantine.models import Cause, QuarantinedAddress

from . import caught, oracle, provider
from .console import Console
from .supervisor import DemoFailed, Supervisor

POLL = 0.2
PATIENCE = 120.0  # seconds without any progress


@dataclass(frozen=True, slots=True)
class Teller:
    """What the parts of the story need: where to speak, and who tells when a process has died."""

    console: Console
    supervisor: Supervisor
    outage: bool  # one of the providers has one while the first delivery arrives

    def wait(self, delivery: Delivery, until: set[State], progress: Callable[[], str]) -> None:
        """Wait until a delivery reaches one of the states."""
        last, moved = "", time.monotonic()
        while True:
            delivery.refresh_from_db()
            if State(delivery.state) in until:
                return
            if (now := progress()) != last:
                last, moved = now, time.monotonic()
                self.console.progress(now)
            self.supervisor.check()
            if time.monotonic() - moved > PATIENCE:
                raise DemoFailed(f"Nothing has moved for {PATIENCE:.0f} seconds: see {self.supervisor.folder}.")
            time.sleep(POLL)


def analyse(teller: Teller, delivery: Delivery, *, by: Any) -> AnalysisRun:
    """Have a worker analyse the delivery, and print who is left out and why."""
    run = analysis.start(delivery, by=by, at=timezone.now())
    ring(analyse_delivery, delivery.pk)

    def progress() -> str:
        run.refresh_from_db()
        return f"{reports.progress(run):.0%} analysed"

    teller.wait(delivery, {State.ANALYSED, State.DRAFT, State.FAILED}, progress)
    if delivery.state != State.ANALYSED:
        raise DemoFailed(f"The analysis did not end well: {delivery.problem or 'it was stopped'}.")
    run.refresh_from_db()
    found = reports.waterfall(run)
    teller.console.table(
        [
            ("Targeted: subscribers of Garden news", found.targeted),
            *((f"- {line.label}", line.first) for line in found.lines),
            ("To send", found.to_send),
        ]
    )
    _must_add_up(run, found)
    _must_agree(delivery, run)
    teller.console.lines(
        "The lines add up: those left out and those to send are the people targeted. Going through the people\n"
        "one by one, in plain Python, finds the same addresses to send to."
    )
    return run


def to_send(run: AnalysisRun) -> Counter[str]:
    """Return the keys of the addresses that the analysis kept, as read from its rows."""
    return _keys(run, LogStatus.PENDING)


def send(teller: Teller, delivery: Delivery, run: AnalysisRun) -> None:
    """Have a worker send what the analysis kept, and print what became of each message."""
    try:
        sending.start(delivery, at=timezone.now())
    except NotReady as error:
        raise DemoFailed("The message may not be sent: " + " ".join(error.problems)) from error
    ring(send_delivery, delivery.pk)

    def progress() -> str:
        found = reports.outcomes(run)
        left = found[LogStatus.PENDING] + found[LogStatus.RETRY] + found[LogStatus.HANDING_OFF]
        return f"{found[LogStatus.SENT]:,} sent, {left:,} to go"

    teller.wait(delivery, {State.FINISHED, State.STOPPED, State.PAUSED, State.FAILED}, progress)
    if delivery.state != State.FINISHED:
        raise DemoFailed(f"The sending did not end well, it is now “{State(delivery.state).label}”: {delivery.error}")
    found = reports.outcomes(run)
    teller.console.table(
        [("Targeted", sum(found.values())), *((f"- {status.label}", number) for status, number in found.items())]
    )
    if sum(found.values()) != run.targeted:
        raise DemoFailed("The outcomes do not add up to the people targeted. This is a fault of Campaign.")


def take_back(teller: Teller, delivery: Delivery, run: AnalysisRun) -> None:
    """Receive what comes back for the messages of a delivery, as from a mailbox, and print what follows from it."""
    sent = DeliveryLog.objects.filter(run=run, status=LogStatus.SENT).values_list("address", flat=True)
    found = Counter(provider.behaviour(address, outage=teller.outage) for address in sent)
    wanted = sum(number for behaviour, number in found.items() if behaviour)
    received, moved = 0, time.monotonic()
    while received < wanted:
        number = receive_returned()
        if number:
            received, moved = received + number, time.monotonic()
            teller.console.progress(f"{received} of {wanted} received")
        teller.supervisor.check()
        if time.monotonic() - moved > PATIENCE:
            raise DemoFailed(f"Only {received} of {wanted} messages came back. This is a fault of the demonstration.")
        time.sleep(POLL)
    left_out = QuarantinedAddress.objects.blocking(timezone.now()).filter(quarantined_at__gte=run.at)
    causes = Counter(Cause(cause) for cause in left_out.values_list("cause", flat=True) if cause)
    teller.console.table(
        [
            ("Messages that came back, answers and complaints", received),
            ("- Not written to from now on: no such mailbox (also those refused at once)", causes[Cause.BOUNCE]),
            ("- Not written to from now on: complaint", causes[Cause.COMPLAINT]),
            ("- Automatic replies, from which nothing follows", found[provider.Behaviour.AWAY]),
        ]
    )
    refused = Counter(provider.behaviour(address) for address in _addresses(run, LogStatus.FAILED))
    mistaken = found[provider.Behaviour.OUTAGE]
    if causes[Cause.BOUNCE] != found[provider.Behaviour.RETURNED] + mistaken + refused[provider.Behaviour.UNKNOWN]:
        raise DemoFailed("Not every address that does not exist is left out now. This is a fault of Campaign.")
    if mistaken:
        teller.console.lines(
            f"{mistaken} of these came back from {provider.OUTAGE_DOMAIN}, whose list of mailboxes did not answer\n"
            "for a while: people who do exist. That is undone in a few clicks (see below)."
        )


def receive_returned() -> int:
    """Have the messages that came back received by the command that a mail server would call; return how many."""
    where = caught.returned(caught.folder())
    files = sorted(where.glob("*.eml"))
    if files:
        call_command("receive_mail", *map(str, files), stdout=StringIO())
        for file in files:
            file.unlink()
    return len(files)


def compare(teller: Teller, delivery: Delivery, expected: Counter[str], *, mark: str) -> list[caught.Caught]:
    """Check that the mail catcher holds what the analysis kept, no more and no less; return these messages.

    What counts is the envelope: to whom the mail server was told to deliver. The pages answer meanwhile, so a
    visitor may have opted somebody out before their message left; that one is not missing.
    """
    assert delivery.current_run is not None  # noqa: S101 (it has just been sent)
    refused = Counter({key: 1 for key in expected if provider.refusal(key)})
    if (failed := _keys(delivery.current_run, LogStatus.FAILED)) != refused:
        raise DemoFailed(f"Refused are {_some(failed - refused)}, and not {_some(refused - failed)}.")
    expected = expected - _keys(delivery.current_run, LogStatus.SUPPRESSED) - refused
    ours = [message for message in caught.since(caught.folder(), mark) if _is_of(message, delivery)]
    received = Counter(_key(recipient) for message in ours for recipient in message.recipients)
    missing, unexpected = expected - received, received - expected
    if missing or unexpected:
        raise DemoFailed(
            f"The mail server did not get what the analysis kept: {missing.total()} missing, "
            f"{unexpected.total()} unexpected. Missing: {_some(missing)}. Unexpected: {_some(unexpected)}."
        )
    teller.console.lines(
        f"The mail server refused {refused.total()} addresses. It holds {len(ours):,} messages, for exactly the\n"
        f"{expected.total():,} others that the analysis kept: nobody is missing, nobody got it twice, nobody who was\n"
        "left out got it."
    )
    return ours


def _must_add_up(run: AnalysisRun, found: reports.Waterfall) -> None:
    """Compare the table, which is read from counters, with the rows themselves."""
    rows = DeliveryLog.objects.filter(run=run)
    kept, targeted = rows.filter(status=LogStatus.PENDING).count(), rows.count()
    if (kept, targeted) != (found.to_send, found.targeted) or found.left_out + kept != targeted:
        raise DemoFailed(
            f"The lines do not add up: {targeted:,} targeted, {found.left_out:,} left out, {kept:,} to send. "
            "This is a fault of Campaign."
        )


def _must_agree(delivery: Delivery, run: AnalysisRun) -> None:
    """Compare what the analysis kept with what the rules say when they are applied to one person after the other."""
    kept, wanted = to_send(run), oracle.expected(delivery, at=run.at)
    if kept != wanted:
        raise DemoFailed(
            "The analysis did not keep the addresses that the rules say. Left out without a reason: "
            f"{_some(wanted - kept)}. Kept in spite of one: {_some(kept - wanted)}. This is a fault of Campaign."
        )


def _keys(run: AnalysisRun, status: LogStatus) -> Counter[str]:
    return Counter(_key(address) for address in _addresses(run, status))


def _addresses(run: AnalysisRun, status: LogStatus) -> Iterable[str]:
    return DeliveryLog.objects.filter(run=run, status=status).values_list("address", flat=True)


def _is_of(message: caught.Caught, delivery: Delivery) -> bool:
    return str(message.headers.get("Feedback-ID", "")) == messages.feedback_id(delivery.brand_id, delivery.pk)


def _key(address: str) -> str:
    """Return what two spellings of an address have in common: the wire carries domains as A-labels."""
    return read(Channel.EMAIL, address).key


def _some(addresses: Counter[str]) -> str:
    return ", ".join(sorted(addresses)[:5]) or "none"
