"""Control rules: a message without a way out or a postal address, in either part, does not leave."""

from typing import Any

import pytest

from deliveries import control
from deliveries.control import Code, Finding, Severity
from deliveries.models import Delivery, DeliveryContent, MessageClass, Typology
from profiles.channels import Channel
from profiles.models import CustomField
from tests.factories import DeliveryFactory, ServiceFactory

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
    assert codes(delivery, **{part: text.replace(field, "https://example.org")}) == [code]


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
    both = [Code.EMPTY] * 2 + [Code.OPT_OUT_LINK] * 2 + [Code.POSTAL_ADDRESS] * 2
    assert codes(DeliveryFactory.create(), subject=" ", html=" ", text=" ") == [Code.NO_SUBJECT, *both]
    assert codes(DeliveryFactory.create(), html=" ") == [Code.EMPTY, Code.OPT_OUT_LINK, Code.POSTAL_ADDRESS]
    assert codes(DeliveryFactory.create(), html="{% if %}") == [Code.TEMPLATE]
    empty = DeliveryFactory.create(contents=False)
    assert [finding.code for finding in control.check(empty)] == [Code.NO_CONTENT]


def test_a_text_that_nobody_wrote_is_judged_as_it_will_be_sent() -> None:
    assert codes(DeliveryFactory.create(), text=" ") == []
    hidden = '<p>{{ brand.postal_address }}</p><p style="display:none"><a href="{{ opt_out_url }}">Leave</a></p>'
    assert codes(DeliveryFactory.create(), html=hidden, text="") == [Code.OPT_OUT_LINK]


def test_a_language_that_lacks_something_is_named() -> None:
    delivery = DeliveryFactory.create()
    DeliveryContent.objects.filter(delivery=delivery, language="fr").update(text="Bonjour")
    assert {finding.language for finding in control.check(delivery)} == {"fr"}
    assert "French" in control.check(delivery)[0].text


# -- each rule by itself, on texts that are not saved -------------------------------------------------------

FOOT = '<p>{{ brand.postal_address }}</p><a href="{{ opt_out_url }}">Stop</a>'
MARKETING, TRANSACTIONAL = MessageClass.MARKETING, MessageClass.TRANSACTIONAL


def found(code: Code, **texts: str) -> list[Finding]:
    """Return what one rule finds in an email that is otherwise complete."""
    words = {"subject": "Spring at last", "html": "<p>Hello</p>", "text": "Hello", **texts}
    words |= {"html": words["html"] + FOOT, "text": words["text"] + "{{ brand.postal_address }} {{ opt_out_url }}"}
    findings = control.check_texts(DeliveryFactory.create(contents=False), "en", **words)
    assert {finding.code for finding in findings} <= {code}
    return findings


def of_sms(text: str, **fields: Any) -> list[Finding]:
    service = ServiceFactory.create(channel=Channel.SMS)
    delivery = DeliveryFactory.create(channel=Channel.SMS, service=service, contents=False, **fields)
    return control.check_texts(delivery, "en", "", "", text)


def severities(findings: list[Finding]) -> list[tuple[Code, Severity]]:
    return [(finding.code, finding.severity) for finding in findings]


def test_every_code_has_one_rule_with_words_of_its_own() -> None:
    assert sorted(one.code for one in control.CONTROLS) == sorted(Code)
    assert all(str(one.label) and str(one.text) and str(one.remedy) for one in control.CONTROLS)
    assert len({str(one.label) for one in control.CONTROLS}) == len(Code)


def test_texts_that_are_not_saved_are_checked_as_they_are() -> None:
    delivery = DeliveryFactory.create()
    findings = control.check_texts(delivery, "fr", "", "<p>x</p>", "x")
    assert {finding.language for finding in findings} == {"fr"}
    assert Code.NO_SUBJECT in {finding.code for finding in findings}
    assert control.check(delivery) == []


def test_a_finding_says_what_is_wrong_where_and_what_to_do() -> None:
    delivery = DeliveryFactory.create(contents=False)
    (finding,) = control.check_texts(delivery, "en", "Hello", "Hello" + FOOT, "Hello {{ brand.postal_address }}")
    assert finding.text == "English: The part “Text” has no opt-out link."
    assert finding.problem == "The part “Text” has no opt-out link."
    assert finding.remedy == "Add this to it: {{ opt_out_url }}"
    assert finding.blocks


@pytest.mark.parametrize(
    ("subject", "risky"),
    [
        ("BIG SALE TODAY", True), ("Hurry!!", True), ("Now! Here! Go!", True),
        ("OFFRE EXCLUSIVE {{ profile.first_name }}", True),
        ("Spring at last!", False), ("BBC & NASA", False), ("RSVP", False), ("Only today! {{ brand.name }}", False),
    ],
)  # fmt: skip
def test_a_subject_that_shouts_is_a_warning(subject: str, risky: bool) -> None:
    expected = [(Code.RISKY_SUBJECT, Severity.WARNING)] if risky else []
    assert severities(found(Code.RISKY_SUBJECT, subject=subject)) == expected


