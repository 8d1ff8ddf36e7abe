"""Importing people: whom a line is about, what it may change, and what no file can do."""

import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from profiles import consent, imports
from profiles.addresses import Validity
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.digests import digest
from profiles.errors import ImportRefused
from profiles.imports import jobs
from profiles.models import (
    Act,
    Address,
    ConsentEvent,
    ErasedOptOut,
    ImportJob,
    ImportNote,
    Profile,
    Service,
    Source,
    Subscription,
)
from tests.factories import ProfileFactory, QuarantinedAddressFactory, ServiceFactory, UserFactory, add_address

pytestmark = pytest.mark.django_db

State = ImportJob.State
NOW = datetime(2026, 5, 4, 9, tzinfo=UTC)
PERSON = Evidence(source=Source.LANDING_PAGE)
Note = tuple[int, str, str]


def clock() -> datetime:
    return NOW


@pytest.fixture(autouse=True)
def _uploads(tmp_path, settings):
    settings.MEDIA_ROOT = tmp_path


def receive(content: str, *, state: State = State.RUNNING, **options: Any) -> ImportJob:
    asked = imports.Options(**{"provenance": "Fair of May", "basis": "consent", **options})
    return imports.receive(ContentFile(content.encode()), name="people.csv", options=asked, state=state, at=NOW)


def import_(content: str, **options: Any) -> ImportJob:
    job = receive(content, **options)
    imports.run(job.pk, clock=clock)
    job.refresh_from_db()
    return job


def notes(job: ImportJob) -> list[Note]:
    return list(job.notes.order_by("line", "pk").values_list("line", "code", "column"))


def emails(profile: Profile) -> list[str]:
    rows = profile.addresses.filter(channel=Channel.EMAIL).order_by("position")
    assert [row.position for row in rows] == list(range(1, len(rows) + 1))
    return [row.value for row in rows]


def only() -> Profile:
    return Profile.objects.get()


# -- who a line is about --------------------------------------------------------------------------------------


def test_each_documented_column_is_stored():
    job = import_(
        "external_id;first_name;last_name;email;mobile_phone;postal_address;language;country;birth_date;time_zone;"
        "blacklisted_sms;attributes.shoe size\n".replace("shoe size", "shoe_size")
        + 'C1;Zoé;Martin;Zoe@Example.org;06 39 98 00 01;"1 rue A\n69001 Lyon";FR;fr;1980-12-31;Europe/Paris;oui;38\n'
    )
    profile = only()
    assert (job.state, job.created, job.opted_out, job.errors) == (State.DONE, 1, 1, 0)
    assert (profile.external_id, profile.first_name, profile.last_name) == ("C1", "Zoé", "Martin")
    assert (profile.language, profile.country, profile.time_zone) == ("fr", "FR", "Europe/Paris")
    assert (profile.birth_date, profile.attributes) == (date(1980, 12, 31), {"shoe_size": "38"})
    assert profile.blacklisted_sms and not profile.blacklisted
    assert {(a.channel, a.position, a.key) for a in profile.addresses.all()} == {
        (Channel.EMAIL, 1, "zoe@example.org"),
        (Channel.SMS, 1, "+33639980001"),
        (Channel.DIRECT_MAIL, 1, "1 rue a 69001 lyon"),
    }


def test_addresses_and_search_text_are_those_that_the_forms_would_store():
    import_("external_id,first_name,email,mobile_phone,country\nC1,Zoé,Zoe@Example.org,0470 12 34 56,BE\n")
    profile = only()
    stored = profile.search
    profile.refresh_search()
    assert profile.search == stored != ""
    for address in profile.addresses.all():
        same = Address.make(Channel(address.channel), address.value, country=profile.country)
        assert (same.key, same.digest, same.validity) == (address.key, bytes(address.digest), address.validity)


def test_a_person_is_found_by_identifier():
    profile = ProfileFactory(external_id="C1", first_name="Zoe", email="zoe@example.org")
    job = import_("external_id,first_name\nC1,Zoé\n")
    profile.refresh_from_db()
    assert (job.updated, profile.first_name) == (1, "Zoé")


