"""The page of mail domains: limits as people write them, and rests that somebody may end."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deliveries import domains
from deliveries.models import DomainSlot, MailDomain
from profiles.models import AuditEvent
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
ADD, LIST = "admin:deliveries_maildomain_add", "admin:deliveries_maildomain_changelist"
ANSWER = "421 4.7.28 too fast"
BUTTON = "Write to it again now"


@pytest.fixture
def client() -> Client:
    return of_role("operator")


def of_role(name: str) -> Client:
    user, client = UserFactory.create(username=f"a-{name}"), Client()
    user.groups.add(Group.objects.get(name=name))
    client.force_login(user)
    return client


def at_rest(name: str = "slow.org", **fields: Any) -> MailDomain:
    domains.rest(name, ANSWER, at=timezone.now())
    MailDomain.objects.filter(domain=name).update(**fields)
    return MailDomain.objects.get(domain=name)


def change(known: MailDomain) -> str:
    return reverse("admin:deliveries_maildomain_change", args=[known.pk])


def write_again(known: MailDomain) -> str:
    return reverse("admin:deliveries_maildomain_write_again", args=[known.pk])


def read(client: Client, url: str) -> str:
    return client.get(url).content.decode()


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("example.org", "example.org"),
        (" Example.ORG. ", "example.org"),
        ("@example.org", "example.org"),
        ("Jardins-à-Vivre.fr", "xn--jardins--vivre-ngb.fr"),
    ],
)
def test_a_domain_is_kept_as_workers_look_for_it(client: Client, written: str, kept: str) -> None:
    assert client.post(reverse(ADD), {"domain": written, "per_minute": "30"}).status_code == 302
    found = MailDomain.objects.get()
    assert (found.domain, found.per_minute, found.at_once) == (kept, 30, None)
    assert domains.domain_of(f"somebody@{written.strip().strip('@.')}") == kept
    added = AuditEvent.objects.get()
    assert (added.action, added.after) == ("added", {"domain": kept, "per_minute": 30})


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"domain": "example"}, "Write one domain such as example.org."),
        ({"domain": "zoe@example.org", "at_once": "1"}, "Write only what follows its @"),
        ({"domain": "*.example.org", "at_once": "1"}, "write it without the star"),
        ({"domain": "example.org"}, "Fill in at least one of the two limits."),
        ({"domain": "example.org", "per_minute": "0"}, "greater than or equal to 1"),
        ({"domain": "example.org", "at_once": "-2"}, "greater than or equal to 1"),
        ({"domain": "example.org", "at_once": "100000"}, "less than or equal to 500"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_word_about_it(client: Client, sent: dict[str, str], told: str) -> None:
    assert told in client.post(reverse(ADD), sent).content.decode()
    assert not MailDomain.objects.exists()


def test_a_domain_that_is_there_already_is_not_added_twice(client: Client) -> None:
    at_rest()
    html = client.post(reverse(ADD), {"domain": "SLOW.org", "per_minute": "30"}).content.decode()
    assert "This domain is in the list already." in html
    assert MailDomain.objects.get().per_minute is None


def test_a_new_limit_holds_for_the_next_message(client: Client) -> None:
    known = at_rest(not_before=None, deferrals=0)
    client.post(change(known), {"per_minute": "6", "at_once": ""})
    limits = domains.Limits("w")
    assert limits.ask("slow.org") == 0.0
    assert limits.ask("slow.org") > 9
    client.post(change(known), {"per_minute": "", "at_once": ""})
    limits.read()
    assert limits.ask("slow.org") == 0.0, "without a limit, nothing is waited for"
    first, second = AuditEvent.objects.order_by("pk")
    assert (first.before, first.after) == ({"per_minute": None}, {"per_minute": 6})
    assert (second.before, second.after) == ({"per_minute": 6}, {"per_minute": None})


def test_a_change_of_limits_leaves_alone_what_workers_write_meanwhile(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deliveries.admin.mail_domain import MailDomainForm

    known, clean = MailDomain.objects.create(domain="slow.org", per_minute=6), MailDomainForm.clean

    def meanwhile(form: MailDomainForm) -> dict[str, Any]:
        at_rest(next_at=5_000.0)
        return clean(form)

    monkeypatch.setattr(MailDomainForm, "clean", meanwhile)
    client.post(change(known), {"domain": "other.org", "per_minute": "6", "at_once": "2"})
    known.refresh_from_db()
    assert (known.domain, known.per_minute, known.at_once) == ("slow.org", 6, 2)
    assert (known.deferrals, known.next_at, known.answer) == (1, 5_000.0, ANSWER)
    assert known.not_before is not None


def test_a_rest_is_shown_and_ended(client: Client) -> None:
    known = at_rest()
    html = read(client, change(known))
    assert all(text in html for text in ("At rest until", ANSWER, BUTTON, write_again(known)))
    limits = domains.Limits("w")
    assert limits.ask("slow.org") > 40
    html = client.post(write_again(known), follow=True).content.decode()
    assert "Its rest is over" in html
    assert BUTTON not in html
    assert "At rest until" not in html
    limits.read()
    assert limits.ask("slow.org") == 0.0
    event = AuditEvent.objects.get()
    assert (event.action, event.label, event.actor_name) == ("changed", "slow.org", "a-operator")
    assert (event.before, event.after) == ({"not_before": str(known.not_before)}, {"not_before": None})


def test_a_rest_that_has_ended_is_not_ended_again(client: Client) -> None:
    known = MailDomain.objects.create(domain="slow.org", per_minute=6)
    assert BUTTON not in read(client, change(known))
    assert "It was not at rest any more." in client.post(write_again(known), follow=True).content.decode()
    assert not AuditEvent.objects.exists()


def test_a_rest_that_is_over_by_itself_shows_no_button(client: Client) -> None:
    html = read(client, change(at_rest(not_before=timezone.now() - timedelta(seconds=1))))
    assert ANSWER in html
    assert BUTTON not in html
    assert "At rest until" not in html


def test_looking_at_the_address_of_the_button_changes_nothing(client: Client) -> None:
    known = at_rest()
    assert client.get(write_again(known)).status_code == 405
    assert Client(enforce_csrf_checks=True).post(write_again(known)).status_code in (302, 403)
    assert MailDomain.objects.get().not_before == known.not_before


def test_the_list_shows_limits_rests_and_answers(client: Client) -> None:
    at_rest("slow.org")
    at_rest("rested.org", not_before=timezone.now() - timedelta(days=1))
    MailDomain.objects.create(domain="xn--bcher-kva.example", per_minute=1_200, at_once=2)
    html = read(client, reverse(LIST))
    assert all(text in html for text in ("slow.org", ANSWER, "bücher.example (xn--bcher-kva.example)"))
    assert "1,200 a minute, 2 at the same time" in html
    waiting, limited = (read(client, reverse(LIST) + f"?show={name}") for name in ("waiting", "limited"))
    assert [name in waiting for name in ("slow.org", "rested.org", "bcher-kva")] == [True, False, False]
    assert [name in limited for name in ("slow.org", "rested.org", "bcher-kva")] == [False, False, True]


@pytest.mark.parametrize("written", ["KVA", "Bücher.example", "@bücher.example"])
def test_a_domain_is_found_by_a_part_of_it_or_by_its_own_letters(client: Client, written: str) -> None:
    MailDomain.objects.create(domain="xn--bcher-kva.example", at_once=2)
    MailDomain.objects.create(domain="example.org", at_once=2)
    rows = client.get(reverse(LIST), {"q": written}).context["cl"].result_list
    assert [row.domain for row in rows] == ["xn--bcher-kva.example"]
    assert client.get(reverse(LIST), {"q": "é é"}).context["cl"].result_list == []


@pytest.mark.parametrize("role", ["viewer", "marketer"])
def test_others_see_a_domain_and_change_nothing(role: str) -> None:
    known, client = at_rest(), of_role(role)
    html = read(client, change(known))
    assert "At rest until" in html
    assert BUTTON not in html
    assert client.post(change(known), {"per_minute": "6"}).status_code == 403
    assert client.post(write_again(known)).status_code == 403
    assert client.get(reverse(ADD)).status_code == 403
    assert MailDomain.objects.get().not_before == known.not_before


def test_deleting_a_domain_names_it_alone_and_is_on_record() -> None:
    known, client = at_rest(), of_role("administrator")
    DomainSlot.objects.create(domain=known, number=1)
    url = reverse("admin:deliveries_maildomain_delete", args=[known.pk])
    assert "omain slot" not in read(client, url)
    assert of_role("operator").post(url, {"post": "yes"}).status_code == 403
    assert client.post(url, {"post": "yes"}).status_code == 302
    assert not MailDomain.objects.exists()
    assert not DomainSlot.objects.exists()
    assert AuditEvent.objects.get().before == {"domain": "slow.org", "per_minute": None, "at_once": None}


def test_the_menu_leads_there(client: Client) -> None:
    assert reverse(LIST) in read(client, reverse("admin:index"))


def test_the_page_is_french_for_whoever_reads_french() -> None:
    known, client = at_rest(), of_role("administrator")
    client.cookies["django_language"] = "fr"
    html = read(client, change(known))
    assert "Au repos jusqu’au" in html
    assert "Y écrire de nouveau dès maintenant" in html
