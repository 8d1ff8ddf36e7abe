"""This person everywhere: all their profiles, all their addresses, at once."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from campaign.models import User
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Act, ConsentEvent, Profile, Source
from quarantine.models import Cause, QuarantinedAddress
from quarantine.person import look, opt_out_everywhere
from tests.factories import ProfileFactory, QuarantinedAddressFactory, UserFactory, add_address

pytestmark = pytest.mark.django_db
OPERATOR = Evidence(source=Source.OPERATOR, actor_name="op", reason="Wrote to us")


def left_out() -> set[str]:
    return {entry.value or "" for entry in QuarantinedAddress.objects.blocking(timezone.now())}


def test_leaves_out_all_addresses_also_of_profiles_that_share_none() -> None:
    first = ProfileFactory(email="a@example.org", sms="+33639980001")
    second = ProfileFactory(email="b@example.org")
    for channel, value in ((Channel.DIRECT_MAIL, "1 rue X"), (Channel.PUSH, "token"), (Channel.PHONE, "+33639980002")):
        add_address(second, channel, value)
    report = opt_out_everywhere([second.pk, first.pk], evidence=OPERATOR, at=timezone.now())
    assert (report.profiles, report.addresses, report.opted_out, report.left_out) == (2, 6, 2, 6)
    assert not Profile.objects.filter(blacklisted=False).exists()
    assert left_out() == {"a@example.org", "+33639980001", "b@example.org", "1 rue X", "token", "+33639980002"}
    assert set(QuarantinedAddress.objects.values_list("cause", flat=True)) == {Cause.PERSON}
    assert ConsentEvent.objects.filter(act=Act.OPT_OUT, reason="Wrote to us").count() == 2
    assert ConsentEvent.objects.filter(act=Act.QUARANTINE).count() == 6


def test_a_wish_outlasts_a_bounce_and_leaves_a_complaint_as_it_is() -> None:
    bounced = QuarantinedAddressFactory(value="bounced@example.org", cause=Cause.BOUNCE)
    complained = QuarantinedAddressFactory(value="complained@example.org", cause=Cause.COMPLAINT)
    profile = ProfileFactory(email="bounced@example.org")
    add_address(profile, Channel.EMAIL, "complained@example.org")
    opt_out_everywhere([profile.pk], evidence=OPERATOR, at=timezone.now())
    bounced.refresh_from_db(), complained.refresh_from_db()
    assert (bounced.cause, complained.cause) == (Cause.PERSON, Cause.COMPLAINT)


def test_twice_changes_nothing_more() -> None:
    profile = ProfileFactory()
    opt_out_everywhere([profile.pk], evidence=OPERATOR, at=timezone.now())
    again = opt_out_everywhere([profile.pk], evidence=OPERATOR, at=timezone.now())
    assert (again.opted_out, again.left_out) == (0, 0)


def test_does_everything_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = ProfileFactory()

    def fail(*args: Any, **kwargs: Any) -> int:
        raise RuntimeError

    monkeypatch.setattr("quarantine.person.quarantine", fail)
    with pytest.raises(RuntimeError):
        opt_out_everywhere([profile.pk], evidence=OPERATOR, at=timezone.now())
    profile.refresh_from_db()
    assert (profile.blacklisted, ConsentEvent.objects.count()) == (False, 0)


def test_looking_counts_an_address_once_however_many_profiles_have_it() -> None:
    pair = [ProfileFactory(email=text) for text in ("shared@example.org", "SHARED@example.org")]
    assert [a.value for a in look([p.pk for p in pair]).addresses] == ["shared@example.org"]


def test_looking_names_the_others_who_lose_an_address() -> None:
    profile, other = ProfileFactory(email="shared@example.org"), ProfileFactory(email="SHARED@example.org")
    what = look([profile.pk])
    assert (what.profiles, what.others, what.more_others) == ((profile,), (other,), False)


class TestThePage:
    @pytest.fixture
    def operator(self, client: Client) -> User:
        user = UserFactory()
        for name in ("view_profile", "change_profile", "add_quarantinedaddress"):
            user.user_permissions.add(Permission.objects.get(codename=name))
        client.force_login(user)
        return user

    def post(self, client: Client, about: Profile, step: str, **data: Any) -> Any:
        return client.post(reverse("admin:quarantine_person", args=[about.pk]), {"step": step, **data}, follow=True)

    def test_ticks_the_certain_ones_and_never_the_possible_ones(self, client: Client, operator: User) -> None:
        profile = ProfileFactory(last_name="Same", email="one@example.org")
        certain = ProfileFactory(email="one@example.org")
        add_address(certain, Channel.SMS, "+33639980001")
        family = ProfileFactory(sms="+33639980001")
        add_address(profile, Channel.DIRECT_MAIL, "1 rue X")
        possible = ProfileFactory(last_name="SAME")
        add_address(possible, Channel.DIRECT_MAIL, "1 RUE X")
        context = client.get(reverse("admin:quarantine_person", args=[profile.pk])).context
        assert context["chosen"] == [certain]
        assert [twin.profile for twin in context["certain"]] == [family]
        assert [twin.profile for twin in context["possible"]] == [possible]

    def test_shows_the_consequences_before_acting(self, client: Client, operator: User) -> None:
        profile = ProfileFactory(email="one@example.org", sms="+33639980001")
        other = ProfileFactory(first_name="Other", email="one@example.org")
        response = self.post(client, profile, "review", shown=[other.pk])
        text = response.content.decode()
        assert "1 profile is opted out of every channel" in text
        assert "2 addresses are left out of every delivery" in text
        assert "1 other profile has one of these addresses" in text
        assert left_out() == set()

    def test_comes_back_when_the_ticks_bring_more_profiles(self, client: Client, operator: User) -> None:
        profile, found = ProfileFactory(), ProfileFactory(email="found@example.org")
        its_twin = ProfileFactory(email="found@example.org")
        response = self.post(client, profile, "review", profile=[found.pk])
        assert [twin.profile for twin in response.context["certain"]] == [its_twin]
        response = self.post(client, profile, "review", profile=[found.pk], shown=[its_twin.pk])
        assert [p.pk for p in response.context["what"].profiles] == [profile.pk, found.pk]

    def test_finds_another_profile_to_add(self, client: Client, operator: User) -> None:
        profile, other = ProfileFactory(), ProfileFactory(last_name="Zwilling")
        assert self.post(client, profile, "find", q="zwilling").context["found"] == [other]

    def test_acts_on_what_is_ticked(self, client: Client, operator: User) -> None:
        profile, other, third = (
            ProfileFactory(email="a@example.org"),
            ProfileFactory(email="b@example.org"),
            ProfileFactory(),
        )
        response = self.post(client, profile, "act", profile=[other.pk], reason="Asked")
        assert "2 profiles are opted out and 2 addresses are left out" in response.content.decode()
        assert left_out() == {"a@example.org", "b@example.org"}
        third.refresh_from_db()
        assert third.blacklisted is False

    def test_needs_the_permissions(self, client: Client) -> None:
        profile = ProfileFactory()
        user = UserFactory()
        user.user_permissions.add(Permission.objects.get(codename="change_profile"))
        client.force_login(user)
        assert self.post(client, profile, "act").status_code == 403
        profile.refresh_from_db()
        assert profile.blacklisted is False


class TestTheAdminOfAddresses:
    @pytest.fixture(autouse=True)
    def _operator(self, client: Client) -> None:
        self.user = UserFactory()
        for name in ("view_quarantinedaddress", "add_quarantinedaddress", "view_profile"):
            self.user.user_permissions.add(Permission.objects.get(codename=name))
        client.force_login(self.user)

    def add(self, client: Client, **data: Any) -> Any:
        url = reverse("admin:quarantine_quarantinedaddress_add")
        return client.post(url, {"value": "", "channel": "", "country": "", "reason": "Asked", **data}, follow=True)

    def test_shows_the_touched_profiles_before_saving(self, client: Client) -> None:
        ProfileFactory(first_name="Touched", email="gone@example.org")
        text = self.add(client, value=" GONE@example.org ").content.decode()
        assert "Touched" in text
        assert not QuarantinedAddress.objects.exists()
        self.add(client, value="GONE@example.org", confirm="1")
        entry = QuarantinedAddress.objects.get()
        assert (entry.cause, entry.key, entry.channel) == (Cause.OPERATOR, "gone@example.org", Channel.EMAIL)
        assert ConsentEvent.objects.get().reason == "Asked"

    def test_leaves_a_number_out_of_sms_and_phone(self, client: Client) -> None:
        self.add(client, value="06 39 98 00 01", country="FR", confirm="1")
        assert set(QuarantinedAddress.objects.values_list("channel", flat=True)) == {Channel.SMS, Channel.PHONE}

    def test_asks_why(self, client: Client) -> None:
        self.add(client, value="gone@example.org", reason="", confirm="1")
        assert not QuarantinedAddress.objects.exists()

    def test_says_what_is_wrong_with_an_address(self, client: Client) -> None:
        assert "Write one address such as" in self.add(client, value="nobody").content.decode()

    def test_says_that_an_address_is_left_out_already_and_keeps_its_cause(self, client: Client) -> None:
        QuarantinedAddressFactory(value="gone@example.org")
        assert "left out already" in self.add(client, value="gone@example.org").content.decode()
        self.add(client, value="gone@example.org", confirm="1")
        assert QuarantinedAddress.objects.get().cause == Cause.BOUNCE

    def release(self, client: Client, entry: QuarantinedAddress, reason: str = "Asked again") -> Any:
        url = reverse("admin:quarantine_release", args=[entry.pk])
        return client.post(url, {"confirm": "1", "reason": reason}, follow=True)

    def test_releases_with_the_permission_and_a_reason_only(self, client: Client) -> None:
        entry = QuarantinedAddressFactory()
        assert self.release(client, entry).status_code == 403
        self.user.user_permissions.add(Permission.objects.get(codename="release_quarantinedaddress"))
        self.release(client, entry, reason=" ")
        assert entry.value in left_out()
        self.release(client, entry)
        assert left_out() == set()
        assert ConsentEvent.objects.get(act=Act.RELEASE).reason == "Asked again"

    def test_releases_several_after_a_page_that_asks_why(self, client: Client) -> None:
        self.user.user_permissions.add(Permission.objects.get(codename="release_quarantinedaddress"))
        ids = [QuarantinedAddressFactory().pk for _n in range(3)]
        url = reverse("admin:quarantine_quarantinedaddress_changelist")
        data = {"action": "release_action", "_selected_action": ids[:2]}
        assert "Why may it be written to again?" in client.post(url, {**data, "index": "0"}).content.decode()
        client.post(url, {**data, "confirm": "1", "reason": "Outage of the provider"})
        assert len(left_out()) == 1

    @pytest.mark.parametrize("text", ["GONE@example.org", "gone@", "@example.org"])
    def test_finds_by_address_beginning_and_domain(self, client: Client, text: str) -> None:
        entry = QuarantinedAddressFactory(value="gone@example.org")
        QuarantinedAddressFactory(value="other@example.com")
        url = reverse("admin:quarantine_quarantinedaddress_changelist")
        response = client.post(url, {"_search": "1", "q": text}, follow=True)
        assert list(response.context["cl"].result_list) == [entry]
        assert "gone" not in response.redirect_chain[0][0]

    def test_shows_the_history_and_deletes_nothing(self, client: Client) -> None:
        self.add(client, value="gone@example.org", confirm="1")
        entry = QuarantinedAddress.objects.get()
        page = client.get(reverse("admin:quarantine_quarantinedaddress_change", args=[entry.pk]))
        assert "Asked" in page.content.decode()
        url = reverse("admin:quarantine_quarantinedaddress_delete", args=[entry.pk])
        client.force_login(UserFactory(admin=True))
        assert client.post(url, {"post": "yes"}).status_code == 403

    def test_a_profile_says_which_of_its_addresses_is_left_out_and_why(self, client: Client) -> None:
        profile = ProfileFactory(email="gone@example.org")
        self.add(client, value="gone@example.org", confirm="1")
        text = client.get(reverse("admin:profiles_profile_change", args=[profile.pk])).content.decode()
        assert "Left out since" in text
        assert "Operator" in text