def test_a_person_without_an_identifier_is_found_by_address_in_another_case_and_given_the_identifier():
    profile = ProfileFactory(email="zoe@example.org")
    job = import_("external_id,email\nC1,ZOE@EXAMPLE.ORG\n")
    profile.refresh_from_db()
    assert (job.updated, profile.external_id, emails(profile)) == (1, "C1", ["zoe@example.org"])


def test_of_several_people_with_an_address_the_oldest_is_meant():
    oldest, youngest = ProfileFactory(email="a@example.org"), ProfileFactory(email="a@example.org")
    import_("email,first_name\na@example.org,Max\n")
    oldest.refresh_from_db()
    youngest.refresh_from_db()
    assert (oldest.first_name, youngest.first_name) == ("Max", "Zoé")


def test_an_empty_cell_changes_nothing():
    profile = ProfileFactory(external_id="C1", email="zoe@example.org", birth_date=date(1980, 1, 1))
    before = Profile.objects.values().get()
    job = import_("external_id,email,first_name,birth_date,blacklisted,attributes.a\nC1,,,  ,,\n")
    assert (job.unchanged, job.upto) == (1, 1)
    assert Profile.objects.values().get() == before
    assert emails(profile) == ["zoe@example.org"]


def test_importing_a_file_twice_changes_nothing_the_second_time():
    content = "external_id,email,first_name,attributes.a\nC1,a@example.org,Zoé,1\n,b@example.org,Max,\n"
    import_(content)
    before = list(Profile.objects.order_by("pk").values()), list(Address.objects.order_by("pk").values())
    job = import_(content)
    assert (job.unchanged, job.created, job.updated) == (2, 0, 0)
    assert (list(Profile.objects.order_by("pk").values()), list(Address.objects.order_by("pk").values())) == before


def test_a_number_among_the_attributes_stays_a_number_when_the_file_says_the_same():
    ProfileFactory(external_id="C1", attributes={"size": 38, "kept": True})
    assert import_("external_id,attributes.size\nC1,38\n").unchanged == 1
    assert only().attributes == {"size": 38, "kept": True}


def test_two_lines_for_one_person_apply_in_the_order_of_the_file():
    job = import_("external_id,email,first_name\nC1,a@example.org,Zoé\n,A@example.org,Max\nC1,,Léa\n")
    assert (job.created, job.updated, only().first_name) == (1, 2, "Léa")


def test_a_new_address_becomes_the_primary_one_and_none_is_lost():
    profile = ProfileFactory(external_id="C1", email="one@example.org")
    add_address(profile, Channel.EMAIL, "two@example.org")
    import_("external_id,email\nC1,three@example.org\n")
    assert emails(profile) == ["three@example.org", "one@example.org", "two@example.org"]
    import_("external_id,email\nC1,two@example.org\n")
    assert emails(profile) == ["two@example.org", "three@example.org", "one@example.org"]
    profile.refresh_from_db()
    stored = profile.search
    profile.refresh_search()
    assert profile.search == stored


def test_an_address_of_another_profile_is_refused():
    mine, other = ProfileFactory(external_id="C1", email="a@example.org"), ProfileFactory(email="b@example.org")
    job = import_("external_id,email,first_name\nC1,b@example.org,Max\n")
    assert notes(job) == [(2, "email_of_another", "email")]
    assert (emails(mine), emails(other), job.errors) == (["a@example.org"], ["b@example.org"], 1)
    mine.refresh_from_db()
    assert mine.first_name == "Zoé"


def test_a_new_identifier_with_the_address_of_a_person_who_has_another_one_is_refused():
    ProfileFactory(external_id="C1", email="a@example.org")
    job = import_("external_id,email\nC2,a@example.org\nC3,b@example.org\nC4,b@example.org\n")
    assert notes(job) == [(2, "known_as_another", "email"), (4, "known_as_another", "email")]
    assert (Profile.objects.count(), job.created, job.errors) == (2, 1, 2)


