"""The page of a profile: what an operator can do there, and what it says."""

from datetime import date
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from campaign.models import User
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Act, ConsentEvent, Profile, Source
from tests.factories import ProfileFactory, QuarantinedAddressFactory, ServiceFactory, UserFactory, add_address

pytestmark = pytest.mark.django_db

WEB = Evidence(source=Source.LANDING_PAGE)


def operator(*permissions: str) -> User:
    user = UserFactory()
    for name in ("view_profile", "change_profile", *permissions):
        user.user_permissions.add(Permission.objects.get(content_type__app_label="profiles", codename=name))
    return user


def page(profile: Profile) -> str:
    return reverse("admin:profiles_profile_change", args=[profile.pk])


def as_shown(client: Client, profile: Profile) -> dict[str, Any]:
    """Return what a browser would post back when nothing is touched."""
    context = client.get(page(profile)).context
    data: dict[str, Any] = {}
    formset = context["inline_admin_formsets"][0].formset
    for form in [context["adminform"].form, formset.management_form, *formset.forms]:
        for bound in form:
            for name, value, on in (
                (bound.html_name, bound.value(), True),
                (bound.html_initial_name, bound.value(), bound.field.show_hidden_initial),
            ):
                if on and value not in (None, False, ""):
                    data[name] = value
                elif on and name == bound.html_initial_name:
                    data[name] = "False"
    return data


def save(client: Client, profile: Profile, **changes: Any) -> Any:
    return send(client, profile, {**as_shown(client, profile), **changes})


def send(client: Client, profile: Profile, data: dict[str, Any]) -> Any:
    return client.post(page(profile), {name: value for name, value in data.items() if value is not None}, follow=True)


def errors(response: Any) -> str:
    return str(response.context["adminform"].form.errors) + str(response.context["errors"])


@pytest.fixture
def profile() -> Profile:
    return ProfileFactory(email="zoe@example.org")


def test_ticking_a_box_opts_the_person_out_and_writes_an_event(client: Client, profile: Profile) -> None:
    client.force_login(user := operator())
    save(client, profile, no_contact_blacklisted_email="on")
    profile.refresh_from_db()
    assert (profile.blacklisted_email, profile.blacklisted) == (True, False)
    event = ConsentEvent.objects.get(profile_id=profile.pk)
    assert (event.act, event.channel, event.source) == (Act.OPT_OUT, Channel.EMAIL, Source.OPERATOR)
    assert (event.actor_id, event.actor_name) == (user.pk, user.username)


def test_saving_without_a_change_writes_no_event(client: Client, profile: Profile) -> None:
    consent.opt_out([profile.pk], channel=None, evidence=WEB, at=timezone.now())
    client.force_login(operator())
    save(client, profile, first_name="Zoë")
    profile.refresh_from_db()
    assert (profile.first_name, profile.blacklisted) == ("Zoë", True)
    assert ConsentEvent.objects.count() == 1


def test_saving_an_old_page_keeps_an_opt_out_made_meanwhile(client: Client, profile: Profile) -> None:
    client.force_login(operator("lift_opt_out"))
    data = as_shown(client, profile)
    consent.opt_out([profile.pk], channel=Channel.EMAIL, evidence=WEB, at=timezone.now())
    send(client, profile, {**data, "first_name": "Zoë"})
    profile.refresh_from_db()
    assert (profile.first_name, profile.blacklisted_email) == ("Zoë", True)


