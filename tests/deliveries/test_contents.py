"""Writing texts: never over what somebody else has saved unseen, and never into what is being sent."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from deliveries import contents
from deliveries.errors import ChangedMeanwhile, MoveRefused
from deliveries.models import Delivery, DeliveryContent, State
from tests.deliveries.test_admin import analysed, ready, url
from tests.factories import DeliveryFactory, UserFactory


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_written", [True, False])
def test_of_two_who_save_at_the_same_moment_one_is_told(is_written: bool) -> None:
    delivery = DeliveryFactory.create(contents=is_written)
    before, both = contents.seen(contents.stored(delivery, "en")), Barrier(2)

    def save(subject: str) -> str:
        content = DeliveryContent(delivery=delivery, language="en", subject=subject)
        both.wait()
        try:
            contents.write(Delivery.objects.get(pk=delivery.pk), content, before=before)
        except ChangedMeanwhile:
            return "told"
        finally:
            connection.close()
        return subject

    with ThreadPoolExecutor(2) as people:
        answers = list(people.map(save, ["One", "Two"]))
    assert answers.count("told") == 1
    (saved,) = set(answers) - {"told"}
    assert delivery.contents.get(language="en").subject == saved


@pytest.mark.django_db
def test_what_has_begun_to_be_sent_meanwhile_is_not_written_into() -> None:
    delivery = analysed(ready())
    content = delivery.contents.get(language="en")
    before, content.subject = contents.seen(content), "Too late"
    Delivery.objects.filter(pk=delivery.pk).update(state=State.SENDING)
    with pytest.raises(MoveRefused):
        contents.write(delivery, content, before=before)
    with pytest.raises(MoveRefused):
        contents.remove(delivery, "en", before=before)
    assert delivery.contents.get(language="en").subject != "Too late"


@pytest.mark.django_db
def test_of_a_scheduled_delivery_the_page_says_that_the_date_is_given_up() -> None:
    delivery = analysed(ready())
    at = timezone.now() + timedelta(days=1)
    Delivery.objects.update(state=State.SCHEDULED, scheduled_at=at, approved=3)
    browser = Client()
    browser.force_login(UserFactory.create(admin=True))
    page = browser.get(url("content", delivery.pk, "en")).content.decode()
    assert "It then does not start by itself on" in page
    texts = dict.fromkeys(contents.TEXTS, "Other {{ opt_out_url }}")
    seen = contents.seen(contents.stored(delivery, "en"))
    browser.post(url("content", delivery.pk, "en"), {**texts, "seen": seen})
    delivery.refresh_from_db()
    assert (delivery.state, delivery.scheduled_at) == (State.DRAFT, None)
