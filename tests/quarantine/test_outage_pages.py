"""Releases after outages on screen: chosen, looked at, released with a reason, watched, stopped, undone."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from quarantine import outages, tasks
from quarantine.models import Cause, Outage, QuarantinedAddress, Status
from tests.factories import QuarantinedAddressFactory, UserFactory

pytestmark = pytest.mark.django_db
ADD = reverse("admin:quarantine_outage_add")
HOUR = timedelta(hours=1)


@pytest.fixture
def by(client: Client) -> Client:
    client.force_login(UserFactory(admin=True, username="pierre"))
    return client


def came_back(*names: str, domain: str = "down.example", hours: float = 2, **fields: Any) -> None:
    at = timezone.now() - hours * HOUR
    text = fields.pop("text", "550 5.1.1 User unknown")
    for name in names:
        QuarantinedAddressFactory(value=f"{name}@{domain}", quarantined_at=at, text=text, **fields)


def written(moment: datetime) -> str:
    return timezone.localtime(moment).strftime("%Y-%m-%dT%H:%M")


def asked(**given: Any) -> dict[str, Any]:
    now = timezone.now()
    return {
        "domain": "down.example",
        "since": written(now - 24 * HOUR),
        "until": written(now + HOUR),
        "text": "",
    } | given


def page(outage: Outage) -> str:
    return reverse("admin:quarantine_outage_change", args=[outage.pk])


def do(by: Client, outage: Outage, step: str, **more: str) -> Any:
    return by.post(reverse("admin:quarantine_outage_do", args=[outage.pk, step]), more)


def blocking() -> set[str | None]:
    return set(QuarantinedAddress.objects.blocking(timezone.now()).values_list("value", flat=True))


def test_the_page_offers_the_last_day_and_the_domains_that_came_back(by: Client) -> None:
    came_back("a", "b", "c")
    came_back("d", domain="other.example")
    came_back("e", domain="old.example", hours=30)
    came_back("f", domain="spam.example", cause=Cause.COMPLAINT)
    shown = by.get(ADD)
    assert shown.context["domains"] == [("down.example", "3"), ("other.example", "1")]
    first = shown.context["form"].initial
    assert datetime.fromisoformat(first["until"]) - datetime.fromisoformat(first["since"]) == 24 * HOUR
    assert "seen" not in shown.context
    assert not Outage.objects.exists()


@pytest.mark.parametrize("way", ["button", "link", "form"])
def test_a_choice_is_shown_before_anything_is_released(by: Client, way: str) -> None:
    came_back("a", "b")
    came_back("c", text="552 mailbox full", reason=5)
    came_back("d", domain="other.example")
    if way == "link":
        shown = by.get(ADD, {"domain": "down.example"})
    elif way == "button":
        shown = by.post(ADD, asked(domain="", pick="down.example"))
    else:
        shown = by.post(ADD, asked(step="look"))
    assert shown.context["seen"].count == 3
    text = shown.content.decode()
    assert "3 addresses would be written to again" in text
    assert "a@down.example" in text and "552 mailbox full" in text and "d@other.example" not in text
    assert not Outage.objects.exists()
    assert len(blocking()) == 4


def test_from_a_choice_to_released_with_a_reason(by: Client, django_capture_on_commit_callbacks: Any) -> None:
    came_back("a", "b")
    came_back("c", text="552 mailbox full")
    with django_capture_on_commit_callbacks() as rung:
        unsaid = by.post(ADD, asked(text="user UNKNOWN", step="release"))
        assert unsaid.context["seen"].count == 2
        assert unsaid.context["reason"].errors
        done = by.post(ADD, asked(text="user UNKNOWN", step="release", reason="Their server was down"))
    outage = Outage.objects.get()
    assert done["Location"] == page(outage)
    assert (outage.by, outage.reason, len(rung)) == ("pierre", "Their server was down", 1)
    assert by.get(page(outage)).context["moving"]
    assert by.get(reverse("admin:quarantine_outage_live", args=[outage.pk]))["X-Moving"] == "yes"
    tasks.release_after_outage(outage.pk)
    assert blocking() == {"c@down.example"}
    assert by.get(reverse("admin:quarantine_outage_live", args=[outage.pk]))["X-Moving"] == "no"
    text = by.get(page(outage)).content.decode()
    assert "addresses released" in text and "Their server was down" in text
    entry = QuarantinedAddress.objects.get(value="a@down.example")
    history = by.get(reverse("admin:quarantine_quarantinedaddress_change", args=[entry.pk])).content.decode()
    assert page(outage) in history and "Their server was down" in history


def test_a_release_is_undone_after_a_page_that_says_what_follows(by: Client) -> None:
    came_back("a", "b")
    outage = outages.start(Outage(**moments(), domain="down.example", reason="Down", by="pierre"), at=timezone.now())
    tasks.release_after_outage(outage.pk)
    assert blocking() == set()
    first = do(by, outage, "undo")
    assert "2 addresses that this release has had written to again" in first.content.decode()
    outage.refresh_from_db()
    assert outage.undone_at is None
    assert do(by, outage, "undo", confirm="1").status_code == 302
    tasks.undo_release(outage.pk)
    assert blocking() == {"a@down.example", "b@down.example"}
    text = by.get(page(outage)).content.decode()
    assert "addresses left out again" in text and "Undone" in text and "Undo…" not in text


def moments() -> dict[str, datetime]:
    return {"since": timezone.now() - 24 * HOUR, "until": timezone.now() + HOUR}


def test_a_release_is_stopped_and_goes_on(by: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "BATCH", 1)
    came_back("a", "b", "c")
    outage = outages.start(Outage(**moments(), domain="down.example", reason="Down", by="pierre"), at=timezone.now())
    outages.work(outage.pk, clock=timezone.now, budget=timedelta(0))
    do(by, outage, "stop")
    shown = by.get(page(outage))
    assert (shown.context["moving"], len(blocking())) == (False, 2)
    assert "Go on" in shown.content.decode()
    do(by, outage, "go-on")
    tasks.release_after_outage(outage.pk)
    assert blocking() == set()
    again: Any = by.post(reverse("admin:quarantine_outage_do", args=[outage.pk, "stop"]), follow=True)
    assert "moved on meanwhile" in again.content.decode()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"domain": "", "text": ""}, "without either, all would be released"),
        ({"domain": "somebody@down.example"}, "This is an address"),
        ({"until": "2020-01-01T00:00"}, "The end is before the beginning"),
        ({"since": ""}, "required"),
    ],
)
def test_what_cannot_be_meant_is_told_and_not_done(by: Client, given: dict[str, str], told: str) -> None:
    came_back("a")
    shown = by.post(ADD, asked(**given, step="release", reason="x"))
    assert told in shown.content.decode()
    assert not Outage.objects.exists()


def test_only_who_may_release_does(client: Client) -> None:
    came_back("a")
    outage = outages.start(Outage(**moments(), domain="down.example", reason="Down", by="x"), at=timezone.now())
    viewer = UserFactory.create()
    viewer.user_permissions.set(Permission.objects.filter(codename__in=["view_outage", "view_quarantinedaddress"]))
    client.force_login(viewer)
    assert client.get(ADD).status_code == 403
    assert client.post(ADD, asked(step="release", reason="x")).status_code == 403
    shown = client.get(page(outage))
    assert shown.status_code == 200
    assert "Stop" not in shown.content.decode()
    for step in ("stop", "go-on", "undo"):
        assert do(client, outage, step, confirm="1").status_code == 403
        assert client.get(reverse("admin:quarantine_outage_do", args=[outage.pk, step])).status_code == 405
    client.force_login(UserFactory())
    assert client.get(page(outage)).status_code == 403
    assert Outage.objects.get().stopped_at is None


def test_an_expired_or_foreign_status_is_not_shown_as_left_out(by: Client) -> None:
    came_back("a", status=Status.VALID)
    came_back("b", release_at=timezone.now() - HOUR)
    shown = by.get(ADD, {"domain": "down.example"})
    assert shown.context["seen"].count == 0
    assert "No address fits" in shown.content.decode()