def test_an_address_shared_by_two_profiles_is_not_refused_to_the_one_that_has_it():
    ProfileFactory(email="a@example.org")
    mine = ProfileFactory(external_id="C1", email="a@example.org")
    job = import_("external_id,email,first_name\nC1,a@example.org,Max\n")
    mine.refresh_from_db()
    assert (job.updated, mine.first_name) == (1, "Max")


# -- cells that cannot be read --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "cell", "code"),
    [
        ("email", "zoe@", "email"),
        ("email", "Zoé <zoe@example.org>", "display_name"),
        ("email", "z" * 300 + "@example.org", "too_long"),
        ("email", "z" * 600, "too_long"),
        ("mobile_phone", "12", "phone"),
        ("mobile_phone", "portable", "phone"),
        ("language", "français", "bad_language"),
        ("country", "UK", "bad_country"),
        ("birth_date", "31/12/1980", "bad_date"),
        ("birth_date", "1980-02-30", "bad_date"),
        ("time_zone", "Paris", "bad_time_zone"),
        ("time_zone", "../etc/passwd", "bad_time_zone"),
        ("blacklisted", "perhaps", "bad_flag"),
        ("first_name", "x" * 101, "too_long"),
        ("postal_address", "x" * 501, "too_long"),
        ("attributes.a", "x" * 1_001, "too_long"),
    ],
)
def test_a_cell_that_cannot_be_read_refuses_its_line_and_names_it(column, cell, code):
    extra = "" if column == "email" else "email,"
    first = "" if column == "email" else "bad@example.org,"
    good = "good@example.org" + ("" if column == "email" else ",")
    job = import_(f'external_id,{extra}{column}\nC1,{first}"{cell}"\nC2,{good}\n')
    assert notes(job) == [(2, code, column)]
    assert (job.errors, job.created, job.upto) == (1, 1, 2)
    words = imports.note_words(code)
    assert str(words.message) and str(words.remedy)


def test_all_that_is_wrong_with_a_line_is_told_at_once():
    job = import_("email,country,birth_date\nnot an address,XX,1980\n")
    assert notes(job) == [(2, "email", "email"), (2, "bad_country", "country"), (2, "bad_date", "birth_date")]
    assert job.errors == 1


def test_a_line_about_nobody_is_refused():
    assert notes(import_("external_id,email,first_name\n,,Zoé\n")) == [(2, "nobody", "")]


def test_a_zero_byte_is_told_and_not_stored():
    job = import_("email,first_name\na@example.org,Zo\x00é\n")
    assert notes(job) == [(2, "nul", "")]


def test_line_breaks_in_a_name_become_blanks():
    import_('email,first_name\na@example.org,"Zoé\nBcc: x"\n')
    assert only().first_name == "Zoé Bcc: x"


def test_people_with_an_unreadable_address_can_be_kept_and_are_found_again():
    content = "email,mobile_phone,first_name\nzoe(at)example.org,portable,Zoé\n"
    job = import_(content, keep_invalid=True)
    assert {(row.value, row.validity) for row in only().addresses.all()} == {
        ("zoe(at)example.org", Validity.INVALID),
        ("portable", Validity.INVALID),
    }
    assert (notes(job), job.warnings) == ([(2, "email", "email"), (2, "phone", "mobile_phone")], 2)
    assert set(job.notes.values_list("level", flat=True)) == {ImportNote.Level.REMARK}
    assert import_(content, keep_invalid=True).unchanged == 1


def test_a_number_is_read_in_the_country_of_its_line_else_of_its_profile_else_of_the_site():
    ProfileFactory(external_id="C2", country="GB", email=False)
    import_(
        "external_id,mobile_phone,country\nC1,0470 12 34 56,BE\nC2,07400 123456,\nC3,06 39 98 00 01,\n"
        "C2,0470 12 34 57,BE\n"
    )
    keys = Address.objects.filter(channel=Channel.SMS).order_by("profile__external_id", "position")
    assert [row.key for row in keys] == ["+32470123456", "+32470123457", "+447400123456", "+33639980001"]


# -- what no file can do --------------------------------------------------------------------------------------


