"""The page on which a message is written, as requests."""

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.test import Client

from deliveries import contents
from deliveries.models import Delivery, DeliveryContent, State
from profiles.channels import Channel
from profiles.models import CustomField, Profile
from tests.deliveries.test_admin import analysed, ready, url
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    browser = Client()
    browser.force_login(UserFactory.create(admin=True))
    return browser


def page_of(delivery: Delivery, language: str = "en") -> str:
    return url("content", delivery.pk, language)


def preview_of(delivery: Delivery, language: str = "en") -> str:
    return url("content_preview", delivery.pk, language)


def typed(delivery: Delivery, language: str = "en", **changes: str) -> dict[str, str]:
    """Return what the form of a language holds, with what is typed over it."""
    stored = contents.stored(delivery, language)
    texts = {name: getattr(stored, name) if stored else "" for name in contents.TEXTS}
    return {**texts, "seen": contents.seen(stored), **changes}


def state_of(delivery: Delivery) -> tuple[Any, ...]:
    delivery.refresh_from_db()
    return delivery.state, delivery.version, list(DeliveryContent.objects.order_by("pk").values_list())


def sms(**fields: Any) -> Delivery:
    service = ServiceFactory.create(channel=Channel.SMS)
    return DeliveryFactory.create(channel=Channel.SMS, service=service, contents=False, **fields)


def browser_of(*permissions: str) -> Client:
    user = UserFactory.create()
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    browser = Client()
    browser.force_login(user)
    return browser


# -- saving -------------------------------------------------------------------------------------------------


def test_saving_stores_the_texts_voids_the_analysis_and_says_so_before_and_after(client: Client) -> None:
    delivery = analysed(ready())
    assert "the analysis no longer counts" in client.get(page_of(delivery)).content.decode()
    data = typed(delivery, subject="Another subject", html="<p>New</p>\r\n")
    page = client.post(page_of(delivery), data, follow=True)
    assert page.redirect_chain == [(page_of(delivery), 302)]
    assert "analyse again" in page.content.decode()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.current_run) == (State.DRAFT, None)
    content = delivery.contents.get(language="en")
    assert (content.subject, content.html) == ("Another subject", "<p>New</p>\n")
    assert delivery.contents.get(language="fr").subject.startswith("Bonjour")
    assert "English" in LogEntry.objects.get().get_change_message()


def test_saving_without_a_change_keeps_the_analysis(client: Client) -> None:
    delivery = analysed(ready())
    data = {name: text.replace("\n", "\r\n") for name, text in typed(delivery).items()}
    before = state_of(delivery)
    page = client.post(page_of(delivery), data, follow=True).content.decode()
    assert "Nothing has changed." in page
    assert state_of(delivery) == before


def test_a_template_that_cannot_be_read_is_refused_at_its_field_and_what_was_typed_stays(client: Client) -> None:
    delivery = analysed(ready())
    before = state_of(delivery)
    page = client.post(
        page_of(delivery), typed(delivery, text="Hello\n{{ profile. }}", subject="Kept")
    ).content.decode()
    errors = re.search(r'id="id_text_errors">(.*?)</div>', page)
    assert errors
    assert "Text, line 2" in errors[1]
    assert 'aria-describedby="id_text_errors"' in page
    assert "{{ profile. }}</textarea>" in page
    assert 'value="Kept"' in page
    assert "Nothing is saved yet" in page
    assert state_of(delivery) == before


def test_what_somebody_else_saved_meanwhile_is_shown_and_what_was_typed_is_kept(client: Client) -> None:
    delivery = ready()
    mine = typed(delivery, subject="Mine")
    client.post(page_of(delivery), typed(delivery, subject="Theirs"))
    answer = client.post(page_of(delivery), mine)
    page = answer.content.decode()
    assert "Somebody else has changed this text meanwhile" in page
    assert "Theirs" in page
    assert 'value="Mine"' in page
    assert delivery.contents.get(language="en").subject == "Theirs"
    (seen,) = re.findall(r'name="seen" value="(\w+)" id="id_seen"', page)
    client.post(page_of(delivery), {**mine, "seen": seen})
    assert delivery.contents.get(language="en").subject == "Mine"


def test_two_people_may_write_two_languages_at_the_same_time(client: Client) -> None:
    delivery = ready()
    english, french = typed(delivery, "en", subject="Hi"), typed(delivery, "fr", subject="Salut")
    client.post(page_of(delivery, "en"), english)
    client.post(page_of(delivery, "fr"), french)
    assert set(delivery.contents.values_list("subject", flat=True)) == {"Hi", "Salut"}


