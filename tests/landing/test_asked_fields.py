"""What a page asks for besides the address: asked as marketers order it, kept where nothing was known."""

import json
from datetime import date
from typing import Any

import phonenumbers
import pytest
from babel import Locale
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import override

from landing import publishing
from landing.models import Asked, Kind, LandingPage, LandingPageField, PendingOptIn
from profiles import consent, countries
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.digests import digest
from profiles.models import Profile, Source
from tests.factories import ProfileFactory, ServiceFactory, UserFactory
from tests.landing.visitors import handle, published, send, visitor

pytestmark = pytest.mark.django_db
FULL = {
    "first_name": "Zoé", "last_name": "Martin", "birth_date": "1990-12-31", "country": "BE",
    "mobile_phone": "0470 12 34 56", "postal_address": "1 rue des Lilas\r\n1000 Bruxelles", "other-size": "38",
}  # fmt: skip


def asking(*names: str, kind: Kind = Kind.SUBSCRIPTION, required: bool = False, **fields: Any) -> LandingPage:
    """Return a published page, without confirmation, that asks for these (`other-x` for a field of its own)."""
    page: LandingPage = published(kind, double_opt_in=False, asks_name=False, **fields)
    for position, name in enumerate(names, start=1):
        own = name.startswith("other-")
        LandingPageField.objects.create(
            page=page, position=position, name=Asked.OTHER if own else name, attribute=name[6:] if own else "",
            label={"en": "Your size", "fr": "Votre pointure"} if own else {}, required=required,
        )  # fmt: skip
    publishing.publish(page, at=timezone.now())
    return page


def html(page: LandingPage, language: str = "en") -> str:
    return visitor(language).get(reverse("landing:page", args=[page.slug])).content.decode()


def signed_up(page: LandingPage, address: str = "new@example.org", **answers: str) -> Profile:
    response = send(visitor(), page, address, **answers)
    assert response.status_code == 200, response.content.decode()
    handle()
    return Profile.objects.having(digest(page.channel, address)).get()


def held(profile: Profile) -> list[tuple[int, str]]:
    return list(profile.addresses.order_by("channel", "position").values_list("channel", "value"))


def test_every_answer_is_kept_where_it_belongs() -> None:
    profile = signed_up(asking(*FULL), **FULL)
    assert (profile.first_name, profile.last_name, profile.birth_date) == ("Zoé", "Martin", date(1990, 12, 31))
    assert (profile.country, profile.attributes) == ("BE", {"size": "38"})
    assert held(profile) == [
        (Channel.EMAIL, "new@example.org"),
        (Channel.SMS, "+32470123456"),
        (Channel.DIRECT_MAIL, "1 rue des Lilas\n1000 Bruxelles"),
    ]
    assert list(Profile.objects.search("martin +32470123456")) == [profile]


def test_an_answer_fills_a_blank_and_replaces_nothing() -> None:
    known = ProfileFactory(
        email="a@example.org", sms="+33639980001", first_name="Old", country="FR", attributes={"size": "40", "x": "y"}
    )
    profile = signed_up(asking(*FULL, "other-hat"), "a@example.org", **FULL, **{"other-hat": "L"})
    assert profile == known
    assert (profile.first_name, profile.country, profile.birth_date) == ("Old", "FR", date(1990, 12, 31))
    assert profile.attributes == {"size": "40", "x": "y", "hat": "L"}
    assert [value for channel, value in held(profile) if channel == Channel.SMS] == ["+33639980001"]
    assert len(held(profile)) == 3, "a postal address where there was none"


def test_an_opt_out_kept_for_a_number_holds_for_whoever_gives_it() -> None:
    number = digest(Channel.SMS, "+33639980001")
    consent.opt_out_address(
        Channel.SMS, number, service=None, flag=Channel.SMS, evidence=Evidence(source=Source.SMS_STOP),
        at=timezone.now(),
    )  # fmt: skip
    profile = signed_up(asking("mobile_phone"), mobile_phone="06 39 98 00 01")
    assert (profile.blacklisted_sms, profile.blacklisted_email) == (True, False)


def test_nothing_is_kept_before_a_request_is_confirmed() -> None:
    page = asking(*FULL)
    page.double_opt_in = True
    page.save()
    publishing.publish(page, at=timezone.now())
    assert send(visitor(), page, "new@example.org", **FULL).status_code == 200
    handle()
    assert not Profile.objects.exists()
    assert PendingOptIn.objects.get().answers["birth_date"] == "1990-12-31"


