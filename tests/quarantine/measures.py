"""Measure how well messages that come back are understood, and say where they are not.

python -m tests.quarantine.measures            the measures, and each miss
python -m tests.quarantine.measures FOLDER     write the samples there, one file each, as a mail server would
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from quarantine.inbound.reports import Finding, Recipient, understand
from quarantine.models import Reason
from tests.quarantine.corpus import Expected, Sample, samples


@dataclass(frozen=True, slots=True)
class Measure:
    """One ratio, in per cent of `out_of`; `floor` and `ceiling` are what it has to keep to."""

    name: str
    floor: float = 0.0
    ceiling: float = 100.0


DETECTED = Measure("bounces detected", floor=98.9)
RECALL = Measure("recipients found", floor=97.5)
EXTRA = Measure("wrong extra recipients", ceiling=1.0)
FAILURE = Measure("hard, soft or ignored right", floor=95.0)
REASON = Measure("reason right", floor=95.0)
STATUS = Measure("status right", floor=95.0)
COMPLAINTS = Measure("complaints detected", floor=100.0)
AUTOMATIC = Measure("automatic replies told from others", floor=95.0)
FALSE = Measure("false positives", ceiling=1.0)
FALSE_ORDINARY = Measure("false positives on ordinary mail", ceiling=0.0)
MEASURES = (DETECTED, RECALL, EXTRA, FAILURE, REASON, STATUS, COMPLAINTS, AUTOMATIC, FALSE, FALSE_ORDINARY)


@dataclass(frozen=True, slots=True)
class Vote:
    """One thing that was looked at in one message: whether it counts, and what is wrong with it, if anything."""

    measure: Measure
    counts: bool
    sample: str
    wrong: str = ""


def all_votes() -> list[Vote]:
    return [vote for sample in samples() for vote in votes(sample, understand(sample.raw))]


def votes(sample: Sample, found: Finding) -> Iterator[Vote]:
    """Compare what was found in a message with what is to be found."""
    kind = str(found.kind)
    told = "" if kind in sample.kinds else f"{kind} instead of {' or '.join(sorted(sample.kinds))}"
    if sample.kind in ("bounce", "complaint"):
        yield Vote(DETECTED if sample.kind == "bounce" else COMPLAINTS, not told, sample.name, told)
    else:
        blamed = [one.address for one in found.recipients if _failure(one) in ("hard", "soft")]
        told = told or (f"{blamed} blamed" if blamed and "bounce" not in sample.kinds else "")
        yield Vote(AUTOMATIC, not told, sample.name, told)
        if not sample.kinds & {"bounce", "complaint"}:
            positive = kind in ("bounce", "complaint") or bool(blamed)
            measure = FALSE_ORDINARY if sample.family == "ordinary" else FALSE
            yield Vote(measure, positive, sample.name, told if positive else "")
            return
    yield from _of_recipients(sample, {one.address.casefold(): one for one in found.recipients})


def _of_recipients(sample: Sample, found: dict[str, Recipient]) -> Iterator[Vote]:
    expected = {one.address.casefold(): one for one in sample.recipients}
    for address in found:
        extra = address not in expected
        yield Vote(EXTRA, extra, sample.name, f"{address} is none of its recipients" if extra else "")
    for address, one in expected.items():
        if address in found:
            yield from _of_one(sample, one, found[address])
        if not one.optional:
            missing = address not in found
            yield Vote(RECALL, not missing, sample.name, f"{address} was not found" if missing else "")


def _of_one(sample: Sample, expected: Expected, found: Recipient) -> Iterator[Vote]:
    reason = Reason(found.failure.reason).name.lower() if found.failure else ""
    for measure, allowed, got in (
        (FAILURE, expected.failures, _failure(found)),
        (REASON, expected.reasons, reason),
        (STATUS, expected.statuses, found.status or ""),
    ):
        if allowed:
            wrong = f"{found.address}: {got or 'none'} instead of {' or '.join(sorted(allowed)) or 'none'}"
            wrong += f" ({found.diagnostic[:100]})"
            yield Vote(measure, got in allowed, sample.name, "" if got in allowed else wrong)


def _failure(found: Recipient) -> str:
    return str(found.failure.kind.value) if found.failure else ""


def table(looked_at: Iterable[Vote]) -> tuple[list[str], list[str]]:
    """Return one line per measure, and the names of the measures that are not kept."""
    by_measure: dict[Measure, list[Vote]] = {measure: [] for measure in MEASURES}
    for vote in looked_at:
        by_measure[vote.measure].append(vote)
    lines, broken = [], []
    for measure, cast in by_measure.items():
        count = sum(vote.counts for vote in cast)
        ratio = 100 * count / len(cast) if cast else measure.floor
        wanted = f"at least {measure.floor:g}" if measure.floor else f"at most {measure.ceiling:g}"
        lines.append(f"{measure.name:36} {count:4} of {len(cast):4} = {ratio:6.2f} % ({wanted})")
        if not measure.floor <= ratio <= measure.ceiling:
            broken.append(measure.name)
    return lines, broken


def misses(looked_at: Iterable[Vote]) -> list[str]:
    return [f"{vote.measure.name}: {vote.sample}: {vote.wrong}" for vote in looked_at if vote.wrong]
