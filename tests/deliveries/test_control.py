"""Control rules: a message without a way out or a postal address, in either part, does not leave."""

import pytest

from deliveries import control
from deliveries.control import Code
from deliveries.models import Delivery, DeliveryContent, MessageClass
from tests.factories import DeliveryFactory

pytestmark = pytest.mark.django_db


def codes(delivery: Delivery, **changes: str) -> list[Code]:
    DeliveryContent.objects.filter(delivery=delivery, language="fr").delete()
    content = delivery.contents.get()
    for name, value in changes.items():
        setattr(content, name, value)
    content.save()
    return [finding.code for finding in control.check(delivery)]


def test_a_complete_message_passes() -> None:
    assert codes(DeliveryFactory.create()) == []


@pytest.mark.parametrize("part", ["html", "text"])
@pytest.mark.parametrize(
    ("field", "code"), [("{{ opt_out_url }}", Code.OPT_OUT_LINK), ("{{ brand.postal_address }}", Code.POSTAL_ADDRESS)]
)
def test_each_part_has_a_way_out_and_a_postal_address(part: str, field: str, code: Code) -> None:
    delivery = DeliveryFactory.create()
    text = getattr(delivery.contents.get(language="en"), part)
    assert codes(delivery, **{part: text.replace(field, "-")}) == [code]


def test_an_opt_out_address_that_is_no_link_does_not_count() -> None:
    html = "<p>{{ brand.postal_address }}</p><!-- {{ opt_out_url }} -->"
    assert codes(DeliveryFactory.create(), html=html) == [Code.OPT_OUT_LINK]


def test_an_address_on_several_lines_is_found() -> None:
    delivery = DeliveryFactory.create()
    delivery.brand.postal_address = "1 rue des Lilas\n69001 Lyon & Co"
    delivery.brand.save()
    html = "<p>{{ brand.postal_address | newline_to_br }}</p><a href='{{ opt_out_url }}'>x</a>"
    assert codes(delivery, html=html) == []


def test_a_transactional_message_needs_no_way_out() -> None:
    delivery = DeliveryFactory.create(message_class=MessageClass.TRANSACTIONAL)
    assert codes(delivery, html="<p>Receipt</p>", text="Receipt") == []


def test_no_subject_no_text_no_content_and_broken_templates_are_named() -> None:
    assert codes(DeliveryFactory.create(), subject=" ", text=" ") == [
        Code.NO_SUBJECT, Code.EMPTY, Code.OPT_OUT_LINK, Code.POSTAL_ADDRESS,
    ]  # fmt: skip
    assert codes(DeliveryFactory.create(), html="{% if %}") == [Code.TEMPLATE]
    empty = DeliveryFactory.create(contents=False)
    assert [finding.code for finding in control.check(empty)] == [Code.NO_CONTENT]


def test_a_language_that_lacks_something_is_named() -> None:
    delivery = DeliveryFactory.create()
    DeliveryContent.objects.filter(delivery=delivery, language="fr").update(text="Bonjour")
    assert {finding.language for finding in control.check(delivery)} == {"fr"}
    assert "French" in control.check(delivery)[0].text
