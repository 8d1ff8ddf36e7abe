"""Control rules: what is checked about the message itself before it may leave. Errors block, warnings do not.

A new rule is one line here, one function in `rules`, one name in `findings.Code` and one test.
"""

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from deliveries import specimens
from deliveries.models import Delivery, DeliveryContent, RuleKind, RuleSeverity
from deliveries.typologies import rules_of
from profiles.models import CustomField

from . import rules
from .findings import Code, Control, Draft, Finding, Severity

__all__ = ["CONTROLS", "Code", "Control", "Finding", "Severity", "check", "check_texts", "severities_of"]

CONTROLS: tuple[Control, ...] = (
    Control(
        Code.BRAND, Severity.ERROR, _("The brand says who writes"), "%(problem)s",
        _("Open the brand and complete it."), rules.brand, fixed=True,
    ),
    Control(
        Code.NO_CONTENT, Severity.ERROR, _("There is a message"), _("Nothing is written yet."),
        _("Write the message in at least one language."), rules.no_content, fixed=True,
    ),
    Control(
        Code.TEMPLATE, Severity.ERROR, _("The message can be read"), "%(problem)s",
        _("Look at this line: a brace, a quotation mark or a closing word may be missing."), rules.template, fixed=True,
    ),
    Control(
        Code.NO_SUBJECT, Severity.ERROR, _("The message has a subject"), _("There is no subject."),
        _("Write one: it is what people read first."), rules.no_subject,
    ),
    Control(
        Code.RISKY_SUBJECT, Severity.WARNING, _("The subject does not look like spam"),
        _("The subject is all in capitals or has many exclamation marks."),
        _("Write it more quietly: mail programs may take it for spam."), rules.risky_subject,
    ),
    Control(
        Code.EMPTY, Severity.ERROR, _("No part is empty"), _("The part “%(part)s” is empty."),
        _("Write it: some people only see this part."), rules.empty,
    ),
    Control(
        Code.OPT_OUT_LINK, Severity.ERROR, _("Each part has an opt-out link"),
        _("The part “%(part)s” has no opt-out link."), _("Add this to it: %(link)s"), rules.opt_out_link, fixed=True,
    ),
    Control(
        Code.POSTAL_ADDRESS, Severity.ERROR, _("Each part has the postal address of the brand"),
        _("The part “%(part)s” lacks the postal address of the brand."), _("Add this to it: %(address)s"),
        rules.postal_address, fixed=True,
    ),
    Control(
        Code.HTML_CLIPPED, Severity.WARNING, _("Mail programs show the whole message"),
        _("The HTML has %(size)s kB. Gmail cuts off what is longer than 102 kB, and the opt-out link with it."),
        _("Shorten it."), rules.html_clipped,
    ),
    Control(
        Code.HTML_TOO_BIG, Severity.ERROR, _("The message is not too big"),
        _("The HTML has %(size)s kB, which is too much for a message."), _("Shorten it to less than 1,000 kB."),
        rules.html_too_big,
    ),
    Control(
        Code.UNKNOWN_FIELD, Severity.WARNING, _("All fields exist"),
        _("%(part)s, line %(line)s: the field “%(name)s” does not exist, so nothing is shown in its place."),
        "%(nearest)s", rules.unknown_field,
    ),
    Control(
        Code.LINK, Severity.WARNING, _("Links lead somewhere"), _("Links that lead nowhere: %(links)s."),
        _("Give each a whole address, such as https://… or mailto:…"), rules.link,
    ),
    Control(
        Code.ALT_TEXT, Severity.WARNING, _("Pictures have a text instead"),
        _("Pictures without a text instead: %(lines)s."),
        _("Add alt=\"…\" for those who do not see them; alt=\"\" where they only decorate."), rules.alt_text,
    ),
    Control(
        Code.SMS_SEGMENTS, Severity.WARNING, _("The SMS is sent as one message"),
        _("The text is sent, and paid, as %(segments)s messages. %(why)s"), _("Shorten it if you can."),
        rules.sms_segments,
    ),
    Control(
        Code.SMS_TOO_LONG, Severity.ERROR, _("The SMS is not too long"),
        _("The text would take %(segments)s messages, and more than %(most)s are refused. %(why)s"), _("Shorten it."),
        rules.sms_too_long,
    ),
    Control(
        Code.SMS_STOP, Severity.ERROR, _("The SMS says how to leave"), _("The text does not mention STOP."),
        _("Say how people leave, for example “Reply STOP to unsubscribe.”"), rules.sms_stop, fixed=True,
    ),
)  # fmt: skip


def check(delivery: Delivery, severities: Mapping[Code, Severity | None] | None = None) -> list[Finding]:
    """Return what the control rules find in each language of a message, language by language. Three queries.

    `severities` changes how severe rules are, where they are not fixed; None switches a rule off. Without it the
    sending rules of the delivery say so.
    """
    return _find(delivery, list(delivery.contents.all()), severities)


def check_texts(
    delivery: Delivery, language: str, subject: str, html: str, text: str,
    severities: Mapping[Code, Severity | None] | None = None,
) -> list[Finding]:  # fmt: skip
    """Return what the control rules find in texts that may not be saved, of one language. Two queries."""
    content = DeliveryContent(delivery=delivery, language=language, subject=subject, html=html, text=text)
    return _find(delivery, [content], severities)


def severities_of(delivery: Delivery) -> dict[Code, Severity | None]:
    """Return how severe the sending rules of a delivery make rules; None: off. The first about a rule counts."""
    found: dict[Code, Severity | None] = {}
    for rule in rules_of(delivery, RuleKind.CONTROL):
        if rule.code in list(Code):
            off = rule.severity == RuleSeverity.OFF
            found.setdefault(Code(rule.code), None if off else Severity(rule.severity))
    return found


def _find(
    delivery: Delivery, contents: list[DeliveryContent], severities: Mapping[Code, Severity | None] | None
) -> list[Finding]:
    if severities is None:
        severities = severities_of(delivery)
    draft = Draft(
        delivery,
        tuple(specimens.draw(delivery, content) for content in contents),
        tuple(CustomField.objects.values_list("name", flat=True)) if contents else (),
    )
    found = [
        control.finding(place, severity)
        for control in CONTROLS
        if (severity := control.severity_under(severities)) is not None
        for place in control.check(draft)
    ]
    languages = ["", *(content.language for content in contents)]
    return sorted(found, key=lambda finding: languages.index(finding.language))
