"""Sign-ups that meet several profiles of one address are shown to operators, once each."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from landing import double_opt_in, met_twins
from landing.double_opt_in import Visit
from landing.models import MetTwins, PendingOptIn
from tests.factories import LandingPageFactory, ProfileFactory, UserFactory
from tests.landing.visitors import changed, digest_of, handle, published, send, tables, visitor

pytestmark = pytest.mark.django_db
LIST = reverse("admin:landing_mettwins_changelist")


def signed_up(page: Any, address: str = "a@example.org") -> None:
    send(visitor(), page, address)
    handle()
    pending = PendingOptIn.objects.latest("pk")
    told = Visit(ip="192.0.2.1", user_agent="", language="en")
    assert double_opt_in.confirm(pending, visit=told, lift=False, at=timezone.now())


def logged_in(role: str) -> Client:
    user, client = UserFactory(), Client()
    user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    return client


def met(*others: str) -> MetTwins:
    """Return a sign-up that met these others; the oldest profile was taken."""
    taken = ProfileFactory(email="shared@example.org", last_name="Taken")
    for name in others:
        ProfileFactory(email="shared@example.org", last_name=name)
    met_twins.note(LandingPageFactory(), taken.pk, digest_of("shared@example.org"), at=timezone.now())
    return MetTwins.objects.latest("pk")


def test_a_confirmed_sign_up_notes_which_profile_was_taken_and_which_others_there_are() -> None:
    oldest, *others = (ProfileFactory(email="a@example.org") for _n in range(3))
    page = published()
    send(visitor(), page, "a@example.org")
    handle()
    assert not MetTwins.objects.exists(), "nothing before it is confirmed"
    signed_up(page)
    found = MetTwins.objects.get()
    assert (found.page, found.profile_id) == (page, oldest.pk)
    assert found.others == [other.pk for other in others]


def test_an_address_of_one_profile_or_of_none_is_no_matter() -> None:
    ProfileFactory(email="a@example.org")
    page = published()
    signed_up(page)
    signed_up(page, "new@example.org")
    assert not MetTwins.objects.exists()


def test_it_is_noted_once_for_a_page_and_shown_again_only_for_another_profile() -> None:
    for _n in range(2):
        ProfileFactory(email="a@example.org")
    page = published()
    signed_up(page)
    assert met_twins.look_at(MetTwins.objects.get(), at=timezone.now())
    signed_up(page)
    assert MetTwins.objects.get().seen_at is not None
    third = ProfileFactory(email="a@example.org")
    signed_up(page)
    again = MetTwins.objects.get()
    assert (again.seen_at, again.others[-1]) == (None, third.pk)


def test_the_first_page_leads_operators_to_what_nobody_has_looked_at() -> None:
    client = logged_in("operator")
    assert "met several profiles of one address" not in client.get(reverse("admin:index")).content.decode()
    row = met("Other")
    home = client.get(reverse("admin:index")).content.decode()
    assert "1 sign-up met several profiles of one address" in home
    assert f"{LIST}?seen=no" in home
    met_twins.look_at(row, at=timezone.now())
    assert "met several profiles of one address" not in client.get(reverse("admin:index")).content.decode()


def test_the_page_names_everybody_and_leads_to_them() -> None:
    row, client = met("Second", "Third"), logged_in("operator")
    assert "Taken" in client.get(LIST).content.decode()
    shown = client.get(reverse("admin:landing_mettwins_change", args=[row.pk])).content.decode()
    for number in (row.profile_id, *row.others):
        assert reverse("admin:profiles_profile_change", args=[number]) in shown
    assert reverse("admin:quarantine_person", args=[row.profile_id]) in shown


def test_looking_at_it_is_a_press_with_the_permission() -> None:
    row, operator, viewer = met("Second"), logged_in("operator"), logged_in("viewer")
    url = reverse("admin:landing_looked_at", args=[row.pk])
    before = tables()
    assert operator.get(url).status_code == 302
    assert changed(before) == set()
    page = reverse("admin:landing_mettwins_change", args=[row.pk])
    assert url not in viewer.get(page).content.decode()
    assert viewer.post(url).status_code == 403
    assert url in operator.get(page).content.decode()
    assert operator.post(url).status_code == 302
    row.refresh_from_db()
    assert row.seen_at is not None
    assert LogEntry.objects.count() == 1
    assert operator.post(page, {}).status_code == 403


def test_several_are_looked_at_at_once_by_those_who_may() -> None:
    rows = [met("Second") for _n in range(2)]
    data = {"action": "looked_at_action", "_selected_action": [row.pk for row in rows]}
    logged_in("viewer").post(LIST, data)
    assert MetTwins.objects.filter(seen_at=None).count() == 2
    logged_in("operator").post(LIST, data)
    assert not MetTwins.objects.filter(seen_at=None).exists()
    assert not logged_in("operator").get(LIST + "?seen=no").context["cl"].result_list


def test_a_longer_list_takes_no_more_queries() -> None:
    client = logged_in("operator")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(LIST).status_code == 200
        return len(captured)

    met("Second")
    few = queries()
    for _n in range(4):
        met("Second")
    assert queries() == few


def test_profiles_that_are_gone_are_left_out() -> None:
    row, client = met("Second"), logged_in("operator")
    MetTwins.objects.update(others=[999_999], profile_id=888_888)
    shown = client.get(reverse("admin:landing_mettwins_change", args=[row.pk])).content.decode()
    assert "None of these profiles is there any more." in shown
