"""No message makes the parser fail, however spoilt it is. `make fuzz` reads a hundred thousand; here is a sample."""

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from quarantine.inbound import reports
from tests import fuzz
from tests.quarantine.corpus import samples
from tests.quarantine.mutants import HEAVY, LIGHT, Spoil, mutant

if TYPE_CHECKING:
    from quarantine.inbound.reports import Finding


def test_two_thousand_mutants_are_read(tmp_path: Path) -> None:
    line = fuzz.play("now", "suite", 0, 2_000, tmp_path)
    assert not line.failures, "\n".join(path.read_text() for path in sorted(tmp_path.glob("*.txt")))


@pytest.mark.parametrize("spoil", [*LIGHT, *HEAVY], ids=lambda spoil: spoil.__name__)
def test_every_way_to_spoil_a_message_is_survived(spoil: Spoil) -> None:
    """One after the other, so that none of them depends on a draw."""
    chance = random.Random(spoil.__name__)
    few = chance.sample(samples(), 12)
    assert [wrong for sample in few if (wrong := fuzz.failure_of(spoil(chance, sample.raw))[0])] == []


def test_a_mutant_can_be_made_again() -> None:
    assert mutant("1", 7) == mutant("1", 7)
    assert len({mutant("1", number)[1] for number in range(200)}) > 190


def test_an_exception_is_noticed_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(raw: bytes) -> "Finding":
        raise RecursionError

    monkeypatch.setattr(reports, "understand", broken)
    line = fuzz.play("now", "suite", 0, 2, tmp_path)
    assert line.failures == [0, 1]
    assert "RecursionError" in next(tmp_path.glob("*-suite-0.txt")).read_text()
    assert next(tmp_path.glob("*-suite-0.eml")).read_bytes() == mutant("suite", 0)[1]


def test_a_call_that_does_not_end_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(raw: bytes) -> "Finding":
        while True:
            pass

    monkeypatch.setattr(reports, "understand", endless)
    monkeypatch.setattr(fuzz, "SECONDS", 0.05)
    assert "TooSlow" in fuzz.failure_of(b"")[0]


def test_a_call_that_takes_much_memory_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    understand = reports.understand

    def greedy(raw: bytes) -> "Finding":
        assert bytearray(60_000_000)
        return understand(raw)

    monkeypatch.setattr(reports, "understand", greedy)
    peaks = iter((100, 160, 160, 160))
    monkeypatch.setattr(fuzz, "_peak", lambda: next(peaks))
    monkeypatch.setattr(fuzz, "MEGABYTES", 50)
    assert "60 MB" in fuzz.failure_of(b"")[0]


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = tmp_path / "fuzz.jsonl"
    assert fuzz.fuzz(3, "suite", board) == 0
    assert fuzz.fuzz(5, "suite", board) == 0
    pieces = [(line["first"], line["number"]) for line in fuzz.known(board, of=fuzz.version(), seed="suite")]
    assert pieces == [(0, 3), (3, 2)]
    assert fuzz.known(board, of="another", seed="suite") == []
