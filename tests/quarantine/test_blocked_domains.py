"""Blocked domains: written as people write them, kept as addresses are compared."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from profiles.models import AuditEvent
from quarantine import domains
from quarantine.models import BlockedDomain
from tests.factories import ProfileFactory, UserFactory

pytestmark = pytest.mark.django_db
ADD = "admin:quarantine_blockeddomain_add"


@pytest.fixture
def client() -> Client:
    return of_role("administrator")


def of_role(name: str) -> Client:
    user, client = UserFactory.create(username=f"a-{name}"), Client()
    user.groups.add(Group.objects.get(name=name))
    client.force_login(user)
    return client


WRITTEN = [
    ("example.org", "example.org", False),
    (" Example.ORG. ", "example.org", False),
    ("@example.org", "example.org", False),
    ("*@example.org", "example.org", False),
    ("*.example.org", "example.org", True),
    (".example.org", "example.org", True),
    ("Jardins-à-Vivre.fr", "xn--jardins--vivre-ngb.fr", False),
    ("xn--jardins--vivre-ngb.fr", "xn--jardins--vivre-ngb.fr", False),
]


@pytest.mark.parametrize(("written", "kept", "below"), WRITTEN)
def test_a_domain_is_kept_as_addresses_are_compared(client: Client, written: str, kept: str, below: bool) -> None:
    assert client.post(reverse(ADD), {"domain": written, "note": "Spam trap"}).status_code == 302
    found = BlockedDomain.objects.get()
    assert (found.domain, found.subdomains, found.note) == (kept, below, "Spam trap")
    assert AuditEvent.objects.get().after["domain"] == kept
    assert domains.read(found.domain).name == found.domain


NO_DOMAINS = ["example", "-a.org", "a..org", "é..fr", "*", "@", "a b.org", "192.0.2.1", "a_b.org", "x" * 250]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        *((one, "Write one domain such as example.org.") for one in NO_DOMAINS),
        ("somebody@example.org", "leave that one address out"),
        ("https://example.org/", "This is the address of a page."),
    ],
)
def test_what_is_no_domain_is_refused(client: Client, written: str, told: str) -> None:
    html = client.post(reverse(ADD), {"domain": written}).content.decode()
    assert told in html
    assert not BlockedDomain.objects.exists()


def test_the_same_domain_written_otherwise_is_there_already(client: Client) -> None:
    BlockedDomain.objects.create(domain="example.org")
    html = client.post(reverse(ADD), {"domain": "*.EXAMPLE.org"}).content.decode()
    assert "This domain is blocked already." in html
    assert not BlockedDomain.objects.get().subdomains


def test_a_change_and_a_deletion_are_on_record(client: Client) -> None:
    domain = BlockedDomain.objects.create(domain="example.org", note="Spam trap")
    change = reverse("admin:quarantine_blockeddomain_change", args=[domain.pk])
    client.post(change, {"domain": "*.example.org", "note": "Spam trap"})
    client.post(reverse("admin:quarantine_blockeddomain_delete", args=[domain.pk]), {"post": "yes"})
    assert not BlockedDomain.objects.exists()
    changed, deleted = AuditEvent.objects.order_by("pk")
    assert (changed.action, changed.before, changed.after) == ("changed", {"subdomains": False}, {"subdomains": True})
    assert (deleted.action, deleted.label, deleted.before["note"]) == ("deleted", "example.org", "Spam trap")


def test_the_list_shows_a_domain_as_people_read_it(client: Client) -> None:
    BlockedDomain.objects.create(domain="xn--bcher-kva.example")
    html = client.get(reverse("admin:quarantine_blockeddomain_changelist")).content.decode()
    assert "bücher.example (xn--bcher-kva.example)" in html


@pytest.mark.parametrize(
    ("address", "told"),
    [("a@example.org", "Some people have addresses there."), ("a@mail.example.org", "Nobody has an address there now."),
     ("a@badexample.org", "Nobody has an address there now.")],
)  # fmt: skip
def test_saving_says_whether_people_have_addresses_there(client: Client, address: str, told: str) -> None:
    ProfileFactory.create(email=address)
    assert told in client.post(reverse(ADD), {"domain": "example.org"}, follow=True).content.decode()


def test_domains_below_count_where_they_are_blocked_too() -> None:
    ProfileFactory.create(email="a@mail.example.org")
    assert domains.anybody_there("example.org", below=True)
    assert domains.anybody_there("example.org", below=False) is False


def test_where_looking_takes_too_long_nothing_is_said(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(span: timedelta) -> Any:
        raise domains.TookTooLong

    monkeypatch.setattr(domains, "limited", give_up)
    ProfileFactory.create(email="a@example.org")
    html = client.post(reverse(ADD), {"domain": "example.org"}, follow=True).content.decode()
    assert "addresses there" not in html
    assert "address there" not in html


def test_the_role_decides_who_blocks_a_domain() -> None:
    domain = BlockedDomain.objects.create(domain="example.org")
    for role in ("viewer", "operator", "marketer"):
        client = of_role(role)
        assert client.get(reverse("admin:quarantine_blockeddomain_changelist")).status_code == 200
        assert client.get(reverse(ADD)).status_code == 403
        assert client.post(reverse("admin:quarantine_blockeddomain_delete", args=[domain.pk])).status_code == 403
