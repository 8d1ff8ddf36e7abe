"""Sending rules in the back-office: in order, in words, one page per rule, and the set that is the usual one."""

from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils.translation import override

from deliveries import typologies
from deliveries.admin import rule_words
from deliveries.models import RuleKind, Typology, TypologyRule
from profiles.channels import Channel
from profiles.models import AuditEvent, CustomField
from tests.factories import DeliveryFactory, ServiceFactory, UserFactory

pytestmark = pytest.mark.django_db
MINORS = {"all": [{"field": "age", "op": "lte", "value": 15}]}


def of_role(name: str) -> Client:
    user, client = UserFactory.create(username=f"a-{name}"), Client()
    user.groups.add(Group.objects.get(name=name))
    client.force_login(user)
    return client


@pytest.fixture
def client() -> Client:
    return of_role("marketer")


@pytest.fixture
def rules() -> Typology:
    return Typology.objects.create(name="Careful rules")


def page(typology: Typology, name: str = "change") -> str:
    return reverse(f"admin:deliveries_typology_{name}", args=[typology.pk])


def add_url(typology: Typology, kind: RuleKind) -> str:
    return f"{reverse('admin:deliveries_typologyrule_add')}?typology={typology.pk}&kind={kind.value}"


def rule_url(rule: TypologyRule) -> str:
    return reverse("admin:deliveries_typologyrule_change", args=[rule.pk])


CRITERIA = {
    "criteria--how": "all", "criteria-1-field": "age", "criteria-1-was": "age", "criteria-1-op": "lte",
    "criteria-1-value": "15",
}  # fmt: skip


def filtering(**more: Any) -> dict[str, Any]:
    return {"label": "Minors", "active": "on", "place": "10", **CRITERIA, **more}


def fatigue(**more: Any) -> dict[str, Any]:
    return {"label": "Not too often", "active": "on", "place": "10", "most": "3", "period": "7", "unit": "24", **more}


# -- one rule ---------------------------------------------------------------------------------------------------------


def test_a_rule_that_leaves_out_people_is_added(client: Client, rules: Typology) -> None:
    service = ServiceFactory.create()
    answer = client.post(add_url(rules, RuleKind.FILTERING), filtering(only_channel="1", only_service=service.pk))
    assert (answer.status_code, answer.url) == (302, page(rules))
    rule = rules.rules.get()
    assert (rule.kind, rule.label, rule.criteria, rule.active) == (RuleKind.FILTERING, "Minors", MINORS, True)
    assert (rule.only_channel, rule.only_service) == (Channel.EMAIL, service)
    assert AuditEvent.objects.get().label == "Minors"


def test_a_rule_that_would_leave_out_everybody_is_refused(client: Client, rules: Typology) -> None:
    data = {"label": "All", "place": "10", "criteria--how": "all"}
    html = client.post(add_url(rules, RuleKind.FILTERING), data).content.decode()
    assert "without one, this rule would leave out everybody" in html
    assert not rules.rules.exists()
    rule = rules.rules.create(kind=RuleKind.FILTERING, criteria=MINORS)
    html = client.post(rule_url(rule), data).content.decode()
    assert "without one, this rule would leave out everybody" in html


def test_a_button_of_the_criteria_saves_no_rule(client: Client, rules: Typology) -> None:
    html = client.post(add_url(rules, RuleKind.FILTERING), filtering(**{"criteria-do": "row:"})).content.decode()
    assert "criteria-2-field" in html
    assert not rules.rules.exists()


@pytest.mark.parametrize(("period", "unit", "hours"), [(36, 1, 36), (7, 24, 168), (2, 168, 336)])
def test_contact_pressure_is_kept_in_hours(client: Client, rules: Typology, period: int, unit: int, hours: int) -> None:
    field = CustomField.objects.create(name="wanted", kind="number", label={"en": "Wanted mails"})
    data = fatigue(period=period, unit=unit, most_field=field.pk, channels=["1", "2"])
    assert client.post(add_url(rules, RuleKind.FATIGUE), data).status_code == 302
    rule = rules.rules.get()
    assert (rule.most, rule.hours, rule.most_field, rule.channels) == (3, hours, field, [1, 2])
    html = client.get(rule_url(rule)).content.decode()
    assert f'name="period" value="{period}"' in html
    assert f'<option value="{unit}" selected>' in html


REFUSED = [
    ({"most": "0"}, "would leave out everybody"),
    ({"most": ""}, "This field is required"),
    ({"period": "0"}, "greater than or equal to 1"),
    ({"period": "60", "unit": "168"}, "Choose at most a year."),
    ({"unit": "5"}, "Select a valid choice"),
]


