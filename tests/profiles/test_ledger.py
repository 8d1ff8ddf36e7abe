"""The ledger: append-only in the database, and flags and subscriptions are its fold."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiles import consent, triggers
from profiles.blacklist import FLAGS
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.errors import LiftNeedsReason, LiftRefused
from profiles.models import Act, Address, ConsentEvent, ErasedOptOut, Profile, Source, Subscription, Wording
from quarantine.models import QuarantineEvent
from tests.factories import ProfileFactory, ServiceFactory, add_address

pytestmark = pytest.mark.django_db
NOW = timezone.now()
BY = Evidence(source=Source.OPERATOR, actor_name="emilie", reason="asked", ip="192.0.2.1", user_agent="Browser")
BY_PERSON = Evidence(source=Source.LANDING_PAGE)


def refused(*, sql: str) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)
    except DatabaseError as error:
        return "append-only" in str(error)
    return False


@pytest.mark.parametrize("table", ["profiles_consentevent", "profiles_wording", "quarantine_quarantineevent"])
def test_the_database_refuses_to_change_or_delete_the_ledger(table: str) -> None:
    person = ProfileFactory.create()
    consent.opt_out([person.pk], channel=None, evidence=BY, at=NOW)
    consent.cite("text", "en")
    QuarantineEvent.objects.create(entry_id=1, channel=1, digest=b"x" * 16, after=2, source="operator")
    columns = {"profiles_wording": "text"}
    assert refused(sql=f"UPDATE {table} SET {columns.get(table, 'source')} = 'x'")
    assert refused(sql=f"DELETE FROM {table}")


def test_personal_columns_can_be_blanked_and_nothing_else() -> None:
    person = ProfileFactory.create()
    consent.opt_out([person.pk], channel=None, evidence=BY, at=NOW)
    ConsentEvent.objects.update(ip="", user_agent="")
    event = ConsentEvent.objects.get()
    assert (event.ip, event.user_agent, event.reason) == ("", "", "asked")
    assert refused(sql="UPDATE profiles_consentevent SET ip = '192.0.2.2'")
    assert refused(sql="UPDATE profiles_consentevent SET reason = 'other'")


def test_a_ledger_made_by_an_older_version_refuses_to_change_columns_that_were_added_since() -> None:
    QuarantineEvent.objects.create(entry_id=1, channel=1, digest=b"x" * 16, after=2, source="operator")
    name, table = "quarantine_quarantineevent_no_update", "quarantine_quarantineevent"
    old = "EXECUTE FUNCTION campaign_append_only()"
    if connection.vendor == "sqlite":
        old = "BEGIN SELECT RAISE(ABORT, 'append-only'); END"
    on, each = (f" ON {table}", "FOR EACH ROW") if connection.vendor == "postgresql" else ("", "")
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER {name}{on}")
        cursor.execute(f"CREATE TRIGGER {name} BEFORE UPDATE OF source ON {table} {each} {old}")
    triggers.install_ledger_triggers()
    assert refused(sql=f"UPDATE {table} SET outage_id = 7")


def test_a_check_notices_a_missing_trigger() -> None:
    assert triggers.missing() == []
    on = " ON profiles_wording" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER profiles_wording_no_delete{on}")
    assert triggers.missing() == ["profiles_wording"]
    triggers.install_ledger_triggers()
    assert triggers.missing() == []


def test_an_opt_out_is_written_once_with_its_evidence() -> None:
    person = ProfileFactory.create()
    assert len(consent.opt_out([person.pk], channel=Channel.SMS, evidence=BY, at=NOW)) == 1
    assert len(consent.opt_out([person.pk], channel=Channel.SMS, evidence=BY, at=NOW)) == 0
    event = ConsentEvent.objects.get()
    assert (event.act, event.channel, event.source, event.actor_name) == (
        Act.OPT_OUT,
        Channel.SMS,
        "operator",
        "emilie",
    )
    person.refresh_from_db()
    assert [flag for flag in FLAGS.values() if getattr(person, flag)] == ["blacklisted_sms"]


@pytest.mark.parametrize("source", sorted(set(Source) - consent.LIFTERS))
def test_no_machine_lifts_an_opt_out(source: Source) -> None:
    person = ProfileFactory.create(blacklisted=True)
    with pytest.raises(LiftRefused):
        consent.opt_in([person.pk], channel=None, evidence=Evidence(source=source, reason="x"), at=NOW)


def test_an_operator_lifts_an_opt_out_with_a_reason_only() -> None:
    person = ProfileFactory.create(blacklisted=True)
    with pytest.raises(LiftNeedsReason):
        consent.opt_in([person.pk], channel=None, evidence=Evidence(source=Source.OPERATOR, reason=" "), at=NOW)
    consent.opt_in([person.pk], channel=None, evidence=BY, at=NOW)
    person.refresh_from_db()
    assert not person.blacklisted


def test_an_ended_subscription_can_begin_again_and_a_limited_one_ends_by_itself() -> None:
    service = ServiceFactory.create(validity_days=30)
    person = ProfileFactory.create()
    consent.subscribe([person.pk], service, evidence=BY_PERSON, at=NOW)
    assert not Subscription.objects.active(NOW + timedelta(days=30)).exists()
    assert len(consent.subscribe([person.pk], service, evidence=BY_PERSON, at=NOW + timedelta(days=1))) == 0
    assert len(consent.subscribe([person.pk], service, evidence=BY_PERSON, at=NOW + timedelta(days=40))) == 1
    assert consent.expire_subscriptions(NOW + timedelta(days=80)) == 1
    assert list(ConsentEvent.objects.order_by("pk").values_list("act", flat=True))[-1] == Act.EXPIRE


def test_an_address_opts_out_everybody_who_has_it() -> None:
    first = ProfileFactory.create(email="a@example.org")
    second = ProfileFactory.create(email="A@Example.org")
    other = ProfileFactory.create()
    digest = bytes(Address.make(Channel.EMAIL, "a@example.org").digest)
    consent.opt_out_address(Channel.EMAIL, digest, service=None, flag=Channel.EMAIL, evidence=BY_PERSON, at=NOW)
    assert set(Profile.objects.blacklisted(Channel.EMAIL)) == {first, second}
    assert other not in Profile.objects.blacklisted(Channel.SMS)


@pytest.mark.parametrize("flag", [None, Channel.EMAIL])
def test_an_opt_out_of_an_address_that_nobody_has_waits_for_them(flag: Channel | None) -> None:
    digest = bytes(Address.make(Channel.EMAIL, "gone@example.org").digest)
    consent.opt_out_address(Channel.EMAIL, digest, service=None, flag=flag, evidence=BY_PERSON, at=NOW)
    consent.opt_out_address(Channel.EMAIL, digest, service=None, flag=flag, evidence=BY_PERSON, at=NOW)
    assert ErasedOptOut.objects.count() == 1
    person = ProfileFactory.create(email="GONE@example.org")
    consent.apply_erased_opt_outs([person.pk], at=NOW)
    person.refresh_from_db()
    assert getattr(person, FLAGS[flag])


def test_bulk_changes_take_the_same_number_of_queries_for_any_number(django_assert_max_num_queries: Any) -> None:
    ids = [ProfileFactory.create(email="").pk for _n in range(300)]
    # One lock, one update, and the events in as many inserts as SQLite's limit on variables asks for.
    with django_assert_max_num_queries(12):
        assert len(consent.opt_out(ids, channel=Channel.EMAIL, evidence=BY, at=NOW)) == 300


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["opt_out", "opt_in", "subscribe", "unsubscribe", "address", "share"]),
        st.integers(0, 2),
        st.sampled_from([None, Channel.EMAIL, Channel.SMS]),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTS)
def test_flags_and_subscriptions_are_the_fold_of_the_ledger(db: None, acts: Any) -> None:
    with transaction.atomic():
        service = ServiceFactory.create()
        people = [ProfileFactory.create() for _n in range(3)]
        for step, (act, who, channel) in enumerate(acts):
            at, person = NOW + timedelta(minutes=step), people[who]
            if act == "opt_out":
                consent.opt_out([person.pk], channel=channel, evidence=BY, at=at)
            elif act == "opt_in":
                consent.opt_in([person.pk], channel=channel, evidence=BY, at=at)
            elif act == "subscribe":
                consent.subscribe([person.pk], service, evidence=BY_PERSON, at=at)
            elif act == "unsubscribe":
                consent.unsubscribe([person.pk], service, evidence=BY_PERSON, at=at)
            elif act == "share":
                value = people[0].addresses.first().value
                if who and not person.addresses.filter(value=value).exists():
                    add_address(person, Channel.EMAIL, value)
            else:
                digest = bytes(person.addresses.first().digest)
                consent.opt_out_address(Channel.EMAIL, digest, service=None, flag=channel, evidence=BY_PERSON, at=at)
        for person in people:
            person.refresh_from_db()
            flags, subscribed = fold(person.pk)
            assert {name for name in FLAGS.values() if getattr(person, name)} == flags
            assert person.subscriptions.exists() == subscribed
        transaction.set_rollback(True)


def fold(profile: int) -> tuple[set[str], bool]:
    flags: set[str] = set()
    subscribed = False
    for event in ConsentEvent.objects.filter(profile_id=profile).order_by("pk"):
        name = FLAGS[Channel(event.channel) if event.channel else None]
        if event.act == Act.OPT_OUT:
            flags.add(name)
        elif event.act == Act.OPT_IN:
            flags.discard(name)
        else:
            subscribed = event.act == Act.SUBSCRIBE
    return flags, subscribed


def test_a_text_is_stored_once_per_language_and_cited() -> None:
    assert consent.cite("Bonjour", "fr") == consent.cite("Bonjour", "fr")
    assert consent.cite("Bonjour", "en") != consent.cite("Bonjour", "fr")
    assert Wording.objects.count() == 2