@pytest.mark.parametrize("no", ["no", "FALSE", "0", "non", "Faux"])
def test_no_cell_lifts_an_opt_out(no):
    profile = ProfileFactory(external_id="C1")
    consent.opt_out([profile.pk], channel=Channel.EMAIL, evidence=PERSON, at=NOW)
    job = import_(f"external_id,blacklisted_email,blacklisted_sms\nC1,{no},{no}\n")
    profile.refresh_from_db()
    assert profile.blacklisted_email
    assert (job.lifts_ignored, notes(job)) == (1, [(2, "lift_ignored", "blacklisted_email")])
    assert not ConsentEvent.objects.filter(act=Act.OPT_IN).exists()


@pytest.mark.parametrize("yes", ["yes", "TRUE", "1", "oui", "Vrai"])
def test_an_opt_out_is_set_with_an_event(yes):
    user = UserFactory()
    job = import_(f"external_id,blacklisted\nC1,{yes}\n", by=user)
    assert only().blacklisted
    event = ConsentEvent.objects.get(act=Act.OPT_OUT)
    assert (event.profile_id, event.channel, event.source, event.actor_id) == (only().pk, None, Source.IMPORT, user.pk)
    assert import_(f"external_id,blacklisted\nC1,{yes}\n").opted_out == 0
    assert job.opted_out == 1


def test_people_are_subscribed_with_an_event_and_those_who_are_keep_their_subscription():
    service = ServiceFactory()
    known = ProfileFactory(external_id="C1")
    consent.subscribe([known.pk], service, evidence=PERSON, at=NOW - timedelta(days=9))
    job = import_("external_id\nC1\nC2\nC2\n", service=service)
    assert (job.subscribed, Subscription.objects.count()) == (1, 2)
    assert Subscription.objects.get(profile=known).source == Source.LANDING_PAGE
    assert ConsentEvent.objects.filter(act=Act.SUBSCRIBE, source=Source.IMPORT).count() == 1


def test_a_person_who_unsubscribed_is_not_subscribed_again():
    service, other = ServiceFactory(), ServiceFactory()
    profile = ProfileFactory(external_id="C1")
    for one in (service, other):
        consent.subscribe([profile.pk], one, evidence=PERSON, at=NOW)
    consent.unsubscribe([profile.pk], service, evidence=PERSON, at=NOW)
    consent.opt_out([profile.pk], channel=Channel.SMS, evidence=PERSON, at=NOW)
    job = import_("external_id\nC1\n", service=service)
    assert (job.subscribed, job.lifts_ignored, job.unchanged) == (0, 1, 1)
    assert notes(job) == [(2, "unsubscribed_before", "")]
    assert not Subscription.objects.filter(service=service).exists()


def test_a_person_who_subscribed_again_is_not_taken_for_one_who_left():
    service = ServiceFactory()
    profile = ProfileFactory(external_id="C1")
    consent.subscribe([profile.pk], service, evidence=PERSON, at=NOW)
    consent.unsubscribe([profile.pk], service, evidence=PERSON, at=NOW)
    consent.subscribe([profile.pk], service, evidence=PERSON, at=NOW)
    consent.unsubscribe([profile.pk], service, evidence=PERSON, at=NOW, act=Act.EXPIRE)
    assert import_("external_id\nC1\n", service=service).subscribed == 1


def erased(text: str, *, channel: int = 0, service: Service | None = None) -> None:
    key = digest(Channel.EMAIL, text)
    ErasedOptOut.objects.create(digest=key, channel=channel, service_id=service.pk if service else 0)


def test_an_opt_out_survives_the_erasure_of_its_person():
    erased("a@example.org", channel=Channel.EMAIL)
    job = import_("email\nA@example.org\nb@example.org\n")
    assert list(Profile.objects.order_by("pk").values_list("blacklisted_email", "blacklisted")) == [
        (True, False),
        (False, False),
    ]
    assert (job.opted_out, notes(job)) == (1, [(2, "erased_opt_out", "email")])
    assert ConsentEvent.objects.get(act=Act.OPT_OUT).source == Source.ERASURE