class TestUnticking:
    @pytest.fixture(autouse=True)
    def _opted_out(self, profile: Profile) -> None:
        consent.opt_out([profile.pk], channel=Channel.EMAIL, evidence=WEB, at=timezone.now())

    def test_without_the_permission_is_refused(self, client: Client, profile: Profile) -> None:
        client.force_login(operator())
        response = save(client, profile, no_contact_blacklisted_email=None, lift_reason="asked", first_name="Other")
        assert "Only the person, or an operator with the permission" in errors(response)
        profile.refresh_from_db()
        assert (profile.blacklisted_email, profile.first_name) == (True, "Zoé")

    def test_without_a_reason_is_refused_and_saves_nothing_else(self, client: Client, profile: Profile) -> None:
        client.force_login(operator("lift_opt_out"))
        response = save(
            client, profile, no_contact_blacklisted_email=None, no_contact_blacklisted_sms="on", first_name="Other"
        )
        assert "Write down why this person may be contacted again." in errors(response)
        profile.refresh_from_db()
        assert (profile.blacklisted_email, profile.blacklisted_sms, profile.first_name) == (True, False, "Zoé")

    def test_with_both_lifts_the_opt_out_and_keeps_the_reason(self, client: Client, profile: Profile) -> None:
        client.force_login(operator("lift_opt_out"))
        save(client, profile, no_contact_blacklisted_email=None, lift_reason="Asked by phone today")
        profile.refresh_from_db()
        assert profile.blacklisted_email is False
        event = ConsentEvent.objects.get(act=Act.OPT_IN)
        assert (event.reason, event.source) == ("Asked by phone today", Source.OPERATOR)


class TestSubscriptions:
    def test_are_added_and_ended_through_the_ledger(self, client: Client, profile: Profile) -> None:
        service, other = ServiceFactory(), ServiceFactory()
        consent.subscribe([profile.pk], other, evidence=WEB, at=timezone.now())
        client.force_login(operator())
        save(client, profile, subscribed_to=[service.pk])
        assert [row.service for row in profile.subscriptions.all()] == [service]
        acts = list(ConsentEvent.objects.order_by("pk").values_list("act", "service_id"))
        assert acts[1:] == [(Act.SUBSCRIBE, service.pk), (Act.UNSUBSCRIBE, other.pk)]

    def test_of_somebody_who_left_need_the_permission_and_a_reason(self, client: Client, profile: Profile) -> None:
        service = ServiceFactory()
        consent.subscribe([profile.pk], service, evidence=WEB, at=timezone.now())
        consent.unsubscribe([profile.pk], service, evidence=WEB, at=timezone.now())
        client.force_login(operator())
        response = save(client, profile, subscribed_to=[service.pk], lift_reason="asked")
        assert "Only the person" in errors(response)
        client.force_login(operator("lift_opt_out"))
        save(client, profile, subscribed_to=[service.pk], lift_reason="asked")
        assert profile.subscriptions.count() == 1


class TestAddresses:
    @pytest.fixture(autouse=True)
    def _operator(self, client: Client) -> None:
        client.force_login(operator())

    def add(self, client: Client, profile: Profile, channel: Channel, value: str, **more: Any) -> Any:
        number = profile.addresses.count()
        row = {f"addresses-{number}-channel": channel, f"addresses-{number}-value": value}
        return save(client, profile, **{"addresses-TOTAL_FORMS": number + 1}, **row, **more)

    def test_are_stored_with_key_and_found_by_the_search(self, client: Client, profile: Profile) -> None:
        self.add(client, profile, Channel.SMS, " 06 39 98 00 01 ")
        address = profile.addresses.get(channel=Channel.SMS)
        assert (address.value, address.key, address.position) == ("06 39 98 00 01", "+33639980001", 1)
        profile.refresh_from_db()
        assert "+33639980001" in profile.search

    def test_that_cannot_be_read_say_what_to_do(self, client: Client, profile: Profile) -> None:
        response = self.add(client, profile, Channel.EMAIL, "zoe at example")
        assert "Write one address such as name@example.org." in response.content.decode()
        assert profile.addresses.count() == 1

    def test_are_refused_twice(self, client: Client, profile: Profile) -> None:
        response = self.add(client, profile, Channel.EMAIL, "ZOE@example.org")
        assert "This person already has this address." in response.content.decode()

    def test_come_last_unless_a_position_is_given(self, client: Client, profile: Profile) -> None:
        self.add(client, profile, Channel.EMAIL, "second@example.org")
        self.add(client, profile, Channel.EMAIL, "first@example.org", **{"addresses-2-position": 1})
        rows = profile.addresses.order_by("position").values_list("position", "value")
        assert list(rows) == [(1, "first@example.org"), (2, "zoe@example.org"), (3, "second@example.org")]

    def test_move_down_and_stay_numbered_without_a_gap(self, client: Client, profile: Profile) -> None:
        for name in ("b", "c"):
            add_address(profile, Channel.EMAIL, f"{name}@example.org")
        save(client, profile, **{"addresses-0-position": 2})
        values = profile.addresses.order_by("position").values_list("value", flat=True)
        assert list(values) == ["b@example.org", "zoe@example.org", "c@example.org"]
        save(client, profile, **{"addresses-0-DELETE": "on"})
        rows = profile.addresses.order_by("position").values_list("position", "value")
        assert list(rows) == [(1, "zoe@example.org"), (2, "c@example.org")]

    def test_of_several_lines_stay_as_they_are(self, client: Client, profile: Profile) -> None:
        home = add_address(profile, Channel.DIRECT_MAIL, "1 rue des Lilas\n69001 Lyon")
        save(client, profile, **{"addresses-1-value": "1 rue des Lilas\r\n69001 Lyon", "first_name": "Zoë"})
        home.refresh_from_db()
        assert home.value == "1 rue des Lilas\n69001 Lyon"

    def test_bring_back_an_opt_out_that_was_kept_without_a_profile(self, client: Client, profile: Profile) -> None:
        from profiles.digests import digest

        at = timezone.now()
        gone = digest(Channel.EMAIL, "gone@example.org")
        consent.opt_out_address(Channel.EMAIL, gone, service=None, flag=Channel.EMAIL, evidence=WEB, at=at)
        self.add(client, profile, Channel.EMAIL, "gone@example.org")
        profile.refresh_from_db()
        assert profile.blacklisted_email is True


