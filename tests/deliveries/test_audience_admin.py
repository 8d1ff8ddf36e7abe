"""Audiences in the back-office: built by buttons, counted while that is done, archived rather than deleted."""

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deliveries import analysis, criteria
from deliveries.admin.criteria_field import read_rows
from deliveries.admin.criteria_rows import Row, of_stored
from deliveries.models import Audience, Delivery, State, Target
from profiles.models import AuditEvent, CustomField
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory, UserFactory

pytestmark = pytest.mark.django_db
ADD = "admin:deliveries_audience_add"
FRENCH = {"all": [{"field": "language", "op": "in", "value": ["fr"]}]}


def of_role(name: str) -> Client:
    user, client = UserFactory.create(username=f"a-{name}"), Client()
    user.groups.add(Group.objects.get(name=name))
    client.force_login(user)
    return client


@pytest.fixture
def client() -> Client:
    return of_role("marketer")


def change_url(audience: Audience) -> str:
    return reverse("admin:deliveries_audience_change", args=[audience.pk])


def posted(rows: dict[str, Any], how: str = "all", **more: Any) -> dict[str, Any]:
    """Return a form as a browser sends it: "1": ("language", "in", "fr") is the first row."""
    data: dict[str, Any] = {"name": "Readers", "criteria--how": how}
    for place, row in rows.items():
        if isinstance(row, str):
            data[f"criteria-{place}-how"] = row
            continue
        field, operator, *values = row
        data |= {
            f"criteria-{place}-field": field, f"criteria-{place}-was": field,
            f"criteria-{place}-op": operator, f"criteria-{place}-value": values,
        }  # fmt: skip
    return data | more


def controls(html: str) -> dict[str, Any]:
    """Return the name of each control of the criteria → whether it is there more than once."""
    names = re.findall(r'name="(criteria-[\d.]*-[a-z]+)"', html)
    return {name: names.count(name) for name in names}


# -- building ---------------------------------------------------------------------------------------------------------


def test_what_is_pointed_at_is_saved_as_criteria(client: Client) -> None:
    service = ServiceFactory.create()
    rows = {
        "1": ("language", "in", "fr", "en"), "2": "none", "2.1": ("subscription", "in", str(service.pk)),
        "2.2": ("age", "between", "18", "30.5"), "3": "any", "3.1": ("external_id", "in", "A\r\n B \r\n\r\n"),
        "3.2": "all", "3.2.1": ("received", "not_last_days", "30"), "3.2.2": ("birth_date", "is_set"),
        "3.2.3": ("birth_month", "in", "2"), "3.2.4": ("created", "since", "2026-01-31"),
    }  # fmt: skip
    response = client.post(reverse(ADD), posted(rows))
    assert response.status_code == 302
    audience = Audience.objects.get()
    assert audience.criteria == {
        "all": [
            {"field": "language", "op": "in", "value": ["fr", "en"]},
            {"not": {"any": [
                {"field": "subscription", "op": "in", "value": [service.pk]},
                {"field": "age", "op": "between", "value": [18, 30.5]},
            ]}},
            {"any": [
                {"field": "external_id", "op": "in", "value": ["A", "B"]},
                {"all": [
                    {"field": "received", "op": "not_last_days", "value": 30},
                    {"field": "birth_date", "op": "is_set", "value": None},
                    {"field": "birth_month", "op": "in", "value": [2]},
                    {"field": "created", "op": "since", "value": "2026-01-31"},
                ]},
            ]},
        ]
    }  # fmt: skip
    assert audience.created_by is not None
    event = AuditEvent.objects.get()
    assert (event.action, event.label) == ("added", "Readers")


STORED: list[Any] = [
    {}, FRENCH, FRENCH["all"][0],
    {"any": [FRENCH, {"not": FRENCH["all"][0]}]},
    {"not": {"not": {"all": [FRENCH["all"][0], {"field": "age", "op": "gte", "value": 18.25}]}}},
    {"all": [{"field": "attributes.points", "op": "lte", "value": -3}]},
    {"field": "attributes.vip", "op": "yes", "value": None},
    {"field": "birth_date", "op": "between", "value": ["1980-01-01", "1990-12-31"]},
]  # fmt: skip


