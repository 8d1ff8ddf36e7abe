"""Templates: plain values in, text out, and nothing else whatever they try."""

import time
import tracemalloc
from typing import Any

import pytest

from deliveries import bounds, rendering
from deliveries.errors import TemplateRefused
from deliveries.models import DeliveryContent
from profiles.models import Brand, Profile

BRAND = Brand(name="Jardins", sender_name="J", postal_address="1 rue\n69001 Lyon", contact="c")


def values(**fields: Any) -> dict[str, Any]:
    person = Profile(**{"first_name": "Zoé", **fields})
    return rendering.values_for(
        profile=person, address="z@example.org", brand=BRAND, service=None, opt_out_url="https://x", language="fr"
    )


def render(html: str = "", *, text: str = "", strict: bool = False, **fields: Any) -> rendering.Rendered:
    return rendering.render(DeliveryContent(subject="", html=html, text=text), values(**fields), strict=strict)


def test_values_are_escaped_in_html_and_plain_in_text() -> None:
    both = render("{{ profile.first_name }}", text="{{ profile.first_name }}", first_name="<b>&")
    assert (both.html, both.text) == ("&lt;b&gt;&amp;", "<b>&")


def test_breaks_of_the_postal_address_become_breaks_in_html() -> None:
    assert render("{{ brand.postal_address | newline_to_br }}").html == "1 rue<br>69001 Lyon"


def test_declared_attributes_can_be_used_with_a_default() -> None:
    template = "{{ profile.attributes.city | default: 'ailleurs' }}"
    assert render(template, attributes={"city": "Lyon"}).html == "Lyon"
    assert render(template).html == "ailleurs"


def test_an_unknown_field_is_a_blank_when_sending_and_an_error_with_its_line_when_checking() -> None:
    assert render("a{{ profile.nope }}b").html == "ab"
    with pytest.raises(TemplateRefused) as caught:
        render("<p>\n{{ profile.nope }}", strict=True)
    assert (caught.value.field, caught.value.line) == ("HTML", 2)
    assert "nope" in str(caught.value)


@pytest.mark.parametrize(
    "attack",
    [
        "{{ profile.__class__.__mro__ }}", "{{ profile.attributes.__class__ }}", "{{ settings.SECRET_KEY }}",
        "{{ brand._meta }}", "{{ profile.first_name.__len__ }}",
    ],
)  # fmt: skip
def test_attribute_walks_lead_nowhere(attack: str) -> None:
    assert render(attack).html == ""


@pytest.mark.parametrize(
    "attack",
    [
        "{% include 'x' %}", "{% render 'x' %}", "{% extends 'x' %}", "{% load x %}",
        "{% tablerow i in (1..9) %}{% endtablerow %}",
        "{{ 'a' | replace: '', 'b' }}", "{{ (1..50000000) | join }}", "{{ 'x' | base64_decode }}", "{% if %}",
        "{% for i in (1..50000000) %}x{% endfor %}",
        "{% for i in (1..900) %}{% for j in (1..900) %}xxxxxxxxxx{% endfor %}{% endfor %}",
        "{% assign a = 'xxxxxxxxxx' %}" + "{% capture a %}{{ a }}{{ a }}{% endcapture %}" * 40,
        "{% if true %}" * 2000 + "{% endif %}" * 2000,
    ],
)  # fmt: skip
def test_attacks_are_refused_within_a_second_and_50_megabytes(attack: str) -> None:
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(TemplateRefused):
            render(attack)
        assert time.process_time() - began < 1
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_the_subject_is_one_line() -> None:
    content = DeliveryContent(subject="Hello\n {{ profile.first_name }}", html="", text="")
    assert rendering.render(content, values(first_name="A\r\nBcc: x@y")).subject == "Hello A Bcc: x@y"


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("a\n{% if x %}\nb\n", 2, "{% endif %}"),
        ("a\n{% for x in y %}\n{% if x %}{% endif %}\nb", 2, "{% endfor %}"),
        ("a\n{{ x\nb", 2, "}}"),
        ("a\n{{ x | }}\nb\n{{ y }}\n", 2, "between the braces"),
        ("{% if a %}\n{{ a }}\n{{ }}\n{% endif %}\nb", 3, "between the braces"),
        ("{{ profile.first name }}", 1, "between the braces"),
        ("a\n{% endif %}\n", 2, "closes nothing"),
        ("a\n{% include 'x' %}\n", 2, "not known"),
    ],
)
def test_a_template_that_cannot_be_read_names_the_line_in_plain_words(source: str, line: int, words: str) -> None:
    with pytest.raises(TemplateRefused) as caught:
        rendering.check_syntax("text", source)
    assert caught.value.line == line
    assert words in caught.value.problem


def test_a_filter_that_does_not_exist_is_named() -> None:
    with pytest.raises(TemplateRefused, match="line 2: the filter “shout” does not exist"):
        render("a\n{{ profile.first_name | shout }}")


def test_a_template_that_is_too_long_is_refused_before_it_is_stored() -> None:
    with pytest.raises(TemplateRefused):
        rendering.check_syntax("text", "x" * (bounds.LONGEST_TEMPLATE + 1))
