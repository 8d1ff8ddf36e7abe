"""The number of people criteria mean, exactly or about, and a few of them."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import DatabaseError, connection
from django.utils import timezone
from django.utils.translation import override

from deliveries import audiences, criteria
from deliveries.audiences import Size
from profiles.models import Profile
from profiles.time_limits import TookTooLong, limited
from tests.factories import ProfileFactory, ServiceFactory

pytestmark = pytest.mark.django_db
AT = timezone.now()
FRENCH = {"field": "language", "op": "in", "value": ["fr"]}
SLOW = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000000) SELECT count(*) FROM n"


def people(number: int, **more: object) -> list[Profile]:
    made = [Profile(first_name=f"P{n}", language="fr" if n % 4 else "en", **more) for n in range(number)]
    return Profile.objects.bulk_create(made)


def test_up_to_the_limit_the_number_is_exact() -> None:
    people(12)
    assert audiences.size(criteria.read(FRENCH), at=AT, upto=9) == Size(9, exact=True)
    assert audiences.size(criteria.read({}), at=AT, upto=12) == Size(12, exact=True)


def test_beyond_the_limit_it_is_an_estimate_close_to_the_truth() -> None:
    people(2_000)
    found = audiences.size(criteria.read(FRENCH), at=AT, upto=100, ranges=10, width=40)
    assert not found.exact
    assert abs(found.number - 1_500) <= 300


def test_an_estimate_reads_joined_tables_in_the_same_ranges() -> None:
    service = ServiceFactory.create()
    for number in range(60):
        ProfileFactory.create(services=[service] if number % 2 else [], email="")
    tree = criteria.read({"field": "subscription", "op": "in", "value": [service.pk]})
    found = audiences.size(tree, at=AT + timedelta(days=1), upto=5, ranges=5, width=6)
    assert (found.number, found.exact) == (30, False)


def test_ranges_that_would_meet_count_everybody() -> None:
    people(50)
    Profile.objects.filter(pk__in=Profile.objects.values("pk")[10:20]).delete()
    assert audiences.size(criteria.read({}), at=AT, upto=10, ranges=10, width=100) == Size(40, exact=True)


def test_nobody_at_all() -> None:
    assert audiences.size(criteria.read({}), at=AT) == Size(0, exact=True)
    assert audiences.size(criteria.read({}), at=AT, upto=-1) == Size(0, exact=True)
    assert audiences.sample(criteria.read({}), at=AT) == []


def test_a_count_that_takes_too_long_becomes_an_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    made = people(300)
    monkeypatch.setattr(audiences, "RANGES", 3)
    monkeypatch.setattr(audiences, "WIDTH", 50)
    monkeypatch.setattr(audiences, "limited", lambda span: given_up())
    found = audiences.size(criteria.read({}), at=AT, ranges=3, width=50)
    assert (found.number, found.exact) == (300, False)
    some = audiences.sample(criteria.read({}), at=AT, n=2)
    assert [person.pk for person in some] == [made[25].pk, made[26].pk]


class given_up:  # noqa: N801
    """Stands for a limit that has passed already."""

    def __enter__(self) -> None:
        raise TookTooLong

    def __exit__(self, *error: object) -> None:
        """Do nothing."""


def test_a_sample_shows_the_first_few() -> None:
    made = people(9)
    assert audiences.sample(criteria.read(FRENCH), at=AT, n=3) == [made[1], made[2], made[3]]


def test_a_number_reads_as_what_it_is() -> None:
    with override("en"):
        assert str(Size(1, exact=True)) == "1 person"
        assert str(Size(12_345, exact=True)) == "12,345 people"
        assert str(Size(1_237_411, exact=False)) == "about 1,240,000 people"
    with override("fr"):
        assert (
            str(Size(1_237_411, exact=False)).replace("\u202f", " ").replace("\xa0", " ")
            == "environ 1 240 000 personnes"
        )


def test_a_slow_question_is_given_up_and_the_next_one_is_not() -> None:
    with pytest.raises(TookTooLong), limited(timedelta(milliseconds=50)), connection.cursor() as cursor:
        cursor.execute(SLOW)
    with limited(timedelta(seconds=5)):
        assert Group.objects.exists()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('statement_timeout')")
            assert cursor.fetchone()[0] == "0"


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(DatabaseError) as caught, limited(timedelta(seconds=5)), connection.cursor() as cursor:
        cursor.execute("SELECT nothing FROM nowhere")
    assert not isinstance(caught.value, TookTooLong)