def test_a_language_can_be_begun_and_nothing_is_stored_before_it_is_saved(client: Client) -> None:
    delivery = ready()
    delivery.contents.filter(language="fr").delete()
    before = state_of(delivery)
    page = client.get(page_of(delivery, "fr")).content.decode()
    assert "Bonjour {{ profile.first_name }}" in page
    assert "not written yet" in page
    assert state_of(delivery) == before
    client.post(page_of(delivery, "fr"), typed(delivery, "fr", subject="Bonjour", html="<p>x</p>", text="x"))
    assert delivery.contents.get(language="fr").subject == "Bonjour"


def test_a_language_begun_by_two_people_is_stored_once(client: Client) -> None:
    delivery = ready()
    delivery.contents.filter(language="fr").delete()
    data = typed(delivery, "fr", subject="Un")
    client.post(page_of(delivery, "fr"), data)
    page = client.post(page_of(delivery, "fr"), {**data, "subject": "Deux"}).content.decode()
    assert "Somebody else has changed this text meanwhile" in page
    assert delivery.contents.get(language="fr").subject == "Un"


def test_a_language_can_be_removed_which_voids_the_analysis(client: Client) -> None:
    delivery = analysed(ready())
    stale = {"seen": "stale"}
    assert "Somebody else" in client.post(url("content_remove", delivery.pk, "fr"), stale, follow=True).content.decode()
    assert delivery.contents.count() == 2
    seen = {"seen": typed(delivery, "fr")["seen"]}
    client.post(url("content_remove", delivery.pk, "fr"), seen)
    delivery.refresh_from_db()
    assert [content.language for content in delivery.contents.all()] == ["en"]
    assert (delivery.state, delivery.current_run) == (State.DRAFT, None)


@pytest.mark.parametrize("state", [State.ANALYSING, State.SENDING, State.FINISHED])
def test_what_is_being_sent_or_has_been_is_kept_as_it_is(client: Client, state: State) -> None:
    delivery = analysed(ready())
    Delivery.objects.update(state=state)
    before = state_of(delivery)
    for address in (page_of(delivery), url("content_remove", delivery.pk, "en")):
        answer = client.post(address, typed(delivery, subject="Other"))
        assert answer.url == url("workspace", delivery.pk)
    assert client.get(page_of(delivery)).status_code == 302
    assert client.post(preview_of(delivery), typed(delivery)).status_code == 404
    assert state_of(delivery) == before


# -- looking ------------------------------------------------------------------------------------------------


def test_looking_changes_nothing(client: Client) -> None:
    delivery = analysed(ready())
    before = state_of(delivery)
    assert client.get(page_of(delivery)).status_code == 200
    assert client.get(preview_of(delivery)).status_code == 405
    assert client.get(url("content_remove", delivery.pk, "en")).status_code == 302
    assert client.post(preview_of(delivery), typed(delivery, subject="Other")).status_code == 200
    assert client.post(page_of(delivery), typed(delivery, subject="Other", preview="1")).status_code == 200
    assert state_of(delivery) == before


def test_a_button_shows_the_same_preview_without_scripts(client: Client) -> None:
    delivery = ready()
    data = typed(delivery, subject="Dear {{ profile.first_name }}", html="<p>Spring &amp; more</p>", text="x")
    page = client.post(page_of(delivery), {**data, "preview": "1"}).content.decode()
    fragment = client.post(preview_of(delivery), data).content.decode()
    assert fragment.strip() in page
    assert "Dear Camille" in fragment
    assert "&lt;p&gt;Spring &amp;amp; more&lt;/p&gt;" in fragment
    assert "has no opt-out link" in fragment
    assert "Add this to it" in fragment


def test_the_preview_escapes_everything_and_its_frames_run_nothing(client: Client) -> None:
    delivery = ready(1)
    Profile.objects.update(first_name='"><script>alert(1)</script>')
    evil = '"></iframe><script>alert(2)</script>{{ profile.first_name }}'
    data = dict.fromkeys(contents.TEXTS, evil)
    person = Profile.objects.get()
    fragment = client.post(preview_of(delivery), {**data, "person": str(person.pk)}).content.decode()
    assert "<script" not in fragment
    assert re.findall(r"<iframe[^>]*? sandbox[^>]*? srcdoc=\"", fragment)
    assert "allow-" not in fragment
    broken = client.post(
        preview_of(delivery), {**data, "text": "{{ <script> }}", "person": "<script>"}
    ).content.decode()
    assert "<script" not in broken
    assert "Text, line 1" in broken


def test_an_unreadable_part_is_named_in_its_place_and_the_others_are_shown(client: Client) -> None:
    delivery = ready()
    data = typed(delivery, html="<p>\n{% if profile.first_name %}", text="Still {{ profile.first_name }}")
    fragment = client.post(preview_of(delivery), data).content.decode()
    assert "HTML, line 2" in fragment
    assert "<iframe" not in fragment
    assert "Still Camille" in fragment