@pytest.mark.parametrize(
    ("name", "answer", "advice"),
    [
        ("birth_date", "31/31/1990", "day/month/year"),
        ("birth_date", "2999-01-01", "Check the date"),
        ("birth_date", "0201-01-01", "Check the date"),
        ("country", "ZZ", "Choose a country"),
        ("country", "fr", "Choose a country"),
        ("mobile_phone", "12", "country code"),
        ("mobile_phone", "my number", "country code"),
        ("postal_address", "…,;", "Write an address."),
        ("postal_address", "x" * 301, "300"),
        ("postal_address", "ﬃ" * 299, "Shorten it."),
        ("other-size", "x" * 301, "300"),
        ("first_name", "x" * 101, "100"),
    ],
)
def test_what_cannot_be_read_is_explained_at_its_field(name: str, answer: str, advice: str) -> None:
    response = send(visitor(), asking(name), "a@example.org", **{name: answer})
    shown = response.content.decode()
    assert response.status_code == 422
    assert advice in shown
    assert f'id="{name}-error"' in shown
    assert not PendingOptIn.objects.exists()


@pytest.mark.parametrize("typed", ["1990-12-31", "31/12/1990", "31.12.1990"])
def test_a_date_is_read_as_inputs_send_it_and_as_people_write_it(typed: str) -> None:
    assert signed_up(asking("birth_date"), birth_date=typed).birth_date == date(1990, 12, 31)


def test_a_number_is_read_in_the_country_that_was_answered() -> None:
    page = asking("country", "mobile_phone")
    assert send(visitor(), page, "a@example.org", country="BE", mobile_phone="0470 12 34 56").status_code == 200
    assert PendingOptIn.objects.get().answers["mobile_phone"] == "+32470123456"


def test_what_is_required_is_asked_for_again_and_the_rest_is_called_optional() -> None:
    required, optional = asking(*FULL, required=True), asking(*FULL)
    response = send(visitor(), required, "a@example.org")
    assert response.content.decode().count("Please fill this in.") == len(FULL)
    assert "(optional)" not in html(required)
    assert html(optional).count("(optional)") == len(FULL)
    signed_up(optional)


def test_own_words_and_the_order_are_those_of_the_page() -> None:
    page = asking("country", "first_name", "other-size")
    page.asked.filter(name="country").update(label={"en": "Where do you live?", "fr": "Où habitez-vous ?"}, position=9)
    publishing.publish(page, at=timezone.now())
    shown, french = html(page), html(page, "fr")
    places = [shown.index(text) for text in ("First name", "Your size", "Where do you live?")]
    assert places == sorted(places)
    assert "Où habitez-vous" in french
    assert "Votre pointure" in french


def test_countries_are_named_in_the_language_of_the_visitor_and_in_its_order() -> None:
    page = asking("country")
    assert '<option value="DE">Germany</option>' in html(page)
    french = html(page, "fr")
    assert '<option value="DE">Allemagne</option>' in french
    assert french.index("Éthiopie") < french.index("France"), "an accent does not move a country to the end"


def test_the_names_of_countries_are_those_of_the_cldr_and_cover_phone_numbers() -> None:
    for language in ("en", "fr"):
        official = Locale(language).territories
        with override(language):
            assert {code: name.replace("’", "'") for code, name in countries.choices()} == {
                code: official[code].replace("’", "'") for code in countries.names()
            }
    # Two territories have a calling code and no ISO 3166 code of their own.
    assert phonenumbers.SUPPORTED_REGIONS - set(countries.names()) == {"AC", "TA"}


@pytest.mark.parametrize("kind", [Kind.UNSUBSCRIPTION, Kind.OPT_OUT_ALL, Kind.PREFERENCES])
def test_a_page_to_leave_asks_for_the_address_only(kind: Kind) -> None:
    assert 'name="first_name"' not in html(asking("first_name", kind=kind))


def test_visitors_are_asked_what_was_published() -> None:
    page = asking("first_name")
    LandingPageField.objects.create(page=page, name=Asked.COUNTRY, position=2)
    assert publishing.has_changes(page)
    assert 'name="country"' not in html(page)
    publishing.publish(page, at=timezone.now())
    assert not publishing.has_changes(page)
    assert 'name="country"' in html(page)
    assert [row["name"] for row in page.published.fields] == ["first_name", "country"]