@pytest.mark.parametrize("stored", STORED, ids=str)
def test_stored_criteria_come_back_from_the_rows_that_show_them_with_the_same_meaning(stored: Any) -> None:
    CustomField.objects.create(name="points", kind="number")
    CustomField.objects.create(name="vip", kind="yes_no")
    kinds = [("fr", "1985-05-05", {"points": -5, "vip": True}), ("en", "2020-01-01", {}), ("", None, {"points": 3})]
    for language, born, own in kinds:
        ProfileFactory.create(language=language, birth_date=born, attributes=own)
    tree, back = read_rows(of_stored(stored))
    at = timezone.now()
    meant = type(ProfileFactory.create()).objects
    wanted = set(meant.filter(criteria.condition(criteria.read(stored), at=at)).values_list("pk"))
    assert set(meant.filter(criteria.condition(tree, at=at)).values_list("pk")) == wanted
    assert read_rows(of_stored(back))[1] == back


def test_nobody_does_not_silently_become_everybody(client: Client) -> None:
    audience = Audience.objects.create(name="Nobody", criteria={"any": []})
    response = client.post(change_url(audience), {"name": "Nobody", "criteria--how": "any"})
    assert "Add a condition." in unescape(response.content.decode())
    audience.refresh_from_db()
    assert audience.criteria == {"any": []}


def test_a_form_without_the_builder_leaves_the_criteria_alone(client: Client) -> None:
    audience = Audience.objects.create(name="Readers", criteria=FRENCH)
    assert client.post(change_url(audience), {"name": "Other"}).status_code == 302
    audience.refresh_from_db()
    assert (audience.name, audience.criteria) == ("Other", FRENCH)


PRESSED = [
    ("row:", {"1": ("age", "gte", "18")}, "criteria-2-field", ["criteria-1-field", "criteria-2-field"]),
    ("group:", {}, "criteria-1-how", ["criteria-1-how", "criteria-1.1-field"]),
    ("row:1", {"1": "any", "1.1": ("age", "gte", "18")}, "criteria-1.2-field", ["criteria-1.2-field"]),
    ("drop:1", {"1": ("age", "gte", "18"), "2": ("language", "is_set")}, "criteria-1-field", ["criteria-1-field"]),
    ("drop:1", {"1": ("age", "gte", "18")}, "row:", []),
    ("drop:9.9", {"1": ("age", "gte", "18")}, "", ["criteria-1-field"]),
    ("nonsense:<", {"1": ("age", "gte", "18")}, "", ["criteria-1-field"]),
]


@pytest.mark.parametrize(("act", "rows", "focus", "there"), PRESSED)
def test_a_button_changes_the_rows_and_saves_nothing(
    client: Client, act: str, rows: Any, focus: str, there: list[str]
) -> None:
    html = client.post(reverse(ADD), {**posted(rows), "criteria-do": act, "name": ""}).content.decode()
    assert not Audience.objects.exists()
    assert "This field is required" not in html
    assert [name for name in controls(html) if name in there] == there
    found = re.findall(r"<(?:select|button)[^>]*(?:name|value)=\"([^\"]+)\"[^>]* autofocus", html)
    assert found == ([focus] if focus else [])
    fragment = client.post(reverse("admin:deliveries_criteria_build"), {**posted(rows), "criteria-do": act})
    assert controls(fragment.content.decode()).keys() == controls(html).keys()
    assert "<noscript>" not in fragment.content.decode()


def test_what_was_typed_stays_when_a_button_is_pressed(client: Client) -> None:
    rows = {"1": ("external_id", "starts", "AB-"), "2": ("language", "in", "fr")}
    html = client.post(reverse(ADD), {**posted(rows), "criteria-do": "row:"}).content.decode()
    assert 'value="AB-"' in html
    assert 'value="Readers"' in html
    assert re.search(r'value="fr" checked', html)


def test_another_field_takes_no_value_of_the_former_one(client: Client) -> None:
    rows = posted({"1": ("external_id", "starts", "AB-")})
    rows["criteria-1-field"] = "age"
    html = client.post(reverse("admin:deliveries_criteria_build"), {**rows, "criteria-do": "show:1"}).content.decode()
    assert "AB-" not in html
    assert 'type="number"' in html