def test_a_person_who_left_a_service_before_being_erased_is_not_subscribed_to_it():
    service, other = ServiceFactory(), ServiceFactory()
    erased("a@example.org", service=service)
    erased("b@example.org", service=other)
    job = import_("email\na@example.org\nb@example.org\n", service=service)
    assert (job.subscribed, job.lifts_ignored) == (1, 1)
    assert list(Subscription.objects.values_list("profile__addresses__value", flat=True)) == ["b@example.org"]


def test_a_quarantined_address_is_imported_and_told_to_be_left_out():
    QuarantinedAddressFactory(value="a@example.org")
    QuarantinedAddressFactory(value="b@example.org", release_at=NOW - timedelta(days=1))
    job = import_("email\nA@example.org\nb@example.org\n")
    assert (job.created, notes(job)) == (2, [(2, "left_out", "email")])


def test_without_provenance_or_basis_nothing_is_received():
    for missing in ("provenance", "basis"):
        with pytest.raises(ImportRefused) as refused:
            receive("email\na@example.org\n", **{missing: "  "})
        assert refused.value.code == "no_provenance"
    assert not ImportJob.objects.exists()


def test_provenance_and_basis_are_stated_once_in_the_ledger(settings):
    settings.IMPORT_BATCH = 1
    import_("email\na@example.org\nb@example.org\n")
    event = ConsentEvent.objects.get(act=Act.PROVENANCE)
    assert "Fair of May" in event.reason and "consent" in event.reason


# -- batches, kills, stops ------------------------------------------------------------------------------------

TORTURE = "external_id;email;first_name;mobile_phone;blacklisted_email;blacklisted;attributes.a\n" + "\n".join(
    [
        "C1;a@example.org;Zoé;06 39 98 00 01;;;1",
        ";A@example.org;Max;;oui;;",
        "C1;b@example.org;;;non;;2",
        ";b@example.org;Léa;;;;",
        "C2;a@example.org;;;;;",
        "C2;c@example.org;Tom;;;;",
        "C1;c@example.org;;;;;",
        ";d@example.org;Eva;x;;;",
        ";gone@example.org;Ana;;non;;",
        "C3;gone@example.org;Ana;;non;;",
        "C3;e@example.org;;;;non;",
        "C4;out@example.org;;;;;",
        "C5;left@example.org;;;;;",
        "C5;left2@example.org;;;;;",
        "C6;;Old;;;;",
        ";old@example.org;Older;;non;;",
        "C6;new@example.org;;;;;",
        ";;;;;;x",
        "C7;f@example.org;;;oui;oui;",
        "C7;f@example.org;;;non;non;",
        "C8;;No address;;;;",
        "C8;f@example.org;;;;;",
        "C8;twice@example.org;;;;;",
        ";twice@example.org;Twice;;;;",
    ]
)


def population(service: Service) -> None:
    """People, opt-outs and addresses that the torture file meets."""
    old = ProfileFactory(external_id="C6", first_name="Ola", last_name="Nor", email="old@example.org")
    consent.subscribe([old.pk], service, evidence=PERSON, at=NOW)
    consent.unsubscribe([old.pk], service, evidence=PERSON, at=NOW)
    consent.opt_out([old.pk], channel=Channel.EMAIL, evidence=PERSON, at=NOW)
    ProfileFactory(last_name="Nor", email="old@example.org")
    erased("gone@example.org", channel=Channel.EMAIL)
    erased("left2@example.org", service=service)
    erased("new@example.org")
    QuarantinedAddressFactory(value="out@example.org")


COMPARED = ("external_id", "first_name", "attributes", "search", "blacklisted", "blacklisted_email")


def outcome(job: ImportJob) -> dict[str, Any]:
    """Return what an import did, without what differs from one run to another."""
    people = {}
    for profile in Profile.objects.order_by("pk"):
        addresses = profile.addresses.order_by("channel", "position")
        people[len(people)] = (
            [getattr(profile, name) for name in COMPARED],
            list(addresses.values_list("channel", "position", "value", "validity")),
            list(profile.subscriptions.values_list("service__name", flat=True)),
        )  # fmt: skip
    return {"report": report(job), "people": people}


