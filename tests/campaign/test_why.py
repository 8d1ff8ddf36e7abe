"""The page that says why somebody did or won't get it."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from deliveries import analysis
from deliveries.exclusions import EXCLUSIONS
from deliveries.models import Delivery, DeliveryLog, LogStatus, MessageClass, Reason
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import AuditEvent, ConsentEvent, Profile, Source
from quarantine.models import Cause, QuarantinedAddress
from tests.factories import (
    DeliveryFactory,
    ProfileFactory,
    QuarantinedAddressFactory,
    ServiceFactory,
    UserFactory,
    add_address,
)

pytestmark = pytest.mark.django_db
URL = "/admin/why/"


@pytest.fixture(autouse=True)
def _admin(client: Client) -> None:
    client.force_login(UserFactory(admin=True))


def ask(client: Client, who: Any, delivery: Delivery | None = None) -> Any:
    response = client.post(URL, {"who": str(who), "delivery": delivery.pk if delivery else ""})
    assert response.status_code == 200
    return response


def text(client: Client, who: Any, delivery: Delivery | None = None) -> str:
    return " ".join(ask(client, who, delivery).content.decode().split())


def opt_out(profile: Profile, channel: Channel | None = None) -> ConsentEvent:
    told = consent.cite("You will get no more mail.", "en")
    evidence = Evidence(source=Source.OPERATOR, actor_name="ada", reason="asked by phone", wording_id=told.pk)
    consent.opt_out([profile.pk], channel=channel, evidence=evidence, at=timezone.now())
    return ConsentEvent.objects.latest("pk")


def analysed(delivery: Delivery) -> Delivery:
    analysis.start(delivery, at=timezone.now())
    while analysis.work(delivery.pk):
        pass
    delivery.refresh_from_db()
    return delivery


class TestAPerson:
    @pytest.mark.parametrize("who", ["ZOE@example.org", "06 39 98 00 01", "X-77", "number"])
    def test_is_found_by_address_identifier_or_number(self, client: Client, who: str) -> None:
        profile = ProfileFactory(email="zoe@example.org", sms="+33639980001", external_id="X-77")
        ProfileFactory()
        answers = ask(client, profile.pk if who == "number" else who).context["answers"]
        assert [answer.profile for answer in answers] == [profile]

    def test_is_told_every_rule_of_every_channel_with_the_deciding_event(self, client: Client) -> None:
        profile = ProfileFactory(email="zoe@example.org")
        event = opt_out(profile, Channel.EMAIL)
        response = ask(client, "zoe@example.org")
        (answer,) = response.context["answers"]
        assert [one.label for one in answer.channels] == [str(channel.label) for channel in Channel]
        assert all(len(one.rules) == len(EXCLUSIONS) for one in answer.channels)
        assert [rule.rule for rule in answer.channels[0].rules if rule.applies] == ["Opted out of this channel"]
        shown = response.content.decode()
        assert reverse("admin:profiles_consentevent_change", args=[event.pk]) in shown
        for part in ("by ada", "“asked by phone”", "You will get no more mail.", "Confirmations still reach this"):
            assert part in shown

    def test_is_found_by_name_when_nothing_else_fits(self, client: Client) -> None:
        profile = ProfileFactory(last_name="Unusual")
        assert f"?profile={profile.pk}" in text(client, "unusual")

    def test_of_whom_there_is_no_trace_is_said_to_be_nobody(self, client: Client) -> None:
        assert "Nobody was found" in text(client, "nobody@example.org")

    def test_is_opened_by_number_without_typing(self, client: Client) -> None:
        profile = ProfileFactory()
        response = client.get(URL, {"profile": profile.pk})
        assert [answer.profile for answer in response.context["answers"]] == [profile]

    def test_is_told_about_further_addresses(self, client: Client) -> None:
        profile = ProfileFactory(email="first@example.org")
        for value in ("old@example.org", "spare@example.org"):
            add_address(profile, Channel.EMAIL, value)
        QuarantinedAddressFactory(value="old@example.org", cause=Cause.COMPLAINT)
        (answer,) = ask(client, profile.pk).context["answers"]
        others = {other.address: [proof.rule for proof in other.proofs] for other in answer.channels[0].others}
        assert others == {"old@example.org": ["Address not in use: complaint"], "spare@example.org": []}


class TestAnAddress:
    def test_that_nobody_has_is_told_when_it_is_left_out(self, client: Client) -> None:
        entry = QuarantinedAddressFactory(value="gone@example.org", cause=Cause.COMPLAINT)
        shown = text(client, "Gone@example.org")
        for part in ("left out of every delivery", "Complaint", "Nobody has this address now."):
            assert part in shown
        assert reverse("admin:quarantine_quarantinedaddress_change", args=[entry.pk]) in shown

    def test_of_two_profiles_of_which_one_opted_out_is_told_in_plain_words(self, client: Client) -> None:
        out, other = (ProfileFactory(email="both@example.org") for _ in range(2))
        opt_out(out)
        told = "This address belongs to 2 profiles; one is opted out; messages still go through the other."
        response = ask(client, "both@example.org")
        shown = response.content.decode()
        assert told in shown
        assert reverse("admin:quarantine_person", args=[other.pk]) in shown
        assert reverse("admin:quarantine_person", args=[out.pk]) not in shown
        assert [answer.profile for answer in response.context["answers"]] == [out, other]
        for profile in (out, other):  # opened from either side
            assert told in client.get(URL, {"profile": profile.pk}).content.decode()
            assert told in client.get(reverse("admin:person", args=[profile.pk])).content.decode()

    def test_of_two_profiles_that_is_left_out_reaches_nobody(self, client: Client) -> None:
        for _ in range(2):
            ProfileFactory(email="both@example.org")
        QuarantinedAddressFactory(value="both@example.org")
        told = "This address belongs to 2 profiles; no message goes to it through any of them."
        assert told in text(client, "both@example.org")

    def test_of_two_profiles_that_are_both_written_to_gets_it_once(self, client: Client) -> None:
        for _ in range(2):
            ProfileFactory(email="both@example.org")
        assert "a delivery writes to it only once" in text(client, "both@example.org")

    def test_of_three_profiles_is_counted(self, client: Client) -> None:
        people = [ProfileFactory(email="all@example.org") for _ in range(3)]
        opt_out(people[0], Channel.EMAIL)
        told = "This address belongs to 3 profiles; 1 is opted out; messages still go through 2 of them."
        assert told in text(client, "all@example.org")

    def test_that_a_profile_has_in_second_place_is_not_written_to_through_it(self, client: Client) -> None:
        out, other = ProfileFactory(email="both@example.org"), ProfileFactory(email="first@example.org")
        add_address(other, Channel.EMAIL, "both@example.org")
        opt_out(out)
        assert "no message goes to it through any of them" in text(client, "both@example.org")

    def test_of_many_profiles_shows_the_first(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("campaign.backoffice.why.SHOWN", 2)
        for _ in range(3):
            ProfileFactory(email="many@example.org")
        response = ask(client, "many@example.org")
        assert len(response.context["answers"]) == 2
        assert "More profiles have this address" in response.content.decode()

    def test_takes_few_queries_more_for_each_who_has_it(self, client: Client) -> None:
        service = ServiceFactory()
        for number, address in ((2, "two@example.org"), (6, "six@example.org")):
            for _ in range(number):
                opt_out(ProfileFactory(services=[service], email=address))
            QuarantinedAddressFactory(value=address)
        delivery = analysed(DeliveryFactory(service=service))
        ask(client, "two@example.org", delivery)  # what is read once per process
        taken = []
        for address in ("two@example.org", "six@example.org"):
            with CaptureQueriesContext(connection) as captured:
                ask(client, address, delivery)
            taken.append(len(captured))
        assert taken[0] <= 35
        assert taken[1] - taken[0] <= 4 * 3  # possible twins are looked for person by person


class TestADelivery:
    def test_tells_what_became_of_the_person_and_why(self, client: Client) -> None:
        service = ServiceFactory()
        profile = ProfileFactory(services=[service], email="zoe@example.org")
        QuarantinedAddressFactory(value="zoe@example.org")
        event = opt_out(profile)
        delivery = analysed(DeliveryFactory(service=service, label="Spring"))
        response = ask(client, "zoe@example.org", delivery)
        (row,) = response.context["answers"][0].rows
        assert (row.status, row.proof.rule, row.proof.evidence.event) == (
            "Left out",
            "Opted out of everything",
            event.pk,
        )
        assert row.also == ["Address not in use: messages came back"]
        assert "Spring" in response.content.decode()

    def test_that_still_has_to_send_says_that_it_will_not(self, client: Client) -> None:
        service = ServiceFactory()
        profile = ProfileFactory(services=[service])
        delivery = analysed(DeliveryFactory(service=service))
        assert "It will not leave" not in text(client, profile.pk, delivery)
        opt_out(profile)
        assert "It will not leave" in text(client, profile.pk, delivery)
        Delivery.objects.filter(pk=delivery.pk).update(message_class=MessageClass.TRANSACTIONAL)
        assert "It will not leave" not in text(client, profile.pk, delivery)

    def test_that_was_sent_tells_when_and_what_was_answered(self, client: Client) -> None:
        service = ServiceFactory()
        profile = ProfileFactory(services=[service])
        delivery = analysed(DeliveryFactory(service=service))
        DeliveryLog.objects.update(status=LogStatus.SENT, finished_at=timezone.now(), answer="250 ok")
        shown = text(client, profile.pk, delivery)
        assert "“250 ok”" in shown
        assert "Sent" in shown

    def test_that_was_not_analysed_tells_what_would(self, client: Client) -> None:
        service = ServiceFactory()
        out, would = (ProfileFactory(services=[service]) for _ in range(2))
        opt_out(out)
        delivery = DeliveryFactory(service=service)
        assert "Would be left out" in text(client, out.pk, delivery)
        assert "Would get it" in text(client, would.pk, delivery)

    def test_that_is_not_for_the_person_tells_why(self, client: Client) -> None:
        delivery, profile = analysed(DeliveryFactory()), ProfileFactory()
        shown = text(client, profile.pk, delivery)
        assert "Not among the people it is for" in shown
        assert "Not subscribed to this service" in shown

    def test_links_each_of_its_people_here(self, client: Client) -> None:
        service = ServiceFactory()
        profile = ProfileFactory(services=[service])
        opt_out(profile)
        delivery = analysed(DeliveryFactory(service=service))
        people = reverse("admin:deliveries_delivery_left_out", args=[delivery.pk, int(Reason.BLACKLISTED)])
        link = f"{URL}?profile={profile.pk}&amp;delivery={delivery.pk}"
        assert link in client.get(people).content.decode()
        response = client.get(link.replace("&amp;", "&"))
        assert response.context["question"].delivery == delivery
        assert response.context["answers"][0].rows

    def test_is_chosen_among_the_latest_or_is_the_one_asked_about(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("campaign.backoffice.why.DELIVERIES_OFFERED", 1)
        old, new = DeliveryFactory(), DeliveryFactory()
        assert client.get(URL).context["deliveries"] == [new]
        assert client.get(URL, {"delivery": old.pk}).context["deliveries"] == [old, new]


class TestThePage:
    def test_is_linked_from_the_menu_home_search_profile_and_person(self, client: Client) -> None:
        profiles = [ProfileFactory(email="both@example.org") for _ in range(2)]
        home = client.get(reverse("admin:index")).content.decode()
        assert home.count(f'href="{URL}"') == 2  # in the menu and below the search
        for page in ("admin:person", "admin:profiles_profile_change"):
            shown = client.get(reverse(page, args=[profiles[0].pk])).content.decode()
            assert f'href="{URL}?profile={profiles[0].pk}"' in shown
        found = client.post(reverse("admin:find"), {"q": "both@example.org"}).content.decode()
        assert all(f'href="{URL}?profile={profile.pk}"' in found for profile in profiles)

    def test_keeps_what_was_typed_out_of_addresses(self, client: Client) -> None:
        ProfileFactory(email="zoe@example.org")
        assert client.get(URL, {"who": "zoe@example.org", "profile": "zoe@example.org"}).context["question"].text == ""
        shown = ask(client, "zoe@example.org").content.decode()
        assert not [part for part in shown.split('"') if part.startswith(("/", "?", "http")) and "zoe@" in part]

    def test_changes_nothing(self, client: Client) -> None:
        service = ServiceFactory()
        profile = ProfileFactory(services=[service], email="zoe@example.org")
        QuarantinedAddressFactory(value="zoe@example.org")
        delivery = DeliveryFactory(service=service)

        def everything() -> list[Any]:
            watched = (
                Profile,
                ConsentEvent,
                QuarantinedAddress,
                Delivery,
                DeliveryLog,
                LogEntry,
                AuditEvent,
            )
            return [list(model._default_manager.order_by("pk").values()) for model in watched]

        before = everything()
        client.get(URL, {"profile": profile.pk, "delivery": delivery.pk})
        ask(client, "zoe@example.org", delivery)
        assert everything() == before

    def test_needs_a_token_to_be_asked(self) -> None:
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(UserFactory(admin=True))
        assert strict.post(URL, {"who": "zoe@example.org"}).status_code == 403

    @pytest.mark.parametrize("role", ["viewer", "operator", "marketer"])
    def test_is_for_every_role(self, client: Client, role: str) -> None:
        user = UserFactory()
        user.groups.add(Group.objects.get(name=role))
        client.force_login(user)
        out, other = (ProfileFactory(email="both@example.org") for _ in range(2))
        opt_out(out)
        shown = text(client, "both@example.org")
        assert "messages still go through the other" in shown
        # Acting on it is another permission.
        assert (reverse("admin:quarantine_person", args=[other.pk]) in shown) == (role == "operator")

    def test_is_not_for_strangers(self, client: Client) -> None:
        client.force_login(UserFactory())
        assert client.get(URL).status_code == client.post(URL, {"who": "x"}).status_code == 403
        client.logout()
        for response in (client.get(URL), client.post(URL, {"who": "x"})):
            assert response.status_code == 302
            assert "/login/" in response["Location"]

    def test_escapes_what_is_typed(self, client: Client) -> None:
        assert "<b>x</b>" not in text(client, "<b>x</b>")
