"""What a control rule is, what it looks at, and what it finds."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from deliveries.models import Delivery, DeliveryContent
from deliveries.specimens import Specimen


class Severity(StrEnum):
    """What comes of a finding: an error keeps the delivery from being sent, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


class Code(StrEnum):
    """The rules by name, as sending rules refer to them."""

    NO_CONTENT = "no_content"
    TEMPLATE = "template"
    NO_SUBJECT = "no_subject"
    RISKY_SUBJECT = "risky_subject"
    EMPTY = "empty"
    OPT_OUT_LINK = "opt_out_link"
    POSTAL_ADDRESS = "postal_address"
    BRAND = "brand"
    HTML_CLIPPED = "html_clipped"
    HTML_TOO_BIG = "html_too_big"
    UNKNOWN_FIELD = "unknown_field"
    LINK = "link"
    ALT_TEXT = "alt_text"
    SMS_SEGMENTS = "sms_segments"
    SMS_TOO_LONG = "sms_too_long"
    SMS_STOP = "sms_stop"


@dataclass(frozen=True, slots=True)
class Draft:
    """What is checked: a message in some of its languages, and the names of the organisation's own fields."""

    delivery: Delivery
    specimens: tuple[Specimen, ...]
    declared: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule does not hold: in which language (None: in the delivery as a whole), and what its words name."""

    content: DeliveryContent | None = None
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Control:
    """One rule. `text` says what is wrong and `remedy` what to do, with the details of a place put in.

    Sending rules may change the severity of one that is not `fixed`.
    """

    code: Code
    severity: Severity
    label: str | Promise
    text: str | Promise
    remedy: str | Promise
    check: Callable[[Draft], Iterator[Place]]
    fixed: bool = False

    def severity_under(self, severities: Mapping[Code, Severity | None]) -> Severity | None:
        """Return how severe the rule is under some sending rules; None: it is switched off."""
        return self.severity if self.fixed else severities.get(self.code, self.severity)

    def finding(self, place: Place, severity: Severity) -> "Finding":
        problem, remedy = str(self.text) % place.details, str(self.remedy) % place.details
        if place.content is None:
            return Finding(self.code, severity, problem, remedy, problem)
        where = {"where": place.content.get_language_display(), "problem": problem}
        return Finding(
            self.code, severity, _("%(where)s: %(problem)s") % where, remedy, problem, place.content.language
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found: `text` is what is wrong and where, `remedy` what to do; `problem` leaves out the language."""

    code: Code
    severity: Severity
    text: str
    remedy: str
    problem: str
    language: str = ""

    @property
    def blocks(self) -> bool:
        return self.severity == Severity.ERROR