class TestTwins:
    def test_ticking_touches_this_profile_only_and_says_who_else_has_the_address(
        self, client: Client, profile: Profile
    ) -> None:
        twin = ProfileFactory(first_name="Autre", email="ZOE@example.org")
        client.force_login(operator())
        text = save(client, profile, no_contact_blacklisted="on").content.decode()
        twin.refresh_from_db()
        assert twin.blacklisted is False
        assert "Only this profile was opted out. Also has this address:" in text
        assert "Autre" in text
        assert "still written to" in text

    def test_whose_address_is_left_out_are_not_said_to_be_written_to(self, client: Client, profile: Profile) -> None:
        ProfileFactory(email="zoe@example.org")
        (twin,) = client_page(client, profile)["certain"]
        assert twin.written_to is True
        QuarantinedAddressFactory(value="zoe@example.org")
        (twin,) = client_page(client, profile)["certain"]
        assert twin.written_to is False

    def test_with_one_number_by_sms_and_phone_are_certain(self, client: Client, profile: Profile) -> None:
        add_address(profile, Channel.SMS, "+33639980001")
        twin = ProfileFactory()
        add_address(twin, Channel.PHONE, "+33639980001")
        client.force_login(operator())
        assert [t.profile for t in client.get(page(profile)).context["certain"]] == [twin]

    def test_of_the_same_name_are_possible_only_with_birth_date_or_home(self, client: Client) -> None:
        day = date(1980, 2, 29)
        profile = ProfileFactory(last_name="Léger", birth_date=day)
        add_address(profile, Channel.DIRECT_MAIL, "1, rue des Lilas, Lyon")
        ProfileFactory(last_name="Leger")
        ProfileFactory(last_name="Legerdemain", birth_date=day)
        add_address(ProfileFactory(first_name="Ada"), Channel.DIRECT_MAIL, "1 rue des lilas, Lyon")
        same_day = ProfileFactory(first_name="ZOE", last_name="Leger", birth_date=day)
        same_home = ProfileFactory(last_name="LÉGER")
        add_address(same_home, Channel.DIRECT_MAIL, "1 RUE DES LILAS LYON")
        found = client_page(client, profile)
        assert [t.profile for t in found["possible"]] == [same_day, same_home]
        assert found["certain"] == []


def client_page(client: Client, profile: Profile) -> Any:
    client.force_login(operator())
    return client.get(page(profile)).context


