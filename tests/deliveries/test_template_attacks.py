"""Whatever a template tries, it ends within a second of work and 50 megabytes: refused, or with little to show."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.deliveries.attacking import ATTACKS


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Any]:
    """Run all attacks, each in a process whose memory and time are limited by the system."""
    command = [sys.executable, "-m", "tests.deliveries.attacking"]
    done = subprocess.run(
        command, env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}, capture_output=True, timeout=300,
        check=True,
    )  # fmt: skip
    return dict(json.loads(done.stdout))


@pytest.mark.slow
@pytest.mark.parametrize("part", ["", ", as text"])
@pytest.mark.parametrize("attack", list(ATTACKS))
def test_an_attack_is_refused_or_bounded(outcomes: dict[str, Any], attack: str, part: str) -> None:
    found = outcomes[attack + part]
    assert found["outcome"] in ("refused", "bounded")
    assert found["seconds"] < 1
    assert found["memory"] < 50_000_000


REFUSED = (
    "loops in loops", "a long range", "ifs in ifs", "captures that double", "includes", "renders", "a table of rows",
    "many outputs in a loop", "loops after loops", "increments", "deep brackets", "many outputs", "openings only",
    "deep elements", "a file in MJML", "sections in sections",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("attack", REFUSED)
def test_what_is_never_needed_is_refused_rather_than_cut(outcomes: dict[str, Any], attack: str) -> None:
    assert outcomes[attack]["outcome"] == "refused"