@pytest.mark.parametrize(("changes", "told"), REFUSED)
def test_contact_pressure_without_sense_is_refused(
    client: Client, rules: Typology, changes: dict[str, str], told: str
) -> None:
    html = unescape(client.post(add_url(rules, RuleKind.FATIGUE), fatigue(**changes)).content.decode())
    assert told in html
    assert not rules.rules.exists()


def test_only_fields_that_hold_numbers_are_offered(client: Client, rules: Typology) -> None:
    CustomField.objects.create(name="points", kind="number", label={"en": "Loyalty points"})
    CustomField.objects.create(name="city", kind="text", label={"en": "Home town"})
    html = client.get(add_url(rules, RuleKind.FATIGUE)).content.decode()
    assert "Loyalty points" in html
    assert "Home town" not in html


def test_a_check_gets_a_severity_unless_it_always_holds(client: Client, rules: Typology) -> None:
    url, data = add_url(rules, RuleKind.CONTROL), {"label": "", "active": "on", "place": "10", "severity": "error"}
    assert "Select a valid choice" in client.post(url, {**data, "code": "opt_out_link"}).content.decode()
    assert client.post(url, {**data, "code": "alt_text"}).status_code == 302
    rule = rules.rules.get()
    assert (rule.kind, rule.code, rule.severity) == (RuleKind.CONTROL, "alt_text", "error")


def test_a_rule_is_added_to_a_set_only(client: Client) -> None:
    answer = client.get(reverse("admin:deliveries_typologyrule_add"))
    assert (answer.status_code, answer.url) == (302, reverse("admin:deliveries_typology_changelist"))


def test_a_new_rule_comes_after_the_others(client: Client, rules: Typology) -> None:
    rules.rules.create(kind=RuleKind.FILTERING, criteria=MINORS, place=30)
    assert 'name="place" value="40"' in client.get(add_url(rules, RuleKind.FILTERING)).content.decode()


def test_a_changed_rule_is_on_record(client: Client, rules: Typology) -> None:
    rule = rules.rules.create(kind=RuleKind.FILTERING, label="Minors", criteria=MINORS)
    client.post(rule_url(rule), filtering(**{"criteria-1-value": "17", "place": rule.place}))
    event = AuditEvent.objects.get()
    assert event.before == {"criteria": MINORS}
    assert rules.rules.get().criteria["all"][0]["value"] == 17


# -- a set ------------------------------------------------------------------------------------------------------------


def test_the_rules_of_a_set_are_told_in_words_and_in_order(client: Client, rules: Typology) -> None:
    service = ServiceFactory.create(label={"en": "Garden news"})
    rules.rules.create(kind=RuleKind.FILTERING, label="Second", criteria=MINORS, place=20, active=False)
    rules.rules.create(kind=RuleKind.FILTERING, label="First", criteria=MINORS, place=10, only_channel=1)
    rules.rules.create(kind=RuleKind.FATIGUE, most=3, hours=168, channels=[1, 2], only_service=service)
    rules.rules.create(kind=RuleKind.CONTROL, code="alt_text", severity="error")
    html = unescape(client.get(page(rules)).content.decode())
    assert html.index(">First<") < html.index(">Second<")
    for words in (
        "People who opted out and addresses not in use are always left out; no rule can change that.",
        "Leaves out: Age in years is at most 15",
        "At most 3 messages in any 7 days, sent or to come. Counted: Email, SMS.",
        "Pictures have a text instead: Error: the delivery cannot be sent",
        "Only: Email", "Only: Garden news", "Not active", "All deliveries",
    ):  # fmt: skip
        assert words in html
    assert html.count('name="to"') == 4


def test_pressure_by_an_own_field_is_told_with_it() -> None:
    field = CustomField.objects.create(name="wanted", kind="number", label={"en": "Wanted mails"})
    rule = TypologyRule(pk=1, kind=RuleKind.FATIGUE, most=1, hours=5, most_field=field)
    with override("en"):
        assert rule_words.told([rule])[1] == (
            "At most as many messages as “Wanted mails” says, else 1, in any 5 hours, sent or to come. "
            "Messages of every channel count."
        )


def test_a_rule_changes_places_with_its_neighbour_of_the_same_kind(client: Client, rules: Typology) -> None:
    names = ["a", "b", "c"]
    made = [rules.rules.create(kind=RuleKind.FILTERING, label=name, criteria=MINORS, place=50) for name in names]
    rules.rules.create(kind=RuleKind.CONTROL, code="alt_text", severity="off", place=50)
    for rule, to, order in ((2, "up", "acb"), (0, "up", "acb"), (0, "down", "cab"), (1, "down", "cab")):
        client.post(page(rules, "move"), {"rule": made[rule].pk, "to": to})
        found = rules.rules.filter(kind=RuleKind.FILTERING).order_by("place", "pk")
        assert "".join(found.values_list("label", flat=True)) == order
    assert AuditEvent.objects.count() == 2
    assert rules.rules.get(kind=RuleKind.CONTROL).place == 50
    assert client.get(page(rules, "move")).status_code == 405
    other = Typology.objects.create(name="Other")
    assert client.post(page(other, "move"), {"rule": made[0].pk, "to": "up"}).status_code == 404