def test_names_are_escaped(client: Client, profile: Profile) -> None:
    evil = "<script>alert(1)</script>"
    twin = ProfileFactory(first_name=evil, last_name=evil, email="zoe@example.org")
    client.force_login(UserFactory(admin=True))
    for text in (
        save(client, profile, no_contact_blacklisted="on").content.decode(),
        client.get(page(twin)).content.decode(),
        client.get(reverse("admin:profiles_profile_changelist")).content.decode(),
    ):
        assert evil not in text
        assert "&lt;script&gt;" in text


def test_a_viewer_sees_everything_and_can_change_nothing(client: Client, profile: Profile) -> None:
    consent.opt_out([profile.pk], channel=Channel.SMS, evidence=WEB, at=timezone.now())
    viewer = UserFactory()
    viewer.user_permissions.add(Permission.objects.get(codename="view_profile"))
    client.force_login(viewer)
    text = client.get(page(profile)).content.decode()
    assert "by SMS" in text
    assert "zoe@example.org" in text
    assert client.post(page(profile), {"first_name": "X"}).status_code == 403


def test_people_are_never_deleted_from_the_list(client: Client, profile: Profile) -> None:
    client.force_login(UserFactory(admin=True))
    assert client.get(reverse("admin:profiles_profile_delete", args=[profile.pk])).status_code == 403


class TestSearching:
    @pytest.fixture(autouse=True)
    def _admin(self, client: Client) -> None:
        client.force_login(UserFactory(admin=True))

    @pytest.mark.parametrize("text", ["ZOE@example.org", "zoé mart", "x-77"])
    def test_finds_by_address_name_and_identifier_and_keeps_the_words_out_of_the_address(
        self, client: Client, text: str
    ) -> None:
        profile = ProfileFactory(email="zoe@example.org", last_name="Martin", external_id="X-77")
        ProfileFactory(first_name="Ada", last_name="L")
        response = client.post(reverse("admin:profiles_profile_changelist"), {"_search": "1", "q": text}, follow=True)
        assert list(response.context["cl"].result_list) == [profile]
        assert all(word not in response.redirect_chain[0][0] for word in ("zoe", "ZOE", "x-77"))
        assert response.context["cl"].query == text


class TestOptingManyOut:
    def post(self, client: Client, **data: Any) -> Any:
        data = {"action": "no_longer_contact_action", **data}
        return client.post(reverse("admin:profiles_profile_changelist"), data, follow=True)

    def test_first_shows_what_will_happen(self, client: Client, profile: Profile) -> None:
        client.force_login(operator())
        response = self.post(client, index="0", _selected_action=[profile.pk])
        assert "1 profile" in response.content.decode()
        profile.refresh_from_db()
        assert profile.blacklisted is False

    def test_then_opts_out_through_the_ledger(self, client: Client, profile: Profile) -> None:
        other = ProfileFactory()
        client.force_login(operator())
        self.post(client, confirm="1", _selected_action=[profile.pk], channel="sms", reason="List of June")
        profile.refresh_from_db(), other.refresh_from_db()
        assert (profile.blacklisted_sms, other.blacklisted_sms) == (True, False)
        assert ConsentEvent.objects.get().reason == "List of June"

    def test_goes_in_rounds_over_all_that_match(
        self, client: Client, profile: Profile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from profiles.admin import bulk

        monkeypatch.setattr(bulk, "ROUND", 2)
        for _n in range(4):
            ProfileFactory()
        client.force_login(operator())
        form: dict[str, Any] = {"channel": "every", "reason": "", "after": "", "done": ""}
        rounds = 0
        while True:
            response = self.post(
                client, confirm="1", select_across="1", _selected_action=[profile.pk],
                **{k: "" if v is None else v for k, v in form.items()},
            )  # fmt: skip
            rounds += 1
            if response.redirect_chain:
                break
            form = response.context["form"].data
        assert rounds == 3
        assert Profile.objects.filter(blacklisted=True).count() == 5
        assert "5 profiles were opted out" in response.content.decode()

    def test_is_refused_without_the_permission_to_change(self, client: Client, profile: Profile) -> None:
        viewer = UserFactory()
        viewer.user_permissions.add(Permission.objects.get(codename="view_profile"))
        client.force_login(viewer)
        self.post(client, confirm="1", _selected_action=[profile.pk], channel="every")
        profile.refresh_from_db()
        assert profile.blacklisted is False