def report(job: ImportJob) -> Any:
    job.refresh_from_db()
    names = (
        "upto",
        "created",
        "updated",
        "unchanged",
        "errors",
        "warnings",
        "opted_out",
        "subscribed",
        "lifts_ignored",
    )
    rows = sorted(job.notes.values_list("line", "level", "code", "column", "value"))
    return {name: getattr(job, name) for name in names}, rows


def in_batches_of(size: int, settings: Any, content: str = TORTURE, **options: Any) -> dict[str, Any]:
    """Import into a fresh population, return the outcome, and undo it all."""
    settings.IMPORT_BATCH = size
    with transaction.atomic():
        service = ServiceFactory(name="news")
        population(service)
        found = outcome(import_(content, service=service, **options))
        transaction.set_rollback(True)
    return found


@pytest.mark.parametrize("keep_invalid", [False, True])
def test_a_file_gives_the_same_result_in_batches_of_any_size(settings, keep_invalid):
    whole = in_batches_of(100, settings, keep_invalid=keep_invalid)
    assert whole["report"][0]["errors"] and whole["report"][0]["lifts_ignored"]
    for size in (1, 2, 3, 5, 7, 11):
        assert in_batches_of(size, settings, keep_invalid=keep_invalid) == whole


def lines() -> st.SearchStrategy[list[list[str]]]:
    identifier = st.sampled_from(["", "C1", "C2", "C6"])
    email = st.sampled_from(["", "a@example.org", "b@example.org", "old@example.org", "gone@example.org", "bad"])
    flag = st.sampled_from(["", "", "yes", "no"])
    return st.lists(
        st.tuples(identifier, email, st.sampled_from(["", "Zoé", "Max"]), flag, flag).map(list), min_size=1, max_size=9
    )


