"""`verify_consent` finds what somebody did behind the ledger's back, and nothing else."""

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from profiles import consent, seals, triggers
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import ConsentEvent, ConsentSeal, ErasedOptOut, Profile, Source, Subscription, UnsealedEvent
from profiles.verify import Problem, verify
from tests.factories import ProfileFactory, ServiceFactory

pytestmark = pytest.mark.django_db
NOW = timezone.now()
BY = Evidence(source=Source.OPERATOR, actor_name="emilie", reason="asked", ip="192.0.2.1", user_agent="Browser")


@pytest.fixture
def ledger() -> list[ConsentEvent]:
    """Six events, of which the first five are sealed, in two seals."""
    people = [ProfileFactory.create().pk for _n in range(4)]
    service = ServiceFactory.create(validity_days=30)
    consent.opt_out(people[:2], channel=Channel.EMAIL, evidence=BY, at=NOW)
    consent.agree(people[0], consent.cite("I agree.", "en"), evidence=BY, at=NOW)
    assert seals.seal(NOW) == 3
    consent.subscribe(people[2:3], service, evidence=BY, at=NOW)
    consent.opt_out_address(Channel.EMAIL, b"nobody's address", service=None, evidence=BY, at=NOW)
    assert seals.seal(NOW + timedelta(minutes=1)) == 2
    consent.opt_out(people[3:], channel=None, evidence=BY, at=NOW)
    return list(ConsentEvent.objects.order_by("pk"))


def behind_its_back(sql: str) -> None:
    """Change the ledger as somebody does who owns the database: without the triggers."""
    with triggers.lifted(connection), connection.cursor() as cursor:
        cursor.execute(sql)


def kinds() -> set[Problem]:
    return set(verify().counts)


def test_a_whole_ledger_is_clean_and_its_tail_is_told(ledger: list[ConsentEvent]) -> None:
    report = verify()
    assert report.problems == []
    assert (report.profiles, report.events, report.sealed, report.unsealed, report.seals) == (4, 6, 5, 1, 2)
    assert report.head == str(ConsentSeal.objects.get(number=2))


@pytest.mark.parametrize(
    "change",
    [
        "source = 'import'", "act = 'opt_in'", "profile_id = 99", "at = '2020-01-01 00:00:00+00:00'", "channel = NULL",
        "actor_name = 'somebody else'", "reason = 'another'", "ip = '192.0.2.9'", "language = 'fr'", "wording_id = 77",
    ],
)  # fmt: skip
def test_an_edited_event_is_found(ledger: list[ConsentEvent], change: str) -> None:
    behind_its_back(f"UPDATE profiles_consentevent SET {change} WHERE id = {ledger[1].pk}")
    report = verify()
    assert (Problem.EVENT, f"event {ledger[1].pk} of seal 1 was edited") in report.problems


def test_a_deleted_sealed_event_is_found(ledger: list[ConsentEvent]) -> None:
    behind_its_back(f"DELETE FROM profiles_consentevent WHERE id = {ledger[2].pk}")
    assert (Problem.EVENT, f"event {ledger[2].pk} of seal 1 was deleted") in verify().problems


def test_an_event_deleted_before_its_seal_is_found(ledger: list[ConsentEvent]) -> None:
    behind_its_back(f"DELETE FROM profiles_consentevent WHERE id = {ledger[5].pk}")
    seals.seal(NOW)
    problems = verify().problems
    assert (Problem.EVENT, f"event {ledger[5].pk} was deleted before it was sealed") in problems
    assert Problem.FLAG in {kind for kind, _text in problems}


def test_an_event_that_was_slipped_in_is_found(ledger: list[ConsentEvent]) -> None:
    with triggers.lifted(connection):
        event = ConsentEvent.objects.create(act="agreement", source="operator")
    assert verify().problems == [(Problem.EVENT, f"event {event.pk} is not sealed and does not wait for a seal")]


@pytest.mark.parametrize("field", ["blacklisted", "blacklisted_sms"])
def test_a_flag_changed_behind_the_ledgers_back_is_found(ledger: list[ConsentEvent], field: str) -> None:
    person = Profile.objects.order_by("pk")[2]
    Profile.objects.filter(pk=person.pk).update(**{field: True})
    assert verify().problems == [(Problem.FLAG, f"profile {person.pk}: {field} is True, its events say False")]


def test_a_lifted_flag_is_found(ledger: list[ConsentEvent]) -> None:
    Profile.objects.filter(blacklisted=True).update(blacklisted=False)
    assert kinds() == {Problem.FLAG}


@pytest.mark.parametrize(
    "change",
    [
        lambda: Subscription.objects.all().delete(),
        lambda: Subscription.objects.update(expires_at=None),
        lambda: Subscription.objects.create(
            service=ServiceFactory.create(), profile=Profile.objects.order_by("pk")[0], source="api"
        ),
    ],
    ids=["ended", "prolonged", "invented"],
)
def test_a_subscription_that_no_event_explains_is_found(
    ledger: list[ConsentEvent], change: Callable[[], object]
) -> None:
    change()
    assert kinds() == {Problem.SUBSCRIPTION}


