"""What each role may do: denied unless listed."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from campaign.roles import ROLES, install_roles
from tests.factories import DeliveryFactory, ProfileFactory, QuarantinedAddressFactory, UserFactory

pytestmark = pytest.mark.django_db

MATRIX = {
    "profiles.view_profile": "viewer operator marketer administrator",
    "profiles.change_profile": "operator administrator",
    "profiles.lift_opt_out": "operator administrator",
    "profiles.import_profile": "operator administrator",
    "profiles.export_profile": "administrator",
    "profiles.erase_profile": "administrator",
    "profiles.change_service": "marketer administrator",
    "profiles.view_auditevent": "administrator",
    "quarantine.view_quarantinedaddress": "viewer operator marketer administrator",
    "quarantine.add_quarantinedaddress": "operator administrator",
    "quarantine.release_quarantinedaddress": "administrator",
    "deliveries.view_delivery": "viewer operator marketer administrator",
    "deliveries.change_delivery": "marketer administrator",
    "deliveries.analyse_delivery": "marketer administrator",
    "deliveries.send_delivery": "marketer administrator",
    "deliveries.view_maildomain": "viewer operator marketer administrator",
    "deliveries.add_maildomain": "operator administrator",
    "deliveries.change_maildomain": "operator administrator",
    "deliveries.delete_maildomain": "administrator",
    "landing.change_landingpage": "marketer administrator",
    "landing.change_mettwins": "operator administrator",
    "landing.view_optoutburst": "viewer operator marketer administrator",
    "landing.restore_optoutburst": "administrator",
    "campaign.change_user": "administrator",
    "auth.change_group": "administrator",
}


def somebody(role: str) -> Any:
    user = UserFactory()
    user.groups.add(Group.objects.get(name=role))
    return user


@pytest.mark.parametrize("permission", MATRIX)
@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_what_the_matrix_says(role: str, permission: str) -> None:
    assert somebody(role).has_perm(permission) is (role in MATRIX[permission].split())


@pytest.mark.parametrize("role", ROLES)
def test_nobody_needs_what_only_workers_write(role: str) -> None:
    held = somebody(role).get_all_permissions()
    assert not [one for one in held if one.endswith(("_domainslot", "_rundomain"))]
    assert held


def test_installing_again_puts_a_role_back_as_it_is_listed() -> None:
    viewer = Group.objects.get(name="viewer")
    before = set(viewer.permissions.values_list("pk", flat=True))
    viewer.permissions.set(Group.objects.get(name="administrator").permissions.all())
    install_roles()
    assert set(viewer.permissions.values_list("pk", flat=True)) == before
    assert Group.objects.count() == len(ROLES)


def pages() -> dict[str, str]:
    """Return page → who opens it."""
    profile, entry = ProfileFactory(), QuarantinedAddressFactory()
    everybody = "viewer operator marketer administrator"
    return {
        reverse("admin:index"): everybody,
        reverse("admin:person", args=[profile.pk]): everybody,
        reverse("admin:person_consent", args=[profile.pk]): everybody,
        reverse("admin:profiles_profile_changelist"): everybody,
        reverse("admin:profiles_profile_add"): "operator administrator",
        reverse("admin:quarantine_person", args=[profile.pk]): "operator administrator",
        reverse("admin:quarantine_quarantinedaddress_add"): "operator administrator",
        reverse("admin:quarantine_release", args=[entry.pk]): "administrator",
        reverse("admin:quarantine_date", args=[entry.pk]): "administrator",
        reverse("admin:quarantine_allow", args=[entry.pk]): "administrator",
        reverse("admin:quarantine_outage_add"): "administrator",
        reverse("admin:quarantine_import"): "operator administrator",
        reverse("admin:quarantine_figures"): "viewer operator marketer administrator",
        reverse("admin:deliveries_maildomain_changelist"): everybody,
        reverse("admin:deliveries_maildomain_add"): "operator administrator",
        reverse("admin:profiles_service_add"): "marketer administrator",
        reverse("admin:campaign_user_changelist"): "administrator",
        reverse("admin:profiles_auditevent_changelist"): "administrator",
    }


@pytest.mark.parametrize("role", [*ROLES, ""])
def test_a_role_opens_its_pages_and_no_others(client: Client, role: str) -> None:
    client.force_login(somebody(role) if role else UserFactory())
    for url, allowed in pages().items():
        expected = 200 if role in allowed.split() or url == reverse("admin:index") else 403
        assert client.get(url).status_code == expected, url


def test_somebody_without_a_role_sees_no_delivery_on_the_first_page(client: Client) -> None:
    DeliveryFactory(label="Secret plans")
    client.force_login(UserFactory())
    assert "Secret plans" not in client.get(reverse("admin:index")).content.decode()
    client.force_login(somebody("viewer"))
    assert "Secret plans" in client.get(reverse("admin:index")).content.decode()


def test_a_built_in_role_is_not_edited(client: Client) -> None:
    client.force_login(UserFactory(admin=True))
    group = Group.objects.get(name="viewer")
    assert client.post(reverse("admin:auth_group_change", args=[group.pk]), {"name": "x"}).status_code == 403