def test_a_template_that_cannot_be_read_names_the_part_and_the_line_and_hides_no_other_finding() -> None:
    delivery = DeliveryFactory.create(contents=False)
    findings = control.check_texts(delivery, "en", "", "<p>\n{% if x %}</p>", "Hello {{ opt_out_url }}")
    assert severities(findings) == [
        (Code.TEMPLATE, Severity.ERROR), (Code.NO_SUBJECT, Severity.ERROR), (Code.POSTAL_ADDRESS, Severity.ERROR),
    ]  # fmt: skip
    assert "HTML, line 2" in findings[0].problem


def test_a_part_of_tags_and_blanks_only_is_empty() -> None:
    delivery = DeliveryFactory.create(message_class=TRANSACTIONAL, contents=False)
    findings = control.check_texts(delivery, "en", "Receipt", "<p>&nbsp;</p>", "Thank you")
    assert [(finding.code, "HTML" in finding.problem) for finding in findings] == [(Code.EMPTY, True)]
    assert control.check_texts(delivery, "en", "Receipt", "<p>.</p>", "Thank you") == []


@pytest.mark.parametrize(
    ("kilobytes", "expected"),
    [
        (100, []), (104, [(Code.HTML_CLIPPED, Severity.WARNING)]), (900, [(Code.HTML_CLIPPED, Severity.WARNING)]),
        (1100, [(Code.HTML_TOO_BIG, Severity.ERROR)]),
    ],
)  # fmt: skip
def test_the_size_of_what_is_sent_counts(kilobytes: int, expected: list[tuple[Code, Severity]]) -> None:
    html = "{% for i in (1.." + str(kilobytes // 2) + ") %}" + "x" * 2048 + "{% endfor %}" + FOOT
    delivery = DeliveryFactory.create(contents=False)
    text = "{{ brand.postal_address }} {{ opt_out_url }}"
    assert severities(control.check_texts(delivery, "en", "Hello", html, text)) == expected


@pytest.mark.parametrize(
    ("used", "nearest"),
    [
        ("{{ profile.frist_name }}", "profile.first_name"),
        ("{{ first_name }}", "profile.first_name"),
        ("{{ brand.adress }}", "brand.postal_address"),
        ("{% if profile.langage == 'fr' %}x{% endif %}", "profile.language"),
        ("{{ profile.first_name | default: friend }}", ""),
        ("{{ opt_out }}", "opt_out_url"),
    ],
)
def test_a_field_that_does_not_exist_is_named_with_its_line_and_the_nearest(used: str, nearest: str) -> None:
    (finding,) = found(Code.UNKNOWN_FIELD, text="Hello\n" + used)
    assert finding.severity == Severity.WARNING
    assert "Text, line 2" in finding.problem
    assert finding.remedy == (f"Did you mean {{{{ {nearest} }}}}?" if nearest else "")


@pytest.mark.parametrize(
    "used",
    [
        "{{ profile.first_name | upcase }}", "{{ profile['last_name'] }}", "{{ profile.first_name.size }}",
        "{% assign name = brand.name %}{{ name }}",
        "{% for one in profile.attributes %}{{ one[0] }}{{ forloop.index }}{% endfor %}",
        "{% capture all %}x{% endcapture %}{{ all }}", "{{ profile.attributes.whatever }}", "{{ 'a' }}{{ 1 }}",
    ],
)  # fmt: skip
def test_fields_that_exist_are_not_named(used: str) -> None:
    assert found(Code.UNKNOWN_FIELD, text=used) == []


def test_own_fields_are_known_once_some_are_declared() -> None:
    CustomField.objects.create(name="garden")
    assert found(Code.UNKNOWN_FIELD, text="{{ profile.attributes.garden }}") == []
    (finding,) = found(Code.UNKNOWN_FIELD, text="{{ profile.attributes.graden }}")
    assert "profile.attributes.garden" in finding.remedy


@pytest.mark.parametrize(
    ("href", "broken"),
    [
        ("#", True), ("", True), ("www.example.org", True), ("javascript:alert(1)", True), ("#nowhere", True),
        ("mailto:", True),
        ("https://example.org/", False), ("http://example.org/", False), ("mailto:a@example.org", False),
        ("tel:+33123456789", False), ("#here", False), ("{{ profile.attributes.url }}", False),
    ],
)  # fmt: skip
def test_links_that_lead_nowhere_are_named_with_their_line(href: str, broken: bool) -> None:
    findings = found(Code.LINK, html=f'<p id="here">\n<a href="{href}">x</a></p>')
    assert severities(findings) == ([(Code.LINK, Severity.WARNING)] if broken else [])
    assert all(f"“{href}” (line 2)" in finding.problem for finding in findings)


def test_links_in_comments_and_odd_declarations_are_left_alone() -> None:
    assert found(Code.LINK, html='<!-- <a href="#">x</a> --><!--[if mso]><a href="#"></a><![endif]-->') == []
    assert found(Code.LINK, html="<![odd[ x ]]>") == []


def test_pictures_without_a_text_are_named() -> None:
    (finding,) = found(Code.ALT_TEXT, html='<img src="https://x.example/a.png">\n\n<img src="https://x.example/b.png">')
    assert finding.severity == Severity.WARNING
    assert "line 1, line 3" in finding.problem
    assert found(Code.ALT_TEXT, html='<img src="x" alt=""><img src="y" alt="A rose">') == []


def test_an_sms_needs_its_text_only() -> None:
    assert of_sms("Hello {{ profile.first_name }}. STOP to leave") == []
    assert severities(of_sms(" ")) == [(Code.EMPTY, Severity.ERROR), (Code.SMS_STOP, Severity.ERROR)]


def test_a_marketing_sms_mentions_stop() -> None:
    assert severities(of_sms("Stop by our garden")) == [(Code.SMS_STOP, Severity.ERROR)]
    assert of_sms("Your code is 1234", message_class=TRANSACTIONAL) == []


def test_long_sms_are_counted_and_refused() -> None:
    (warning,) = of_sms("STOP " + "a" * 160)
    assert (warning.code, warning.severity) == (Code.SMS_SEGMENTS, Severity.WARNING)
    assert "2 messages" in warning.problem
    assert of_sms("STOP " + "a" * 155) == []
    (accents,) = of_sms("STOP " + "ê" * 66)
    assert "2 messages" in accents.problem
    assert "ê" in accents.problem
    (error,) = of_sms("STOP " + "a" * 1530)
    assert (error.code, error.severity) == (Code.SMS_TOO_LONG, Severity.ERROR)
    assert "11 messages" in error.problem


# -- sending rules may change severities --------------------------------------------------------------------


def test_sending_rules_change_severities_and_switch_rules_off() -> None:
    delivery = DeliveryFactory.create()
    delivery.contents.update(subject="BIG SALE TODAY")
    harder = control.check(delivery, {Code.RISKY_SUBJECT: Severity.ERROR})
    assert [finding.blocks for finding in harder] == [True, True]
    assert control.check(delivery, {Code.RISKY_SUBJECT: None}) == []


@pytest.mark.parametrize("severity", [Severity.WARNING, None])
def test_rules_that_are_fixed_cannot_be_lowered(severity: Severity | None, settings: Any) -> None:
    settings.ENVIRONMENT = "production"
    delivery = DeliveryFactory.create()
    delivery.contents.update(text="Hello", html="<p>Hello</p>{% if %}")
    DeliveryContent.objects.filter(delivery=delivery, language="en").update(html="<p>Hello</p>")
    lowered = dict.fromkeys(Code, severity)
    blocking = {finding.code for finding in control.check(delivery, lowered) if finding.blocks}
    assert blocking == {Code.OPT_OUT_LINK, Code.POSTAL_ADDRESS, Code.BRAND, Code.TEMPLATE}
    assert {one.code for one in control.CONTROLS if one.fixed} == {*blocking, Code.NO_CONTENT, Code.SMS_STOP}
    assert control.check(DeliveryFactory.create(contents=False), lowered)[-1].code == Code.NO_CONTENT


def test_checking_takes_three_queries(django_assert_num_queries: Any) -> None:
    delivery = DeliveryFactory.create()
    with django_assert_num_queries(3):
        control.check(delivery)


def test_the_sending_rules_of_a_delivery_say_how_severe_its_checks_are() -> None:
    delivery = DeliveryFactory.create(contents=False)
    DeliveryContent.objects.create(delivery=delivery, language="en", subject="", html="", text="Hello")
    typology = Typology.objects.create(name="Ours")
    for place, (code, severity) in enumerate(
        [("no_subject", "warning"), ("no_subject", "off"), ("empty", "off"), ("opt_out_link", "off"), ("gone", "error")]
    ):
        typology.rules.create(kind="control", code=code, severity=severity, place=place)
    before = {finding.code: finding.severity for finding in control.check(delivery)}
    Delivery.objects.filter(pk=delivery.pk).update(typology=typology)
    delivery.refresh_from_db()
    after = {finding.code: finding.severity for finding in control.check(delivery)}
    assert (before["no_subject"], after["no_subject"]) == ("error", "warning")
    assert ("empty" in before, "empty" in after) == (True, False)
    assert after["opt_out_link"] == "error"  # fixed: no rule can switch it off
