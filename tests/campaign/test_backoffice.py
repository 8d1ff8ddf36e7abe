"""Home, search and the page of one person."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deliveries.models import AnalysisRun, Delivery, DeliveryLog, Lease, LogStatus, Reason, State
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import ConsentEvent, ImportJob, Profile, Source
from quarantine.escalation import Target, quarantine
from quarantine.models import Cause
from tests.factories import DeliveryFactory, ProfileFactory, QuarantinedAddressFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _admin(client: Client) -> None:
    client.force_login(UserFactory(admin=True))


def delivery_about(profile: Profile, status: LogStatus, reason: Reason = Reason.NONE, **more: Any) -> Delivery:
    """Return a finished delivery whose one message was for this person."""
    delivery = DeliveryFactory(**more)
    address = profile.addresses.first()
    run = AnalysisRun.objects.create(
        delivery=delivery, number=1, delivery_version=1, at=timezone.now(), state=AnalysisRun.State.DONE, targeted=1
    )
    Lease.objects.create(run=run, after_profile=0, upto_profile=profile.pk, size=1, **{status.counter: 1})
    DeliveryLog.objects.create(
        run=run, delivery=delivery, profile=profile, status=status, reason=reason,
        reasons=reason.bit if reason else 0, address=address.value if address else "",
        digest=address.digest if address else None,
    )  # fmt: skip
    Delivery.objects.filter(pk=delivery.pk).update(current_run=run, state=State.FINISHED)
    delivery.refresh_from_db()
    return delivery


def person(client: Client, profile: Profile, query: str = "") -> str:
    response = client.get(reverse("admin:person", args=[profile.pk]) + query)
    assert response.status_code == 200
    return response.content.decode()


class TestSearch:
    def find(self, client: Client, text: str, **more: Any) -> Any:
        return client.post(reverse("admin:find"), {"q": text}, **more)

    @pytest.mark.parametrize("text", ["ZOE@example.org", "06 39 98 00 01", "X-77", "leger zoe"])
    def test_one_result_goes_straight_to_the_person(self, client: Client, text: str) -> None:
        profile = ProfileFactory(last_name="Léger", email="zoe@example.org", sms="+33639980001", external_id="X-77")
        ProfileFactory(first_name="Ada")
        response = self.find(client, text)
        assert (response.status_code, response["Location"]) == (302, reverse("admin:person", args=[profile.pk]))

    def test_several_are_listed(self, client: Client) -> None:
        people = [ProfileFactory(first_name=name, email="shared@example.org") for name in ("One", "Two")]
        assert self.find(client, "shared@example.org").context["found"].people == people

    def test_an_address_without_a_person_is_explained_when_it_is_left_out(self, client: Client) -> None:
        QuarantinedAddressFactory(value="gone@example.org", cause=Cause.COMPLAINT)
        text = self.find(client, "gone@example.org").content.decode()
        assert "Complaint" in text
        assert "Nobody has this address now." in text

    def test_nobody_is_said_to_be_nobody(self, client: Client) -> None:
        assert "Nobody was found" in self.find(client, "<b>nobody</b>").content.decode()
        assert "<b>nobody</b>" not in self.find(client, "<b>nobody</b>").content.decode()

    def test_nothing_is_searched_for_by_an_address_in_the_browser(self, client: Client) -> None:
        assert client.get(reverse("admin:find") + "?q=zoe").status_code == 302

    def test_needs_the_permission(self, client: Client) -> None:
        client.force_login(UserFactory())
        assert self.find(client, "zoe").status_code == 403


class TestPerson:
    def test_says_on_which_channels_they_can_be_written_to(self, client: Client) -> None:
        text = person(client, ProfileFactory())
        assert text.count("Can be written to") == 1
        assert text.count("No address") >= 4

    def test_gives_rule_event_date_source_and_wording_of_an_opt_out(self, client: Client) -> None:
        profile, at = ProfileFactory(), timezone.now()
        told = consent.cite("You will get no more mail.", "en")
        evidence = Evidence(source=Source.ONE_CLICK, wording_id=told.pk)
        consent.opt_out([profile.pk], channel=Channel.EMAIL, evidence=evidence, at=at)
        text = person(client, profile)
        assert "Opted out of this channel" in text
        assert "Unsubscribe button of the mail program" in text
        assert "You will get no more mail." in text
        assert f"/consentevent/{ConsentEvent.objects.get().pk}/" in text

    def test_gives_the_cause_date_and_source_of_an_address_left_out(self, client: Client) -> None:
        profile = ProfileFactory(email="gone@example.org")
        address = profile.addresses.get()
        target = Target(Channel.EMAIL, bytes(address.digest), address.value, address.key)
        evidence = Evidence(source=Source.COMPLAINT)
        quarantine([target], cause=Cause.COMPLAINT, evidence=evidence, at=timezone.now())
        text = person(client, profile)
        assert "Address not in use: complaint" in text
        assert "from: Complaint" in text

    def test_says_what_each_delivery_did_and_why(self, client: Client) -> None:
        profile = ProfileFactory()
        delivery_about(profile, LogStatus.SENT, label="First news")
        evidence = Evidence(source=Source.PREFERENCES)
        consent.opt_out([profile.pk], channel=Channel.EMAIL, evidence=evidence, at=timezone.now())
        delivery_about(profile, LogStatus.EXCLUDED, Reason.BLACKLISTED_CHANNEL, label="Second news")
        text = person(client, profile)
        rows = text[text.index("What the latest deliveries did") :]
        assert rows.index("Second news") < rows.index("First news")
        assert "Left out" in rows
        assert "Preferences page" in rows
        assert "Second news" in client.get(reverse("admin:profiles_profile_change", args=[profile.pk])).content.decode()

    def test_tells_the_whole_story_in_pages(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("campaign.backoffice.timeline.SIZE", 2)
        profile, at = ProfileFactory(email="gone@example.org"), timezone.now() - timedelta(days=9)
        address = profile.addresses.get()
        web = Evidence(source=Source.LANDING_PAGE)
        consent.opt_out([profile.pk], channel=Channel.SMS, evidence=web, at=at)
        target = Target(Channel.EMAIL, bytes(address.digest), address.value, address.key)
        quarantine([target], cause=Cause.BOUNCE, evidence=web, at=at + timedelta(days=1))
        consent.opt_out([profile.pk], channel=None, evidence=web, at=at + timedelta(days=2))
        delivery_about(profile, LogStatus.SENT, label="News")
        seen, query = [], ""
        while True:
            response = client.get(reverse("admin:person", args=[profile.pk]) + query)
            seen.append([(moment.kind, moment.what) for moment in response.context["moments"]])
            if response.context["older"] is None:
                break
            query = f"?before={response.context['older']}"
        assert [[kind for kind, _what in page] for page in seen] == [["delivery", "consent"], ["address", "consent"]]
        assert seen[0][1][1] == "Opted out: every channel"

    def test_escapes_what_people_typed(self, client: Client) -> None:
        evil = "<script>alert(1)</script>"
        profile = ProfileFactory(first_name=evil, email="zoe@example.org")
        ProfileFactory(first_name=evil, email="zoe@example.org")
        operator = Evidence(source=Source.OPERATOR, reason=evil, actor_name=evil)
        consent.opt_out([profile.pk], channel=None, evidence=operator, at=timezone.now())
        assert evil not in person(client, profile)

    def test_needs_the_permission(self, client: Client) -> None:
        client.force_login(UserFactory())
        assert client.get(reverse("admin:person", args=[ProfileFactory().pk])).status_code == 403


class TestHome:
    def home(self, client: Client) -> str:
        return client.get(reverse("admin:index")).content.decode()

    def test_says_what_needs_attention(self, client: Client) -> None:
        delivery_about(ProfileFactory(), LogStatus.IN_DOUBT, label="Doubtful")
        Delivery.objects.filter(pk=DeliveryFactory(label="Broken").pk).update(state=State.FAILED)
        paused = delivery_about(ProfileFactory(), LogStatus.PENDING, label="Halted")
        Delivery.objects.filter(pk=paused.pk).update(state=State.PAUSED)
        ImportJob.objects.create(file="x", file_name="people.csv", state=ImportJob.State.FAILED)
        text = self.home(client)
        for told in (
            "Doubtful: the outcome of 1 message is unknown", "Broken: the analysis failed", "Halted is paused",
            "The import of people.csv failed",
        ):  # fmt: skip
            assert told in text

    def test_shows_the_latest_deliveries_with_their_numbers(self, client: Client) -> None:
        delivery_about(ProfileFactory(), LogStatus.SENT, label="News of May")
        text = self.home(client)
        assert "News of May" in text
        assert "1 sent, 0 left out, of 1" in text

    def test_takes_the_same_number_of_queries_whatever_there_is(
        self, client: Client, django_assert_max_num_queries: Any
    ) -> None:
        for _n in range(5):
            delivery_about(ProfileFactory(), LogStatus.SENT)
        with django_assert_max_num_queries(11):
            self.home(client)
