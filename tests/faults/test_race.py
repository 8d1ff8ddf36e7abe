"""A sample of the race (`make race`): no claim after a suppression, and both broken claims are found out."""

import os

import pytest

from tests.faults.race import MUTATIONS, race

PEOPLE = int(os.environ.get("RACE_PEOPLE", "1200"))

# On a server of its own: it needs the moments of commits.
pytestmark = [pytest.mark.postgres, pytest.mark.slow]


def test_nobody_is_written_to_whose_suppression_was_committed_before_the_claim() -> None:
    found = race(PEOPLE)
    assert found.violations == 0
    assert found.met > 0, "some were suppressed while their message was leaving"
    assert sum(found.suppressions.values()) > PEOPLE / 20
    assert not [name for name in found.acts if name.startswith("failed")]
    assert sum(found.statuses.values()) == PEOPLE
    assert found.accepted == found.claims == found.statuses["4"]


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_claim_without_its_locks_or_in_one_statement_is_found_out(mutation: str) -> None:
    assert race(PEOPLE, mutation=mutation).violations > 0