def test_a_kept_opt_out_that_was_removed_or_invented_is_found(ledger: list[ConsentEvent]) -> None:
    ErasedOptOut.objects.all().delete()
    ErasedOptOut.objects.create(digest=b"another address.")
    report = verify()
    assert report.counts == {Problem.KEPT_OPT_OUT: 2}


@pytest.mark.parametrize("model", triggers.LEDGERS)
def test_a_dropped_trigger_is_found(ledger: list[ConsentEvent], model: str) -> None:
    from django.apps import apps

    for name in triggers.names_of(connection, apps.get_model(model)):
        table = apps.get_model(model)._meta.db_table
        on = f" ON {table}" if connection.vendor == "postgresql" else ""
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TRIGGER {name}{on}")
        assert kinds() == {Problem.TRIGGER}, name
        triggers.install_ledger_triggers()
        assert kinds() == set(), name


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE profiles_consentseal SET at = '2020-01-01 00:00:00+00:00' WHERE number = 1",
        "UPDATE profiles_consentseal SET count = 9 WHERE number = 2",
        "DELETE FROM profiles_consentseal WHERE number = 1",
        "UPDATE profiles_consentseal SET events = digest WHERE number = 1",
    ],
)
def test_an_edited_or_deleted_seal_is_found(ledger: list[ConsentEvent], sql: str) -> None:
    behind_its_back(sql)
    assert Problem.SEAL in kinds()


def test_seals_cut_off_at_the_end_show_to_whoever_kept_the_head(ledger: list[ConsentEvent]) -> None:
    head = verify().head
    assert verify(head=head).problems == []
    behind_its_back("DELETE FROM profiles_consentseal WHERE number = 2")
    UnsealedEvent.objects.bulk_create([UnsealedEvent(event.pk) for event in ledger[3:5]])  # a careful forger
    assert verify().problems == []
    assert verify(head=head).problems == [(Problem.SEAL, "the seal 2 that you kept is not in the chain")]


def test_a_seal_made_without_the_key_is_found(ledger: list[ConsentEvent], settings: Any) -> None:
    settings.SUPPRESSION_KEY = "another key"
    seals.seal(NOW)
    settings.SUPPRESSION_KEY = "yet another key"
    assert Problem.SEAL in kinds()


def test_an_edited_text_is_found(ledger: list[ConsentEvent]) -> None:
    behind_its_back("UPDATE profiles_wording SET text = 'I agree to everything.'")
    assert kinds() == {Problem.WORDING}
    behind_its_back("DELETE FROM profiles_wording")
    assert kinds() == {Problem.WORDING}


def test_seals_survive_the_blanking_of_personal_columns(ledger: list[ConsentEvent]) -> None:
    ConsentEvent.objects.update(ip="", user_agent="", actor_name="", reason="")
    assert verify().problems == []


def test_visitors_are_forgotten_after_their_time_and_the_rest_stays(ledger: list[ConsentEvent]) -> None:
    young = ProfileFactory.create().pk
    consent.opt_out([young], channel=None, evidence=BY, at=NOW + timedelta(days=9))
    assert consent.blank_visitors(before=NOW + timedelta(days=1)) == 6
    assert consent.blank_visitors(before=NOW + timedelta(days=1)) == 0
    assert ConsentEvent.objects.exclude(ip="").get().profile_id == young
    assert set(ConsentEvent.objects.values_list("actor_name", "reason")) == {("emilie", "asked")}
    assert verify().problems == []


def test_a_rolled_back_change_leaves_nothing_to_seal(ledger: list[ConsentEvent]) -> None:
    from django.db import transaction

    with transaction.atomic():
        consent.opt_out([ProfileFactory.create().pk], channel=None, evidence=BY, at=NOW)
        transaction.set_rollback(True)
    assert verify().unsealed == 1
    assert seals.seal(NOW) == 1
    assert seals.seal(NOW) == 0


def test_sealing_many_events_takes_few_queries(django_assert_max_num_queries: Any) -> None:
    people = [ProfileFactory.create(email="").pk for _n in range(500)]
    consent.opt_out(people, channel=None, evidence=BY, at=NOW)
    with django_assert_max_num_queries(20):
        assert seals.seal(NOW) == 500


def test_verifying_takes_the_same_number_of_queries_for_any_number(django_assert_max_num_queries: Any) -> None:
    people = [ProfileFactory.create(email="").pk for _n in range(300)]
    consent.opt_out(people, channel=None, evidence=BY, at=NOW)
    seals.seal(NOW)
    with django_assert_max_num_queries(25):
        assert verify().profiles == 300


def run(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("verify_consent", *arguments, stdout=out)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


def test_the_command_tells_what_it_read_and_the_head_to_keep(ledger: list[ConsentEvent]) -> None:
    code, text = run()
    assert code == 0
    assert "Nothing is wrong." in text
    assert str(ConsentSeal.objects.get(number=2)) in text


def test_the_command_fails_when_something_is_wrong(ledger: list[ConsentEvent]) -> None:
    Profile.objects.update(blacklisted_push=True)
    code, text = run()
    assert code == 1
    assert "4 things are wrong." in text
    code, text = run("--json")
    found = json.loads(text)
    assert (code, found["ok"], found["counts"]) == (1, False, {"flag": 4})
    assert (found["events"], found["unsealed"]) == (6, 1)
