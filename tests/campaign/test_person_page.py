"""The page of a person: addresses, opt-outs, subscriptions then and now, and a story that can be filtered."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from deliveries import analysis
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Profile, Source, Subscription
from quarantine import escalation
from quarantine.failures import Failure, Kind
from quarantine.models import Cause, QuarantinedAddress, Status
from quarantine.models import Reason as Wrong
from tests.factories import (
    DeliveryFactory,
    ProfileFactory,
    QuarantinedAddressFactory,
    ServiceFactory,
    UserFactory,
    add_address,
)

pytestmark = pytest.mark.django_db
BOUNCE, OPERATOR = Evidence(source=Source.BOUNCE), Evidence(source=Source.OPERATOR, actor_name="ada")
REASON = Evidence(source=Source.OPERATOR, actor_name="ada", reason="asked")
ONE_CLICK = Evidence(source=Source.ONE_CLICK)


@pytest.fixture(autouse=True)
def _admin(client: Client) -> None:
    client.force_login(UserFactory(admin=True, username="boss"))


def page(client: Client, profile: Profile, **query: str) -> Any:
    return client.get(reverse("admin:person", args=[profile.pk]), query)


def target(profile: Profile) -> escalation.Target:
    address = profile.addresses.get(position=1)
    return escalation.Target(Channel.EMAIL, bytes(address.digest), address.value, address.key)


def bounce(profile: Profile, at: Any) -> None:
    soft = Failure(Kind.SOFT, Wrong.MAILBOX_FULL)
    escalation.note_failure(target(profile), soft, evidence=BOUNCE, at=at, text="452 full")


def lived_through(client: Client, times: int = 1) -> Profile:
    """Return a person to whom something of each kind has happened so many times."""
    service = ServiceFactory()
    profile = ProfileFactory(email="zoe@example.org", services=[service], external_id="X-1")
    start = timezone.now() - timedelta(days=60)
    for number in range(times):
        at = start + timedelta(days=2 * number)
        consent.opt_out([profile.pk], channel=Channel.SMS, evidence=OPERATOR, at=at)
        consent.opt_in([profile.pk], channel=Channel.SMS, evidence=REASON, at=at)
        bounce(profile, at)
        escalation.quarantine([target(profile)], cause=Cause.OPERATOR, evidence=OPERATOR, at=at)
        escalation.release(QuarantinedAddress.objects.all(), evidence=REASON, at=at)
        change = reverse("admin:profiles_profile_change", args=[profile.pk])
        form = client.get(change).context["adminform"].form
        data = {name: "" if (value := form[name].value()) is None else value for name in form.fields}
        data = {name: value for name, value in data.items() if value not in (False,)}
        inline = {"addresses-TOTAL_FORMS": 1, "addresses-INITIAL_FORMS": 1, "addresses-0-id": target_id(profile)}
        inline |= {"addresses-0-profile": profile.pk, "addresses-0-channel": 1, "addresses-0-position": 1}
        data |= {**inline, "addresses-0-value": "zoe@example.org", "first_name": f"Zoé {number}"}
        assert client.post(change, data).status_code == 302
        delivery = DeliveryFactory(service=service)
        analysis.start(delivery, at=timezone.now())
        analysis.work(delivery.pk)
    return profile


def target_id(profile: Profile) -> int:
    return profile.addresses.get(position=1).pk


class TestAddresses:
    def states(self, client: Client, profile: Profile) -> list[tuple[str, str, str]]:
        found = page(client, profile).context["addresses"]
        return [(one.address.value, one.state, ", ".join(one.particulars)) for one in found]

    def test_tell_their_state_cause_errors_and_next_release(self, client: Client) -> None:
        now = timezone.now()
        profile = ProfileFactory(email="fine@example.org")
        for value in ("gone@example.org", "full@example.org", "shaky@example.org", "not an address"):
            add_address(profile, Channel.EMAIL, value)
        QuarantinedAddressFactory(value="gone@example.org", cause=Cause.COMPLAINT, text="no more")
        QuarantinedAddressFactory(
            value="full@example.org", errors=5, last_error_at=now, release_at=now + timedelta(days=30)
        )
        QuarantinedAddressFactory(value="shaky@example.org", status=Status.ERRONEOUS, errors=2, last_error_at=now)
        states = {value: (state, told) for value, state, told in self.states(client, profile)}
        assert states["fine@example.org"] == ("In use", "")
        state, told = states["gone@example.org"]
        assert state == "Not written to"
        assert all(part in told for part in ("Complaint", "since ", "for good", "no more"))
        assert all(part in states["full@example.org"][1] for part in ("5 errors noted, the last on", "next release on"))
        assert states["shaky@example.org"][0] == "Errors noted, still written to"
        assert "2 errors noted" in states["shaky@example.org"][1]
        assert states["not an address"][0] == "Invalid"

    def test_that_were_released_are_in_use(self, client: Client) -> None:
        profile = ProfileFactory(email="back@example.org")
        QuarantinedAddressFactory(value="back@example.org", release_at=timezone.now() - timedelta(days=1))
        assert self.states(client, profile)[0][1] == "In use"


class TestSubscriptions:
    def test_that_run_and_that_have_ended_are_told_with_dates_and_source(self, client: Client) -> None:
        profile, now = ProfileFactory(), timezone.now()
        garden, limited, over = (ServiceFactory(label={"en": name}) for name in ("Garden", "Limited", "Over"))
        consent.subscribe([profile.pk], garden, evidence=OPERATOR, at=now - timedelta(days=9))
        consent.unsubscribe(
            [profile.pk], garden, evidence=Evidence(source=Source.ONE_CLICK), at=now - timedelta(days=2)
        )
        end = now + timedelta(days=5)
        Subscription.objects.create(service=limited, profile=profile, source="import", expires_at=end)
        Subscription.objects.create(service=over, profile=profile, source="api", expires_at=now - timedelta(days=1))
        context = page(client, profile).context
        assert [(row.service, row.until, row.source) for row in context["running"]] == [("Limited", end, "Import")]
        over_row, garden_row = context["past"]
        assert (over_row.service, over_row.how, over_row.source) == ("Over", "Subscription ended", "API")
        assert (garden_row.service, garden_row.since, garden_row.until) == (
            "Garden", now - timedelta(days=9), now - timedelta(days=2),
        )  # fmt: skip
        assert garden_row.source == "Unsubscribe button of the mail program"

    def test_begun_again_run_and_are_told_as_past_too(self, client: Client) -> None:
        profile, service, now = ProfileFactory(), ServiceFactory(), timezone.now()
        for days, act in ((9, consent.subscribe), (8, consent.unsubscribe), (7, consent.subscribe)):
            act([profile.pk], service, evidence=OPERATOR, at=now - timedelta(days=days))
        context = page(client, profile).context
        assert [row.since for row in context["running"]] == [now - timedelta(days=7)]
        assert [(row.since, row.until) for row in context["past"]] == [
            (now - timedelta(days=9), now - timedelta(days=8))
        ]


class TestStory:
    def test_tells_each_kind_and_who_did_it(self, client: Client) -> None:
        profile = lived_through(client)
        moments = page(client, profile).context["moments"]
        assert {moment.kind for moment in moments} == {"consent", "address", "bounce", "delivery", "edit"}
        (edit,) = [moment for moment in moments if moment.kind == "edit"]
        assert edit.by == "boss"
        assert "First name" in edit.note
        (back,) = [moment for moment in moments if moment.kind == "bounce"]
        assert (back.what, back.note) == ("zoe@example.org: Errors noted, still written to", "Mailbox full")

    @pytest.mark.parametrize("kind", ["consent", "address", "bounce", "delivery", "edit"])
    def test_is_filtered_by_kind_in_pages(self, client: Client, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("campaign.backoffice.timeline.SIZE", 2)
        profile = lived_through(client, times=3)
        seen, query = [], {"kind": kind}
        while True:
            context = page(client, profile, **query).context
            seen += [(moment.kind, moment.key) for moment in context["moments"]]
            if context["older"] is None:
                break
            query["before"] = str(context["older"])
        assert {found for found, _key in seen} == {kind}
        assert len(seen) == len(set(seen)) >= 3
        assert seen == sorted(seen, reverse=True)

    def test_an_older_page_keeps_the_filter(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("campaign.backoffice.timeline.SIZE", 1)
        profile = lived_through(client, times=2)
        shown = page(client, profile, kind="edit")
        assert f"?kind=edit&amp;before={shown.context['older']}#story" in shown.content.decode()
        assert 'href="?kind=edit#story" aria-current="true"' in shown.content.decode()

    @pytest.mark.parametrize("query", [{"kind": "<b>"}, {"before": "1-2"}, {"before": "x-1-1-1-1"}])
    def test_reads_nonsense_as_the_beginning(self, client: Client, query: dict[str, str]) -> None:
        profile = lived_through(client)
        assert len(page(client, profile, **query).context["moments"]) == len(page(client, profile).context["moments"])


def test_the_changes_of_one_person_are_found_by_an_index() -> None:
    with connection.cursor() as cursor:
        indexes = connection.introspection.get_constraints(cursor, LogEntry._meta.db_table)
    assert ["content_type_id", "object_id", "id"] in [found["columns"] for found in indexes.values()]


def more_of_everything(profile: Profile, number: int) -> None:
    """Give a person another address that is left out, a twin, a past and a new subscription, and a delivery."""
    add_address(profile, Channel.EMAIL, f"more{number}@example.org")
    QuarantinedAddressFactory(value=f"more{number}@example.org")
    ProfileFactory(email="zoe@example.org")
    service = ServiceFactory()
    for act in (consent.subscribe, consent.unsubscribe, consent.subscribe):
        act([profile.pk], service, evidence=OPERATOR, at=timezone.now())
    consent.opt_out([profile.pk], channel=None, evidence=OPERATOR, at=timezone.now())
    delivery = DeliveryFactory(service=service)
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)


def test_costs_the_same_however_much_there_is_and_counts_nothing(client: Client) -> None:
    profile = lived_through(client)
    more_of_everything(profile, 1)
    page(client, profile)  # what is read once per process
    with CaptureQueriesContext(connection) as little:
        page(client, profile)
    for number in range(2, 6):
        more_of_everything(profile, number)
    with CaptureQueriesContext(connection) as much:
        page(client, profile)
    assert len(much) == len(little) <= 50
    assert not [query["sql"] for query in much if "COUNT(" in query["sql"]]