def test_another_set_becomes_the_usual_one(client: Client, rules: Typology) -> None:
    former = typologies.default()
    assert former
    assert "These are the usual rules" in client.get(page(former)).content.decode()
    assert client.get(page(rules, "usual")).status_code == 405
    client.post(page(rules, "usual"))
    assert typologies.default() == rules
    event = AuditEvent.objects.get()
    assert (event.before, event.after) == ({"usual": str(former)}, {"usual": "Careful rules"})


def test_an_archived_set_does_not_become_the_usual_one(client: Client, rules: Typology) -> None:
    former = typologies.default()
    client.post(page(rules, "archive"))
    client.post(page(rules, "usual"))
    assert typologies.default() == former


def test_the_usual_set_is_neither_archived_nor_deleted(client: Client) -> None:
    usual = typologies.default()
    assert usual
    html = client.post(page(usual, "archive"), follow=True).content.decode()
    assert "make another one the usual one first" in html
    usual.refresh_from_db()
    assert usual.archived_at is None
    admin = Client()
    admin.force_login(UserFactory.create(admin=True))
    assert admin.get(page(usual, "delete")).status_code == 403


def test_deliveries_that_name_no_set_use_the_usual_one(client: Client, rules: Typology) -> None:
    DeliveryFactory.create(label="Spring at last")
    usual = typologies.default()
    assert usual
    assert "Spring at last" in client.get(page(usual)).content.decode()
    assert "Spring at last" not in client.get(page(rules)).content.decode()


def test_a_viewer_reads_and_changes_nothing(rules: Typology) -> None:
    viewer, rule = of_role("viewer"), rules.rules.create(kind=RuleKind.FILTERING, label="Minors", criteria=MINORS)
    html = viewer.get(page(rules)).content.decode()
    assert "Minors" in html
    assert 'name="to"' not in html
    assert "Leaves out: Age in years is at most 15" in viewer.get(rule_url(rule)).content.decode()
    pressure = rules.rules.create(kind=RuleKind.FATIGUE, label="Calm", most=3, hours=36, channels=[1])
    check = rules.rules.create(kind=RuleKind.CONTROL, code="alt_text", severity="error")
    assert "At most 3 messages in any 36 hours, sent or to come." in viewer.get(rule_url(pressure)).content.decode()
    assert "Pictures have a text instead: Error" in viewer.get(rule_url(check)).content.decode()
    assert viewer.post(rule_url(rule), filtering()).status_code == 403
    assert viewer.get(add_url(rules, RuleKind.FILTERING)).status_code == 403
    for name in ("move", "usual", "archive", "reopen"):
        assert viewer.post(page(rules, name), {"rule": rule.pk, "to": "up"}).status_code == 403


def test_built_in_names_are_edited_as_they_are_shown_and_kept_as_they_are() -> None:
    user, client = UserFactory.create(admin=True, language="fr"), Client()
    client.force_login(user)
    usual = typologies.default()
    assert usual
    rule = usual.rules.get()
    assert 'value="Règles habituelles"' in client.get(page(usual)).content.decode()
    client.post(page(usual), {"name": "Règles habituelles", "description": "Pour tous"})
    assert "Trois messages par semaine au plus" in client.get(rule_url(rule)).content.decode()
    client.post(rule_url(rule), fatigue(label="Trois messages par semaine au plus", most="4"))
    rule.refresh_from_db()
    usual.refresh_from_db()
    assert (usual.name, usual.description) == (typologies.DEFAULT_NAME, "Pour tous")
    assert (rule.label, rule.most) == (typologies.PRESSURE, 4)
    client.post(page(usual), {"name": "Nos règles", "description": ""})
    usual.refresh_from_db()
    assert usual.name == "Nos règles"


def test_a_deleted_rule_is_on_record(rules: Typology) -> None:
    client, rule = (
        of_role("administrator"),
        rules.rules.create(kind=RuleKind.FILTERING, label="Minors", criteria=MINORS),
    )
    delete = reverse("admin:deliveries_typologyrule_delete", args=[rule.pk])
    answer = client.post(delete, {"post": "yes"})
    assert (answer.status_code, answer.url) == (302, page(rules))
    assert not rules.rules.exists()
    event = AuditEvent.objects.get()
    assert (event.action, event.label, event.before["criteria"]) == ("deleted", "Minors", MINORS)