REFUSED = [
    ({"1": ("language", "in", "fr"), "2": ("age", "gte", "old")}, "criteria-2", "Write a number, such as 18."),
    ({"1": "any", "1.1": ("age", "gte", "3"), "1.2": ("birth_date", "before", "")}, "criteria-1.2", "Write a date"),
    ({"1": ("language", "in")}, "criteria-1", "Choose at least one."),
    ({"1": ("", "")}, "criteria-1", "Choose what to look at, or remove the condition."),
    ({"1": "none"}, "criteria-1", "Add a condition to this group, or remove the group."),
    ({"1": ("attributes.gone", "is", "x")}, "criteria-1", "There is no field"),
    ({"1": ("country", "in", "XX")}, "criteria-1", "is not among the choices"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "place", "told"), REFUSED)
def test_a_refusal_is_shown_at_its_row_and_what_was_typed_stays(
    client: Client, rows: Any, place: str, told: str
) -> None:
    html = unescape(client.post(reverse(ADD), posted(rows)).content.decode())
    assert not Audience.objects.exists()
    before, found, _after = html.partition(f'id="{place}"')
    assert found
    assert "c-crit-wrong" in before[-80:]
    assert html.count("c-crit-wrong") == 1
    assert told in html[html.index(f'id="{place}"') :]
    assert set(controls(html)) >= {f"criteria-{one}-field" for one, row in rows.items() if isinstance(row, tuple)}


def test_a_row_that_is_no_longer_offered_keeps_its_name(client: Client) -> None:
    service = ServiceFactory.create(label={"en": "Old news"}, archived_at=timezone.now())
    value = [service.pk, 987654]
    audience = Audience.objects.create(name="A", criteria={"field": "subscription", "op": "in", "value": value})
    html = client.get(change_url(audience)).content.decode()
    assert re.search(rf'value="{service.pk}" checked><span>Old news', html)
    assert re.search(r'value="987654" checked><span>\(no longer there\)', html)


def test_fields_are_offered_under_their_headings(client: Client) -> None:
    CustomField.objects.create(name="points", kind="number", label={"en": "Loyalty points"})
    audience = Audience.objects.create(name="A", criteria=FRENCH)
    html = client.get(change_url(audience)).content.decode()
    assert re.findall(r'<optgroup label="([^"]+)"', html) == [
        "Person",
        "Subscriptions",
        "Past deliveries",
        "Own fields",
    ]
    assert "Loyalty points" in html


# -- counting ---------------------------------------------------------------------------------------------------------


def count(client: Client, rows: Any, **more: Any) -> str:
    return unescape(client.post(reverse("admin:deliveries_criteria_count"), posted(rows, **more)).content.decode())


def test_the_summary_tells_words_number_and_a_few_people_with_masked_addresses(client: Client) -> None:
    someone = ProfileFactory.create(first_name="Ada", last_name="Lovelace", email="ada@example.org")
    ProfileFactory.create(language="en")
    html = count(client, {"1": ("language", "in", "fr")})
    assert "1 person" in html
    assert "Language is one of French" in html
    assert "Ada Lovelace" in html
    assert "a•••@example.org" in html
    assert "ada@example.org" not in html
    assert reverse("admin:profiles_profile_change", args=[someone.pk]) in html


def test_the_summary_says_what_is_missing(client: Client) -> None:
    assert "Condition 1: Choose what to look at" in count(client, {"1": ("", "")})


def test_without_scripts_a_button_counts_on_the_page(client: Client) -> None:
    ProfileFactory.create(first_name="Ada")
    html = client.post(
        reverse(ADD), {**posted({"1": ("language", "in", "fr")}), "criteria-do": "count"}
    ).content.decode()
    assert "1 person" in html
    assert not Audience.objects.exists()


@pytest.mark.parametrize("view", ["build", "count"])
def test_only_those_who_may_build_criteria_ask(view: str) -> None:
    url = reverse(f"admin:deliveries_criteria_{view}")
    assert of_role("viewer").post(url, posted({})).status_code == 403
    assert of_role("marketer").get(url).status_code == 405
    user, client = UserFactory.create(), Client()
    client.force_login(user)
    assert client.post(url, posted({})).status_code == 403


def test_who_may_not_see_people_gets_no_sample() -> None:
    user, client = UserFactory.create(), Client()
    user.user_permissions.add(Permission.objects.get(codename="add_audience"))
    client.force_login(user)
    ProfileFactory.create(first_name="Ada")
    html = count(client, {})
    assert "1 person" in html
    assert "Ada" not in html


