"""One address left out: its history, its next release and why, and what an operator may do about it."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Source
from quarantine import escalation
from quarantine.escalation import Target
from quarantine.models import Cause, QuarantinedAddress, QuarantineEvent, Reason, Status
from tests.factories import ProfileFactory, QuarantinedAddressFactory, UserFactory, add_address

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
BOUNCE = Evidence(source=Source.BOUNCE, delivery_id=12, delivery_name="Spring")
LINKS = {
    "release": "Release…",
    "date": "Change the release date…",
    "allow": "Always write to it…",
    "disallow": "Count its errors again…",
}


@pytest.fixture
def by(client: Client) -> Client:
    client.force_login(UserFactory(admin=True, username="pierre"))
    return client


def target(value: str) -> Target:
    row = QuarantinedAddressFactory.build(value=value)
    return Target(Channel(row.channel), row.digest, row.value, row.key)


def bounced(value: str = "gone@example.org", **more: Any) -> QuarantinedAddress:
    escalation.quarantine([target(value)], cause=Cause.BOUNCE, evidence=BOUNCE, at=timezone.now() - DAY, **more)
    return QuarantinedAddress.objects.get(value=value)


def page(entry: QuarantinedAddress) -> str:
    return reverse("admin:quarantine_quarantinedaddress_change", args=[entry.pk])


def act(by: Client, entry: QuarantinedAddress, name: str, **given: str) -> Any:
    return by.post(reverse(f"admin:quarantine_{name}", args=[entry.pk]), given)


def text_of(response: Any) -> str:
    return str(response.content.decode())


def test_the_history_says_who_when_from_what_why_and_by_which_delivery(by: Client) -> None:
    entry = bounced(reason=Reason.USER_UNKNOWN)
    operator = Evidence(source=Source.OPERATOR, actor_name="marie", reason="It works again")
    escalation.release([entry], evidence=operator, at=timezone.now())
    text = text_of(by.get(page(entry)))
    for told in ("marie", "It works again", "before: Not written to", "No such mailbox", "Delivery 12"):
        assert told in text
    assert reverse("admin:deliveries_delivery_workspace", args=[12]) in text


def test_the_page_and_each_act_name_the_profiles_that_have_the_address(by: Client) -> None:
    zoe = ProfileFactory(email="gone@example.org", first_name="Zoé", last_name="Durand")
    other = ProfileFactory(email="léa@example.org", first_name="Léa", last_name="Petit")
    add_address(other, Channel.EMAIL, "Gone@Example.org")
    entry = bounced()
    for url in (page(entry), *(reverse(f"admin:quarantine_{name}", args=[entry.pk]) for name in LINKS)):
        text = text_of(by.get(url))
        assert str(zoe) in text and str(other) in text, url
    entry.refresh_from_db()
    assert entry.status == Status.QUARANTINED


@pytest.mark.parametrize(
    ("fields", "links"),
    [
        ({"status": Status.QUARANTINED, "cause": Cause.BOUNCE}, ["release", "date", "allow"]),
        ({"status": Status.QUARANTINED, "cause": Cause.PERSON}, ["release", "date"]),
        ({"status": Status.QUARANTINED, "release_at": datetime(2020, 1, 1, tzinfo=timezone.get_default_timezone())},
         ["allow"]),
        ({"status": Status.ERRONEOUS, "errors": 2}, ["allow"]),
        ({"status": Status.VALID}, ["allow"]),
        ({"status": Status.ALLOWLISTED}, ["disallow"]),
    ],
)  # fmt: skip
def test_only_what_can_be_done_is_offered(by: Client, fields: dict[str, Any], links: list[str]) -> None:
    text = text_of(by.get(page(QuarantinedAddressFactory(**fields))))
    assert [name for name, link in LINKS.items() if link in text] == links


def test_each_act_wants_a_reason_and_leaves_an_event(by: Client) -> None:
    entry, tomorrow = bounced(), timezone.localdate() + 30 * DAY
    steps = [
        ("date", {"day": tomorrow.isoformat()}, Status.QUARANTINED),
        ("allow", {}, Status.ALLOWLISTED),
        ("disallow", {}, Status.VALID),
    ]
    for name, given, after in steps:
        events = QuarantineEvent.objects.count()
        assert "This field is required." in text_of(act(by, entry, name, confirm="1", **given))
        assert QuarantineEvent.objects.count() == events
        assert act(by, entry, name, confirm="1", reason="They wrote", **given)["Location"] == page(entry)
        event = QuarantineEvent.objects.order_by("pk").last()
        assert event is not None
        assert (event.after, event.actor_name) == (after, "pierre")
        assert event.note.endswith("They wrote")
        entry.refresh_from_db()
        assert entry.status == after
        if name == "date":
            assert entry.release_at is not None
            assert timezone.localtime(entry.release_at).date() == tomorrow


def test_a_date_of_release_is_to_come_and_can_be_taken_away(by: Client) -> None:
    entry = bounced(release_at=timezone.now() + DAY)
    today = timezone.localdate().isoformat()
    assert "Choose a day after today" in text_of(act(by, entry, "date", confirm="1", reason="x", day=today))
    act(by, entry, "date", confirm="1", reason="Not before they say so", day="")
    entry.refresh_from_db()
    assert entry.release_at is None


def test_what_has_changed_meanwhile_is_told(by: Client) -> None:
    entry = bounced()
    escalation.quarantine([target("gone@example.org")], cause=Cause.PERSON, evidence=BOUNCE, at=timezone.now())
    response = act(by, entry, "allow", confirm="1", reason="They wrote")
    assert "has changed meanwhile" in text_of(by.get(response["Location"]))
    entry.refresh_from_db()
    assert entry.status == Status.QUARANTINED


@pytest.mark.parametrize(("name", "codename"), [
    ("release", "release"), ("date", "release"), ("allow", "release"), ("disallow", "change"),
])  # fmt: skip
def test_each_act_has_its_permission(client: Client, name: str, codename: str) -> None:
    entry = QuarantinedAddressFactory(status=Status.ALLOWLISTED if name == "disallow" else Status.QUARANTINED)
    user = UserFactory.create()
    everything = Permission.objects.filter(content_type__app_label="quarantine")
    user.user_permissions.set(everything.exclude(codename=f"{codename}_quarantinedaddress"))
    client.force_login(user)
    assert act(client, entry, name, confirm="1", reason="x").status_code == 403
    assert LINKS[name] not in text_of(client.get(page(entry)))
    assert not QuarantineEvent.objects.exists()


def test_a_wish_is_pointed_out_before_it_is_undone(by: Client) -> None:
    for cause, told in ((Cause.PERSON, True), (Cause.COMPLAINT, True), (Cause.BOUNCE, False)):
        entry = QuarantinedAddressFactory(value=f"{cause}@example.org", cause=cause)
        text = text_of(by.get(reverse("admin:quarantine_release", args=[entry.pk])))
        assert ("The person asked for this." in text) == told


def test_several_are_released_from_the_list_after_one_page(by: Client) -> None:
    entries = [bounced("a@example.org"), bounced("b@example.org")]
    chosen = {"action": "release_action", "_selected_action": [entry.pk for entry in entries]}
    url = reverse("admin:quarantine_quarantinedaddress_changelist")
    text = text_of(by.post(url, chosen))
    assert "a@example.org" in text and "b@example.org" in text
    by.post(url, {**chosen, "confirm": "1", "reason": "Their server was down"})
    assert not QuarantinedAddress.objects.blocking(timezone.now()).exists()


def test_adding_says_whether_the_address_is_known(by: Client) -> None:
    url = reverse("admin:quarantine_quarantinedaddress_add")
    bounced("out@example.org")
    QuarantinedAddressFactory(value="fine@example.org", status=Status.VALID)
    told = {
        "out@example.org": "Email: left out already, since",
        "fine@example.org": "Email: known, and not left out now (Valid).",
        "new@example.org": "Not known yet: it has never been left out.",
    }
    for value, words in told.items():
        assert words in text_of(by.post(url, {"value": value, "reason": "They asked"}))
    assert QuarantinedAddress.objects.count() == 2
