"""Own fields: what a text is read as, in a file, on a public page, on the page of a person, and once declared."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from landing import reconciliation
from landing.questions import OTHER
from profiles import custom_fields
from profiles.channels import Channel
from profiles.errors import ValueUnreadable
from profiles.imports import Sheet, preview, sheet_of
from profiles.models import AuditEvent, CustomField, FieldKind, Profile
from profiles.tasks import convert_field, resume_fields
from tests.factories import ProfileFactory, UserFactory
from tests.profiles.importing import NOW, import_, import_opt_outs, notes, only, receive
from tests.profiles.test_profile_page import as_shown, page, save, send

NUMBER, DATE, YES_NO, TEXT = FieldKind.NUMBER, FieldKind.DATE, FieldKind.YES_NO, FieldKind.TEXT


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (NUMBER, "12", 12), (NUMBER, " -3.50 ", -3.5), (NUMBER, "1 234,5", 1234.5), (NUMBER, "1 234,567", 1234.567),
        (NUMBER, "1\u00a0234", 1234), (NUMBER, "1\u202f234\u202f567,25", 1234567.25), (NUMBER, "1'234.5", 1234.5),
        (NUMBER, "1,234.5", 1234.5), (NUMBER, "1.234,5", 1234.5), (NUMBER, "1,234,567", 1234567),
        (NUMBER, "1.234.567", 1234567), (NUMBER, "12,5", 12.5), (NUMBER, "0,125", 0.125),
        (NUMBER, "1234,567", 1234.567),
        (NUMBER, "1.234", 1.234), (NUMBER, "12,0", 12), (DATE, "2024-02-29", "2024-02-29"),
        (YES_NO, "Oui", True), (YES_NO, "1", True), (YES_NO, "FAUX", False), (TEXT, "12", "12"),
    ],
)  # fmt: skip
def test_a_text_is_read_by_the_kind_of_its_field(kind, text, value):
    found = custom_fields.read(kind, text)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (NUMBER, "1,234"), (NUMBER, "12a"), (NUMBER, "1 23"), (NUMBER, "1,2,3"), (NUMBER, "1e5"), (NUMBER, "٣"),
        (NUMBER, "nan"), (NUMBER, "1234567890123456"), (NUMBER, "--1"), (NUMBER, "1.234,5,6"), (NUMBER, "."),
        (DATE, "2023-02-29"), (DATE, "31/12/1990"), (DATE, "20240229"), (YES_NO, "perhaps"), (YES_NO, "2"),
    ],
)  # fmt: skip
def test_what_is_nothing_of_the_kind_or_might_be_two_things_is_refused_with_what_to_write(kind, text):
    with pytest.raises(ValueUnreadable) as caught:
        custom_fields.read(kind, text)
    assert text in str(caught.value) and caught.value.remedy in str(caught.value)


@given(st.integers(-(10**15) + 1, 10**15 - 1))
def test_each_whole_number_is_read_as_itself_however_its_thousands_are_grouped(number):
    for mark in (" ", "\u202f", "'"):
        assert custom_fields.read(NUMBER, f"{number:,}".replace(",", mark)) == number
    assert custom_fields.read(NUMBER, str(number)) == number


@pytest.fixture
def declared(db: Any) -> None:
    for name, kind in (("points", NUMBER), ("since", DATE), ("member", YES_NO), ("city", TEXT)):
        CustomField.objects.create(name=name, kind=kind, label={"en": name.title(), "fr": name.title()})


HEADER = "email,attributes.points,attributes.since,attributes.member,attributes.city,attributes.free\n"


@pytest.mark.usefixtures("declared")
def test_an_import_keeps_declared_fields_by_their_kind_and_others_as_text():
    import_(HEADER + 'ada@example.org,"1 234,5",2024-03-02,non,12,12\n')
    assert only().attributes == {"points": 1234.5, "since": "2024-03-02", "member": False, "city": "12", "free": "12"}


@pytest.mark.usefixtures("declared")
def test_an_import_and_a_list_of_opt_outs_know_a_declared_field_by_its_label():
    CustomField.objects.filter(name="points").update(label={"en": "Bonus points", "fr": "Points de fidélité"})
    content = "E-mail;points de FIDELITE;City\nada@example.org;12,5;Lyon\n"
    assert (import_(content).created, only().attributes) == (1, {"points": 12.5, "city": "Lyon"})
    assert import_opt_outs(content).opted_out == 1


@pytest.mark.usefixtures("declared")
def test_an_import_refuses_a_line_whose_value_is_not_of_the_kind_and_says_where():
    job = import_(HEADER + "ada@example.org,many,,,,\nbob@example.org,,soon,,,\nzoe@example.org,,,perhaps,,\n")
    assert (job.errors, job.created) == (3, 0)
    assert notes(job) == [
        (2, "bad_number", "attributes.points"), (3, "bad_date", "attributes.since"),
        (4, "bad_flag", "attributes.member"),
    ]  # fmt: skip
    assert list(job.notes.order_by("line").values_list("value", flat=True)) == ["many", "soon", "perhaps"]


@pytest.mark.usefixtures("declared")
def test_an_import_that_says_the_same_changes_nothing_and_yes_is_not_the_number_one():
    ada = ProfileFactory(email="ada@example.org", attributes={"points": 1, "member": True, "free": 7})
    assert import_(HEADER + "ada@example.org,1,,yes,,7\n").unchanged == 1
    Profile.objects.filter(pk=ada.pk).update(attributes={"points": "1", "member": 1})
    assert import_(HEADER + "ada@example.org,1,,yes,,\n").updated == 1
    assert only().attributes == {"points": 1, "member": True}
    assert only().attributes["member"] is True


@pytest.mark.usefixtures("declared")
def test_the_preview_shows_values_as_they_were_understood():
    job = receive(HEADER + 'ada@example.org,"1 234,5",2024-03-02,non,Lyon,12\n')
    sheet: Sheet = sheet_of(job)
    [row] = preview(sheet, keep_invalid=False, at=NOW).rows
    assert row.cells == ["ada@example.org", "1234.5", "2024-03-02", "no", "Lyon", "12"]


@pytest.mark.usefixtures("declared")
def test_answers_of_a_public_page_are_kept_by_kind_and_unreadable_ones_as_text():
    answers = {"other-points": "12,5", "other-since": "31/12/1990", "other-free": "3"}
    answers = {key.replace("other-", _other()): text for key, text in answers.items()}
    pk = reconciliation.oldest_or_new(Channel.EMAIL, "ada@example.org", answers=answers, language="en", at=NOW)
    assert Profile.objects.get(pk=pk).attributes == {"points": 12.5, "since": "31/12/1990", "free": "3"}


@pytest.mark.usefixtures("declared")
def test_an_answer_does_not_replace_a_no_or_a_zero():
    ada = ProfileFactory(email="ada@example.org", attributes={"member": False, "points": 0, "city": ""})
    answers = {_other() + "member": "yes", _other() + "points": "5", _other() + "city": "Lyon"}
    reconciliation.oldest_or_new(Channel.EMAIL, "ada@example.org", answers=answers, language="en", at=NOW)
    ada.refresh_from_db()
    assert ada.attributes == {"member": False, "points": 0, "city": "Lyon"}


def _other() -> str:
    return OTHER


# -- declaring ----------------------------------------------------------------------------------------------------


def to_convert(kind: FieldKind) -> CustomField:
    return CustomField.objects.create(name="points", kind=kind, converted_upto=0)


@pytest.mark.django_db
def test_what_was_there_before_a_field_was_declared_is_read_in_batches_and_the_rest_left(monkeypatch):
    monkeypatch.setattr(custom_fields, "BATCH", 2)
    before = [{"points": "12,5"}, {"points": "many", "city": "Lyon"}, {}, {"points": 3}, {"points": "7", "free": "7"}]
    people = [ProfileFactory(attributes=attributes, blacklisted_email=True) for attributes in before]
    field = to_convert(NUMBER)
    convert_field(field.pk)
    found = [Profile.objects.get(pk=person.pk) for person in people]
    assert [person.attributes for person in found] == [
        {"points": 12.5}, {"points": "many", "city": "Lyon"}, {}, {"points": 3}, {"points": 7, "free": "7"},
    ]  # fmt: skip
    assert [person.search for person in found] == [person.search for person in people]
    assert all(person.blacklisted_email for person in found)
    field.refresh_from_db()
    assert (field.converted_upto, field.unreadable) == (None, 1)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "before", "after", "unreadable"),
    [
        (NUMBER, ["1", 2, True, "x", "", None], [1, 2, True, "x", "", None], 2),
        (TEXT, ["1", 2, True, False, 1.5, ["x"]], ["1", "2", "yes", "no", "1.5", ["x"]], 1),
        (YES_NO, ["oui", 1, 0, "maybe", True, 2], [True, True, False, "maybe", True, 2], 2),
        (DATE, ["2024-02-29", "29/02/2024", 20240229], ["2024-02-29", "29/02/2024", 20240229], 2),
    ],
)
def test_what_people_have_is_put_into_the_kind_and_what_is_not_of_it_is_counted(kind, before, after, unreadable):
    people = [ProfileFactory(attributes={"points": value}) for value in before]
    field = to_convert(kind)
    convert_field(field.pk)
    found = [Profile.objects.get(pk=person.pk).attributes["points"] for person in people]
    assert [(type(value), value) for value in found] == [(type(value), value) for value in after]
    field.refresh_from_db()
    assert field.unreadable == unreadable


@pytest.mark.django_db
def test_a_conversion_goes_on_where_it_was_when_its_worker_was_lost(monkeypatch, settings):
    settings.CELERY_TASK_ALWAYS_EAGER = True
    monkeypatch.setattr(custom_fields, "BATCH", 2)
    people = [ProfileFactory(attributes={"points": "5"}) for _number in range(5)]
    field = to_convert(NUMBER)
    assert custom_fields.convert(field.pk, at=NOW)
    field.refresh_from_db()
    assert field.converted_upto == people[1].pk
    resume_fields()
    assert [Profile.objects.get(pk=person.pk).attributes for person in people] == [{"points": 5}] * 5
    assert resume_fields.name in [entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()]


@pytest.mark.django_db
def test_a_batch_that_another_task_did_meanwhile_is_not_done_again():
    ProfileFactory(attributes={"points": "x"})
    field, other = to_convert(NUMBER), []

    def meanwhile(execute: Any, sql: str, *rest: Any) -> Any:
        if not other and sql.startswith('SELECT "profiles_profile"."id"'):
            other.append(None)
            other[0] = custom_fields.convert(field.pk, at=NOW)
        return execute(sql, *rest)

    with connection.execute_wrapper(meanwhile):
        assert not custom_fields.convert(field.pk, at=NOW)
    field.refresh_from_db()
    assert (other, field.unreadable) == ([True], 1)


@pytest.mark.django_db
def test_a_batch_takes_as_many_queries_for_many_people_as_for_few():
    seen = []
    for _round in range(2):
        for _number in range(3):
            ProfileFactory(attributes={"points": "5"})
        field = to_convert(NUMBER)
        with CaptureQueriesContext(connection) as queries:
            custom_fields.convert(field.pk, at=NOW)
        seen.append(len(queries))
        field.delete()
        Profile.objects.update(attributes={"points": "5"})
    assert seen[0] == seen[1]


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(UserFactory(admin=True))
    return client


@pytest.mark.django_db
def test_declaring_a_field_is_on_record_and_reads_what_is_there(client, django_capture_on_commit_callbacks, settings):
    settings.CELERY_TASK_ALWAYS_EAGER = True
    ada = ProfileFactory(attributes={"points": "12"})
    data = {"name": "points", "label_en": "Points", "label_fr": "Points", "kind": "number"}
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(reverse("admin:profiles_customfield_add"), data)
    assert answer.status_code == 302
    ada.refresh_from_db()
    assert ada.attributes == {"points": 12}
    assert AuditEvent.objects.get(subject="profiles.CustomField").after == {
        "id": CustomField.objects.get().pk,
        "name": "points",
        "label": {"en": "Points", "fr": "Points"},
        "kind": "number",
    }


@pytest.mark.django_db
def test_another_kind_reads_again_and_its_page_says_how_many_values_stay_as_they_were(
    client, django_capture_on_commit_callbacks, settings
):
    settings.CELERY_TASK_ALWAYS_EAGER = True
    people = [ProfileFactory(attributes={"points": value}) for value in (1, 0, 7)]
    field = CustomField.objects.create(name="points", kind=NUMBER, label={"en": "Points"})
    url = reverse("admin:profiles_customfield_change", args=[field.pk])
    assert "Values from before" not in client.get(url).text
    with django_capture_on_commit_callbacks(execute=True):
        client.post(url, {"label_en": "Member", "kind": "yes_no"})
    assert [Profile.objects.get(pk=person.pk).attributes["points"] for person in people] == [True, False, 7]
    assert "1 could not be read: it stays as it was" in client.get(url).text
    assert (
        "1 could not be read: it stays as it was" in client.get(reverse("admin:profiles_customfield_changelist")).text
    )


@pytest.mark.django_db
def test_another_label_does_not_touch_a_conversion_that_is_going_on(client):
    field = CustomField.objects.create(name="points", kind=NUMBER, converted_upto=5, unreadable=3)
    url = reverse("admin:profiles_customfield_change", args=[field.pk])
    assert "Being read again" in client.get(url).text
    client.post(url, {"label_en": "Points", "kind": "number"})
    field.refresh_from_db()
    assert (str(field), field.converted_upto, field.unreadable) == ("Points", 5, 3)


@pytest.mark.django_db
def test_the_key_of_a_declared_field_stays(client):
    field = CustomField.objects.create(name="points", kind=NUMBER)
    url = reverse("admin:profiles_customfield_change", args=[field.pk])
    client.post(url, {"name": "other", "label_en": "Points", "label_fr": "", "kind": "number"})
    field.refresh_from_db()
    assert (field.name, field.label["en"]) == ("points", "Points")


# -- the page of a person -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("declared")
def test_the_page_of_a_person_edits_declared_fields_as_they_are_kept(client):
    ada = ProfileFactory(attributes={"points": 3, "free": "7", "city": "Lyon"})
    save(client, ada, own_points="1 234,5", own_since="2024-03-02", own_member="no", own_city="")
    ada.refresh_from_db()
    assert ada.attributes == {"points": 1234.5, "since": "2024-03-02", "member": False, "free": "7"}


@pytest.mark.usefixtures("declared")
def test_a_value_that_cannot_be_read_is_refused_at_its_input_and_what_was_typed_stays(client):
    ada = ProfileFactory(attributes={"points": 3})
    answer = save(client, ada, own_points="1,234", first_name="Other")
    form = answer.context["adminform"].form
    assert list(form.errors) == ["own_points"] and form["own_points"].value() == "1,234"
    ada.refresh_from_db()
    assert (ada.attributes, ada.first_name == "Other") == ({"points": 3}, False)


@pytest.mark.usefixtures("declared")
def test_a_text_from_before_is_told_and_survives_a_save_that_does_not_touch_it(client):
    before = {"points": "many", "since": "soon", "member": "perhaps", "city": "two\nlines", "free": 1}
    ada = ProfileFactory(attributes=before)
    assert "“soon”" in client.get(page(ada)).text
    save(client, ada, first_name="Other")
    ada.refresh_from_db()
    assert (ada.attributes, ada.first_name) == (before, "Other")


@pytest.mark.usefixtures("declared")
def test_only_the_changed_field_is_written_over_what_came_meanwhile(client):
    ada = ProfileFactory(attributes={"points": 0.0000001, "city": "Lyon"})
    shown = as_shown(client, ada)
    Profile.objects.filter(pk=ada.pk).update(attributes={"points": 0.0000001, "city": "Lyon", "free": "new"})
    send(client, ada, {**shown, "own_city": "Nantes"})
    ada.refresh_from_db()
    assert ada.attributes == {"points": 0.0000001, "city": "Nantes", "free": "new"}


@pytest.mark.usefixtures("declared")
def test_who_may_only_look_sees_every_field_and_edits_none():
    viewer, client = UserFactory(), Client()
    viewer.groups.add(Group.objects.get(name="viewer"))
    client.force_login(viewer)
    shown = client.get(page(ProfileFactory(attributes={"points": 4321, "member": True, "free": "kept"}))).text
    assert "4321" in shown and "Member" in shown and "kept" in shown and "own_points" not in shown


@pytest.mark.usefixtures("declared")
def test_the_page_that_takes_files_names_the_columns_of_declared_fields(client):
    assert '<span class="c-code">points</span>' in client.get(reverse("admin:profiles_importjob_add")).text