# -- the admin --------------------------------------------------------------------------------------------------------


def analysed(audience: Audience) -> Delivery:
    delivery = DeliveryFactory.create(target=Target.AUDIENCE, audience=audience, label="Spring at last")
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    assert delivery.state == State.ANALYSED
    return delivery


def test_the_list_tells_criteria_in_words(client: Client) -> None:
    Audience.objects.create(name="Readers", criteria=FRENCH)
    Audience.objects.create(name="Broken", criteria={"field": "gone", "op": "is", "value": 1})
    html = unescape(client.get(reverse("admin:deliveries_audience_changelist")).content.decode())
    assert "Language is one of French" in html
    assert "There is no field “gone”" in html


def test_the_form_warns_of_analysed_deliveries_before_it_is_saved(client: Client) -> None:
    ProfileFactory.create()
    audience = Audience.objects.create(name="Readers", criteria=FRENCH)
    assert "No delivery uses it." in client.get(change_url(audience)).content.decode()
    analysed(audience)
    html = client.get(change_url(audience)).content.decode()
    assert "1 analysed delivery uses it" in html
    assert "Spring at last" in html


def test_a_changed_audience_is_on_record(client: Client) -> None:
    audience = Audience.objects.create(name="Readers", criteria=FRENCH)
    client.post(change_url(audience), posted({"1": ("language", "in", "en")}))
    event = AuditEvent.objects.get()
    assert event.before == {"criteria": FRENCH}
    assert event.after["criteria"]["all"][0]["value"] == ["en"]


def test_saved_as_new_it_is_another_one(client: Client) -> None:
    audience = Audience.objects.create(name="Readers", criteria=FRENCH)
    data = posted({"1": ("language", "in", "en")}, name="English readers", _saveasnew="1")
    assert client.post(change_url(audience), data).status_code == 302
    assert [one.name for one in Audience.objects.order_by("pk")] == ["Readers", "English readers"]
    audience.refresh_from_db()
    assert audience.criteria == FRENCH


def test_a_used_audience_is_archived_not_deleted(client: Client) -> None:
    audience = Audience.objects.create(name="Readers", criteria=FRENCH)
    admin = Client()
    admin.force_login(UserFactory.create(admin=True))
    delete = reverse("admin:deliveries_audience_delete", args=[audience.pk])
    assert admin.get(delete).status_code == 200
    DeliveryFactory.create(target=Target.AUDIENCE, audience=audience)
    assert admin.post(delete, {"post": "yes"}).status_code == 403

    archive = reverse("admin:deliveries_audience_archive", args=[audience.pk])
    assert client.get(archive).status_code == 405
    client.post(archive)
    audience.refresh_from_db()
    assert audience.archived_at
    assert "Readers" not in client.get(reverse("admin:deliveries_audience_changelist")).content.decode()
    client.post(reverse("admin:deliveries_audience_reopen", args=[audience.pk]))
    audience.refresh_from_db()
    assert audience.archived_at is None
    assert [event.action for event in AuditEvent.objects.order_by("pk")] == ["archived", "reopened"]


def test_a_viewer_reads_and_changes_nothing() -> None:
    audience, viewer = Audience.objects.create(name="Readers", criteria=FRENCH), of_role("viewer")
    assert viewer.get(reverse("admin:deliveries_audience_changelist")).status_code == 200
    html = viewer.get(change_url(audience)).content.decode()
    assert "criteria-do" not in html
    assert viewer.post(change_url(audience), posted({})).status_code == 403
    assert viewer.get(reverse(ADD)).status_code == 403
    assert viewer.post(reverse("admin:deliveries_audience_archive", args=[audience.pk])).status_code == 403


def test_rows_are_told_from_what_is_no_criteria_at_all() -> None:
    assert list(of_stored({"all": [3, {"any": "x"}]}).rows()) == [Row(), Row()]


@pytest.mark.parametrize("rows", [{}, {"1": "all"}])
def test_an_audience_that_says_nothing_is_refused_for_it_would_be_everybody(client: Client, rows: Any) -> None:
    answer = client.post(reverse(ADD), posted(rows))
    assert answer.status_code == 200
    assert not Audience.objects.exists()
    assert "condition" in answer.content.decode()
