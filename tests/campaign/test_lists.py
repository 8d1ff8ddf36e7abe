"""Lists of the back-office never count their rows."""

import re
import secrets
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from campaign.models import User
from deliveries.models import Audience, Delivery, MailDomain, PeopleList, RuleKind, Typology, TypologyRule
from landing.models import LandingPage
from profiles import consent
from profiles.admin_base import BaseAdmin
from profiles.consent import Evidence
from profiles.models import Brand, ConsentEvent, ImportJob, Profile, Service, Source, Wording
from quarantine.models import BlockedDomain, Outage, QuarantinedAddress
from tests.factories import (
    BrandFactory,
    DeliveryFactory,
    LandingPageFactory,
    ProfileFactory,
    QuarantinedAddressFactory,
    ServiceFactory,
    UserFactory,
)

REGISTERED = sorted(admin.site._registry.values(), key=lambda a: a.opts.label)


@pytest.fixture
def client(db: None, client: Client) -> Client:
    client.force_login(UserFactory(admin=True))
    return client


def address(model: type[models.Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def queries(client: Client, url: str) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(url).status_code == 200
    return [query["sql"] for query in captured.captured_queries]


@pytest.mark.parametrize("model_admin", REGISTERED, ids=lambda a: a.opts.label)
def test_no_list_counts_its_rows(client: Client, model_admin: Any) -> None:
    search = "&q=martin" if model_admin.search_fields else ""
    for url in (address(model_admin.model), f"{address(model_admin.model)}?before=1000{search}"):
        assert not [sql for sql in queries(client, url) if re.search(r"COUNT\s*\(", sql, re.IGNORECASE)]


@pytest.mark.parametrize("model_admin", REGISTERED, ids=lambda a: a.opts.label)
def test_every_list_derives_from_the_base_admin(model_admin: Any) -> None:
    assert isinstance(model_admin, BaseAdmin)
    assert "delete_selected" not in (model_admin.actions or ())


def one_more(model: type[models.Model]) -> None:
    """Make one more row of a list, with the other rows that its columns show."""
    if model in (Profile, ConsentEvent):
        profile = ProfileFactory(sms="+33639980001")
        evidence = Evidence(source=Source.LANDING_PAGE)
        consent.opt_out([profile.pk], channel=None, evidence=evidence, at=timezone.now())
    elif model is Wording:
        consent.cite(f"Text {Wording.objects.all().order_by('-pk').first()}", "en")
    elif model in FACTORIES:
        FACTORIES[model]()


FACTORIES: dict[Any, Any] = {
    User: UserFactory,
    Brand: lambda: BrandFactory(name=f"Brand {secrets.token_hex(4)}"),
    Service: lambda: ServiceFactory(brand=BrandFactory(name=f"Brand {secrets.token_hex(4)}")),
    QuarantinedAddress: QuarantinedAddressFactory,
    Delivery: DeliveryFactory,
    LandingPage: LandingPageFactory,
    Audience: lambda: Audience.objects.create(
        name=secrets.token_hex(4), criteria={"field": "subscription", "op": "in", "value": [ServiceFactory().pk]}
    ),
    PeopleList: lambda: PeopleList.objects.create(name=secrets.token_hex(4)),
    Typology: lambda: Typology.objects.create(name=secrets.token_hex(4)),
    TypologyRule: lambda: TypologyRule.objects.create(
        kind=RuleKind.FILTERING, typology=Typology.objects.create(name=secrets.token_hex(4))
    ),
    BlockedDomain: lambda: BlockedDomain.objects.create(domain=f"{secrets.token_hex(4)}.example"),
    Outage: lambda: Outage.objects.create(
        domain="down.example", since=timezone.now(), until=timezone.now(), reason="Down", by="op"
    ),
    MailDomain: lambda: MailDomain.objects.create(domain=f"{secrets.token_hex(4)}.example", per_minute=30),
    ImportJob: lambda: ImportJob.objects.create(file="x", file_name="people.csv", by=UserFactory()),
}


@pytest.mark.parametrize("model_admin", REGISTERED, ids=lambda a: a.opts.label)
def test_a_longer_list_takes_no_more_queries(client: Client, model_admin: Any) -> None:
    one_more(model_admin.model)
    few = queries(client, address(model_admin.model))
    for _n in range(5):
        one_more(model_admin.model)
    many = queries(client, address(model_admin.model))
    assert len(many) <= len(few), [sql for sql in many if sql not in few]


class SmallPages:
    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(BaseAdmin, "list_per_page", 3)


def usernames(response: Any) -> list[str]:
    return [user.username for user in response.context["cl"].result_list]


class TestPagesByKey(SmallPages):
    @pytest.fixture(autouse=True)
    def _users(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(admin.site._registry[User], "ordering", ("-pk",))
        User.objects.all().update(username="me")
        for letter in "abcdefg":
            UserFactory(username=letter)

    def test_lead_through_all_rows_and_back(self, client: Client) -> None:
        url, seen = address(User), []
        while True:
            response = client.get(url)
            seen.append(usernames(response))
            if not response.context["cl"].older_url:
                break
            url = address(User) + response.context["cl"].older_url
        assert seen == [["g", "f", "e"], ["d", "c", "b"], ["a", "me"]]
        back = client.get(address(User) + response.context["cl"].newer_url)
        assert usernames(back) == ["d", "c", "b"]
        first = client.get(address(User) + back.context["cl"].newer_url)
        assert usernames(first) == ["g", "f", "e"]
        assert first.context["cl"].newer_url == ""

    def test_keep_the_filter_and_the_search(self, client: Client) -> None:
        response = client.get(address(User) + "?is_active__exact=1&q=user")
        assert response.status_code == 200
        response = client.get(address(User) + "?is_active__exact=1")
        assert "is_active__exact=1" in response.context["cl"].older_url

    def test_refuse_a_key_that_is_no_number(self, client: Client) -> None:
        assert client.get(address(User) + "?before=x").status_code == 302

    def test_show_no_number_of_rows(self, client: Client) -> None:
        text = client.get(address(User)).content.decode()
        assert "3 users" not in text
        assert "8 users" not in text


class TestPagesByOffset(SmallPages):
    def test_lead_through_a_small_table_in_its_own_order(self, client: Client) -> None:
        User.objects.all().update(username="z")
        for letter in "abcd":
            UserFactory(username=letter)
        first = client.get(address(User))
        assert usernames(first) == ["a", "b", "c"]
        assert usernames(client.get(address(User) + first.context["cl"].older_url)) == ["d", "z"]