HEADER = ["external_id", "email", "first_name", "blacklisted_email", "blacklisted"]
DRAWN = hypothesis(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(",".join(row) for row in (header, *rows)) + "\n"


@DRAWN
@given(rows=lines(), size=st.integers(1, 9), order=st.permutations(range(5)))
def test_neither_the_size_of_batches_nor_the_order_of_columns_matters(settings, rows, size, order):
    if not any("".join(row) for row in rows):
        return
    whole = in_batches_of(100, settings, written(HEADER, rows))
    shuffled = [[row[place] for place in order] for row in rows]
    assert in_batches_of(size, settings, written([HEADER[place] for place in order], shuffled)) == whole


@DRAWN
@given(rows=lines(), size=st.integers(1, 4))
def test_a_dry_run_reports_what_the_run_then_does_and_changes_nothing(settings, rows, size):
    if not any("".join(row) for row in rows):
        return
    settings.IMPORT_BATCH = size
    with transaction.atomic():
        service = ServiceFactory(name="news")
        population(service)
        before = list(Profile.objects.order_by("pk").values()), ConsentEvent.objects.count(), Address.objects.count()
        job = receive(written(HEADER, rows), state=State.UPLOADED, service=service)
        imports.check(job.pk, clock=clock)
        dry = report(job)
        assert job.state == State.CHECKED
        after = list(Profile.objects.order_by("pk").values()), ConsentEvent.objects.count(), Address.objects.count()
        assert after == before
        assert imports.confirm(job.pk)
        imports.run(job.pk, clock=clock)
        assert report(job) == dry
        transaction.set_rollback(True)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_dry_run_of_the_torture_file_reports_what_the_run_then_does(settings, size):
    settings.IMPORT_BATCH = size
    service = ServiceFactory(name="news")
    population(service)
    job = receive(TORTURE, state=State.UPLOADED, service=service)
    imports.check(job.pk, clock=clock)
    dry = report(job)
    assert imports.confirm(job.pk)
    imports.run(job.pk, clock=clock)
    assert report(job) == dry


@DRAWN
@given(rows=lines())
def test_whatever_a_file_says_no_opt_out_is_lifted_and_nobody_who_left_is_subscribed(settings, rows):
    with transaction.atomic():
        service = ServiceFactory(name="news")
        population(service)
        names = [field.name for field in Profile._meta.fields if field.name.startswith("blacklisted")]
        before = {row.pop("pk"): row for row in Profile.objects.values("pk", *names)}
        import_(written(HEADER, rows) + "C1,a@example.org,,,\n", service=service)
        for row in Profile.objects.filter(pk__in=before).values("pk", *names):
            assert all(row[name] for name, raised in before[row["pk"]].items() if raised)
        assert not Subscription.objects.filter(profile__external_id="C6").exists()
        assert not ConsentEvent.objects.filter(act=Act.OPT_IN).exists()
        transaction.set_rollback(True)


class Killed(BaseException):
    """As kill -9 would: nothing after it runs."""


def killed_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Kill at the end of a batch, after all its writes and before its commit."""
    note, calls = jobs.Worker._note, []

    def killing(worker: Any, *args: Any) -> None:
        note(worker, *args)
        calls.append(worker)
        if len(calls) == number:
            raise Killed

    monkeypatch.setattr(jobs.Worker, "_note", killing)


def test_a_killed_import_is_taken_up_by_another_worker_and_loses_and_repeats_nothing(settings, monkeypatch):
    whole = in_batches_of(4, settings)
    service = ServiceFactory(name="news")
    population(service)
    job = receive(TORTURE, service=service)
    later = NOW

    def now() -> datetime:
        return later

    for number in (1, 2, 3):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            killed_at(patch, number)
            imports.run(job.pk, clock=now)
        assert imports.waiting(later) == []
        imports.run(job.pk, clock=now)  # rung twice: the lease is not to be had
        later += settings.LEASE_TIME
        assert imports.waiting(later) == [(job.pk, State.RUNNING)]
    imports.run(job.pk, clock=lambda: later)
    assert outcome(job) == whole
    assert ConsentEvent.objects.filter(act=Act.PROVENANCE).count() == 1
    assert imports.waiting(later + settings.LEASE_TIME) == []


def test_a_worker_that_lost_its_lease_writes_nothing_more(settings, monkeypatch):
    settings.IMPORT_BATCH = 1
    job = receive("email\na@example.org\nb@example.org\n")
    loaded = []

    def late(*args: Any, **more: Any) -> Any:
        loaded.append(args)
        if len(loaded) == 2:
            ImportJob.objects.filter(pk=job.pk).update(owner="another")
        return original(*args, **more)

    original = jobs.store.load
    monkeypatch.setattr(jobs.store, "load", late)
    assert not imports.run(job.pk, clock=clock)
    job.refresh_from_db()
    assert (Profile.objects.count(), job.upto, job.state) == (1, 1, State.RUNNING)


def test_an_import_stops_between_two_batches_and_resumes(settings, monkeypatch):
    settings.IMPORT_BATCH = 1
    job = receive("email\na@example.org\nb@example.org\nc@example.org\n")
    original = jobs.Worker.run_batch

    def stopped(worker: Any, *args: Any) -> None:
        original(worker, *args)
        imports.stop(job.pk)

    with monkeypatch.context() as patch:
        patch.setattr(jobs.Worker, "run_batch", stopped)
        imports.run(job.pk, clock=clock)
    job.refresh_from_db()
    assert (job.state, job.upto, Profile.objects.count()) == (State.STOPPED, 1, 1)
    assert not imports.run(job.pk, clock=clock)
    assert imports.resume(job.pk) == State.RUNNING
    imports.run(job.pk, clock=clock)
    job.refresh_from_db()
    assert (job.state, job.upto, Profile.objects.count()) == (State.DONE, 3, 3)


def test_a_task_that_has_spent_its_time_leaves_the_rest_to_the_next(settings):
    settings.IMPORT_BATCH = 1
    job = receive("email\na@example.org\nb@example.org\n")
    ticks = iter(NOW + timedelta(seconds=n) for n in range(99))
    assert imports.run(job.pk, clock=lambda: next(ticks), budget=timedelta(seconds=1))
    job.refresh_from_db()
    assert (job.upto, job.owner) == (1, "")
    assert not imports.run(job.pk, clock=clock, budget=timedelta(seconds=1))
    assert Profile.objects.count() == 2


def test_the_file_is_deleted_when_the_import_ends(tmp_path):
    job = import_("email\na@example.org\n")
    assert (job.state, job.file.name) == (State.DONE, "")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_file_that_cannot_be_understood_fails_the_job_with_words_in_the_language_of_the_reader(tmp_path):
    job = import_("email,nope\na@example.org,x\n")
    assert (job.state, job.owner, job.file.name) == (State.FAILED, "", "")
    assert "nope" in str(imports.unpacked(job.message))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_file_with_an_open_quotation_mark_at_its_end_imports_nobody(settings):
    settings.IMPORT_BATCH = 1
    job = import_('email,first_name\na@example.org,Zoé\nb@example.org,"Max\nc@example.org,Léa\n')
    assert job.state == State.FAILED
    assert not Profile.objects.exists()


def test_an_import_given_up_loses_its_file_and_keeps_what_it_imported(tmp_path):
    job = receive("email\na@example.org\n", state=State.UPLOADED)
    imports.check(job.pk, clock=clock)
    assert imports.give_up(job.pk)
    job.refresh_from_db()
    assert (job.state, job.file.name, imports.resume(job.pk)) == (State.STOPPED, "", None)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_killed_check_starts_again_from_the_beginning(settings, monkeypatch):
    settings.IMPORT_BATCH = 2
    job = receive(TORTURE, state=State.UPLOADED)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_at(patch, 3)
        imports.check(job.pk, clock=clock)
    later = NOW + settings.LEASE_TIME
    assert imports.waiting(later) == [(job.pk, State.CHECKING)]
    imports.check(job.pk, clock=lambda: later)
    dry = report(job)
    imports.confirm(job.pk)
    imports.run(job.pk, clock=clock)
    assert report(job) == dry
    assert dry[0]["upto"] == 24


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_another_writer_got_in_the_way_of_is_done_again(monkeypatch):
    original, calls = jobs.store.save, []

    def contended(*args: Any, **more: Any) -> None:
        original(*args, **more)
        calls.append(args)
        if len(calls) == 1:
            raise OperationalError("deadlock detected")

    monkeypatch.setattr(jobs.store, "save", contended)
    job = import_("email\na@example.org\n")
    assert (job.state, job.created, Profile.objects.count(), len(calls)) == (State.DONE, 1, 1, 2)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.django_db(transaction=True)
def test_an_opt_out_of_an_address_that_is_just_being_imported_is_not_lost(monkeypatch, late):
    """The opt-out finds nobody with the address; the import finds no opt-out. One of the two has to wait."""
    original, threads = jobs.store.save, []

    def opt_out() -> None:
        key = digest(Channel.EMAIL, "a@example.org")
        consent.opt_out_address(Channel.EMAIL, key, service=None, flag=Channel.EMAIL, evidence=PERSON, at=NOW)
        connection.close()

    def meanwhile(*args: Any, **more: Any) -> None:
        if late:
            original(*args, **more)
        threads.append(threading.Thread(target=opt_out))
        threads[0].start()
        threads[0].join(0.5)  # long enough to find nobody
        if not late:
            original(*args, **more)

    monkeypatch.setattr(jobs.store, "save", meanwhile)
    import_("email\na@example.org\n")
    threads[0].join()
    assert only().blacklisted_email


# -- cost -----------------------------------------------------------------------------------------------------


def queries(count: int, first: int, service: Service, *, known: bool) -> int:
    content = "external_id,email,mobile_phone,first_name,blacklisted_email\n" + "".join(
        f"Q{n},q{n}@example.org,+336{39000000 + n},Zoé,{'yes' if n % 2 else 'no'}\n"
        for n in range(first, first + count)
    )
    if known:
        import_(content.replace("Zoé", "Max").replace("q", "old.q"), service=service)
    job = receive(content, service=service)
    with CaptureQueriesContext(connection) as captured:
        imports.run(job.pk, clock=timezone.now)
    job.refresh_from_db()
    assert job.upto == count == job.created + job.updated
    return len(captured)


@pytest.mark.parametrize("known", [False, True])
def test_the_number_of_queries_of_a_batch_does_not_grow_with_its_lines(known):
    service = ServiceFactory()
    few, many = queries(4, 0, service, known=known), queries(40, 100, service, known=known)
    assert few == many <= 45