# -- in the admin --------------------------------------------------------------------------------------------------


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(UserFactory(admin=True))
    return client


def form(*rows: dict[str, Any], **changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "name": "Garden", "kind": Kind.SUBSCRIPTION, "slug": "garden-page", "double_opt_in": "on",
        "confirmation": "none",
        "asked-TOTAL_FORMS": len(rows), "asked-INITIAL_FORMS": sum("id" in row for row in rows),
    }  # fmt: skip
    for number, row in enumerate(rows):
        data |= {f"asked-{number}-{name}": value for name, value in row.items()}
    return {**data, **changes}


def add(client: Client, *rows: dict[str, Any], **changes: Any) -> Any:
    service = changes.pop("of", None) or ServiceFactory()
    return client.post(
        reverse("admin:landing_landingpage_add"),
        form(*rows, service=service.pk, brand=service.brand_id, **changes),
    )


def errors(response: Any) -> str:
    assert response.status_code == 200
    return json.dumps([row for formset in response.context["inline_admin_formsets"] for row in formset.formset.errors])


def test_a_new_page_begins_with_first_and_last_name(client: Client) -> None:
    shown = client.get(reverse("admin:landing_landingpage_add")).content.decode()
    assert '<option value="first_name" selected>' in shown
    assert '<option value="last_name" selected>' in shown
    rows = [{"name": "first_name", "position": "1"}, {"name": "last_name", "position": "2"}]
    assert add(client, *rows).status_code == 302
    page = LandingPage.objects.get(slug="garden-page")
    assert [field.name for field in page.asked.all()] == ["first_name", "last_name"]


def test_rows_are_kept_in_the_order_of_their_places_and_a_field_of_one_s_own_is_named_by_itself(
    client: Client,
) -> None:
    own = {"name": "other", "label_en": "Your shoe size?", "position": "1", "required": "on"}
    assert add(client, {"name": "country", "position": "2", "attribute": "left-over"}, own).status_code == 302
    page = LandingPage.objects.get(slug="garden-page")
    assert publishing.fields_of(page) == [
        {"name": "other", "attribute": "your-shoe-size", "label": {"en": "Your shoe size?"}, "required": True},
        {"name": "country", "attribute": "", "label": {}, "required": False},
    ]


def test_a_row_without_a_place_goes_last(client: Client) -> None:
    rows = [{"name": "country", "position": ""}, {"name": "first_name", "position": "7"}, {"name": "birth_date"}]
    assert add(client, *rows).status_code == 302
    page = LandingPage.objects.get(slug="garden-page")
    assert [field.name for field in page.asked.all()] == ["first_name", "country", "birth_date"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"name": "other", "position": "1"}], "Write what people are asked."),
        ([{"name": "other", "label_en": "?!", "position": "1"}], "letters from a to z"),
        ([{"name": "country", "position": "1"}, {"name": "country", "position": "2"}], "duplicate"),
    ],
)
def test_what_cannot_be_asked_is_explained_in_its_row(client: Client, rows: list[dict[str, Any]], said: str) -> None:
    response = add(client, *rows)
    shown = errors(response) + response.content.decode()
    assert said in shown
    assert not LandingPage.objects.filter(slug="garden-page").exists()


def test_a_page_does_not_ask_twice_for_the_number_it_writes_to(client: Client) -> None:
    service = ServiceFactory(channel=Channel.SMS)
    response = add(client, {"name": "mobile_phone", "position": "1"}, of=service, double_opt_in="")
    assert "The form asks for it already" in errors(response)


def test_a_page_to_leave_keeps_no_fields(client: Client) -> None:
    assert add(client, {"name": "first_name", "position": "1"}, kind=Kind.UNSUBSCRIPTION).status_code == 302
    assert not LandingPageField.objects.filter(page__slug="garden-page").exists()


def test_a_changed_field_is_a_change_to_publish(client: Client) -> None:
    page = asking("first_name")
    row = page.asked.get()
    changed = {"id": row.pk, "page": page.pk, "name": "first_name", "label_en": "Your name", "position": "1"}
    url = reverse("admin:landing_landingpage_change", args=[page.pk])
    assert client.post(url, form(changed, brand=page.brand_id, double_opt_in="")).status_code == 302
    assert "Saved changes are not public yet" in client.get(url).content.decode()
    assert "Your name" not in html(page)