def test_the_message_is_seen_by_a_person_who_is_never_in_the_address(client: Client) -> None:
    delivery = ready(0)
    person = ProfileFactory.create(first_name="Ada", email="ada@example.org")
    for named in (str(person.pk), "ADA@example.org"):
        fragment = client.post(preview_of(delivery), typed(delivery, person=named)).content.decode()
        assert "Hello Ada" in fragment
        assert "ada@example.org" in fragment
    nobody = client.post(preview_of(delivery), typed(delivery, person="nobody@example.org")).content.decode()
    assert "Nobody has the number or address" in nobody
    assert "Hello Camille" in nobody


def test_people_are_only_shown_to_those_who_may_see_them() -> None:
    delivery = ready(1)
    Profile.objects.update(first_name="Ada")
    writer = browser_of("view_delivery", "change_delivery", "change_deliverycontent", "add_deliverycontent")
    person = str(Profile.objects.get().pk)
    fragment = writer.post(preview_of(delivery), typed(delivery, person=person)).content.decode()
    assert "Ada" not in fragment
    assert 'name="person"' not in writer.get(page_of(delivery)).content.decode()


def test_fields_to_insert_have_plain_names_and_include_the_own_ones(client: Client) -> None:
    CustomField.objects.create(name="garden", label={"en": "Kind of garden"})
    page = client.get(page_of(ready(), "fr")).content.decode()
    assert re.search(r'data-insert="{{ profile.first_name }}"[^>]*>First name<', page)
    assert re.search(r'data-insert="{{ profile.attributes.garden }}"[^>]*>Kind of garden<', page)
    assert "&lt;a href=&quot;{{ opt_out_url }}&quot;&gt;Se désabonner&lt;/a&gt;" in page


def test_of_an_sms_only_the_text_is_written_and_its_segments_are_said(client: Client) -> None:
    delivery = sms()
    page = client.get(page_of(delivery)).content.decode()
    assert 'name="text"' in page
    assert 'name="html"' not in page
    assert 'name="subject"' not in page
    fragment = client.post(preview_of(delivery), {"text": "STOP " + "a" * 200}).content.decode()
    assert "205 characters: sent and paid as 2 SMS" in fragment
    assert "Warnings" in fragment
    client.post(page_of(delivery), {"text": "Hello. STOP to leave", "seen": ""})
    assert delivery.contents.get().text == "Hello. STOP to leave"


def test_the_page_and_the_preview_take_few_queries_however_long_the_message(
    client: Client, django_assert_max_num_queries: Any
) -> None:
    delivery = ready()
    delivery.contents.update(html="<p>{{ profile.first_name }} {{ nope }}</p><img src='x'>" * 500)
    for _warm in range(2):
        client.get(page_of(delivery))
    with django_assert_max_num_queries(8):
        client.get(page_of(delivery))
    with django_assert_max_num_queries(7):
        client.post(preview_of(delivery), typed(delivery))


# -- who may ------------------------------------------------------------------------------------------------


def test_only_those_who_may_change_messages_come_in() -> None:
    delivery = ready()
    before = state_of(delivery)
    allowed = {"view_delivery", "change_delivery", "change_deliverycontent", "add_deliverycontent"}
    for missing in ("change_delivery", "change_deliverycontent"):
        browser = browser_of(*(allowed - {missing}))
        assert browser.get(page_of(delivery)).status_code == 403
        for address in (page_of(delivery), preview_of(delivery), url("content_remove", delivery.pk, "en")):
            assert browser.post(address, typed(delivery, subject="Other")).status_code == 403
    assert browser_of(*allowed).post(url("content_remove", delivery.pk, "en"), typed(delivery)).status_code == 403
    assert Client().get(page_of(delivery)).status_code == 302
    assert state_of(delivery) == before


def test_a_marketer_may_write_and_remove() -> None:
    delivery = ready()
    marketer = UserFactory.create()
    marketer.groups.add(Group.objects.get(name="marketer"))
    browser = Client()
    browser.force_login(marketer)
    browser.post(page_of(delivery), typed(delivery, subject="Mine"))
    assert delivery.contents.get(language="en").subject == "Mine"
    browser.post(url("content_remove", delivery.pk, "fr"), {"seen": typed(delivery, "fr")["seen"]})
    assert delivery.contents.count() == 1


def test_a_post_without_the_token_of_the_form_is_refused() -> None:
    delivery = ready()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(UserFactory.create(admin=True))
    for address in (page_of(delivery), preview_of(delivery), url("content_remove", delivery.pk, "en")):
        assert browser.post(address, typed(delivery)).status_code == 403


def test_there_is_no_page_for_a_language_that_nobody_speaks_here(client: Client) -> None:
    assert client.get(page_of(ready(), "xx")).status_code == 404


def test_the_form_of_a_delivery_leads_to_its_message(client: Client) -> None:
    delivery = ready()
    form = client.get(url("change", delivery.pk)).content.decode()
    assert page_of(delivery) in form
    assert 'name="contents-' not in form
    assert page_of(delivery, "fr") in client.get(url("workspace", delivery.pk)).content.decode()
