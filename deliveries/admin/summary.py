"""A delivery in words: whom it is for, at which addresses, and what limits it."""

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from deliveries import typologies
from deliveries.criteria import describe
from deliveries.models import Delivery, Target
from profiles.plots import grouped

Fact = tuple[str, str]


def who(delivery: Delivery, number: str = "") -> str:
    """Return whom a delivery is for, on one line, with their number where it is known."""
    words = {"number": number, "service": delivery.service, "audience": delivery.audience, "list": delivery.people_list}
    match delivery.target:
        case Target.SERVICE if number:
            return _("%(number)s subscribers of %(service)s") % words
        case Target.SERVICE:
            return _("Subscribers of %(service)s") % words
        case Target.AUDIENCE if number:
            return _("%(number)s people of the audience “%(audience)s”") % words
        case Target.AUDIENCE:
            return _("The audience “%(audience)s”") % words
        case Target.LIST if number:
            return _("%(number)s people of the list “%(list)s”") % words
        case Target.LIST:
            return _("The list “%(list)s”") % words
    return _("Everybody: %(number)s") % words if number else str(Target.EVERYBODY.label)


def target(delivery: Delivery, number: str = "") -> list[Fact]:
    """Return whom a delivery is for and what limits it, as lines of (what, in words). One query."""
    described = ""
    if delivery.target == Target.AUDIENCE and delivery.audience is not None:
        described = describe(delivery.audience.criteria)
    return [
        (_("To"), who(delivery, number)),
        *([(_("Criteria"), described)] if described else []),
        (_("Channel"), str(delivery.get_channel_display())),
        (_("Addresses"), str(delivery.get_addresses_display())),
        *limits(delivery),
    ]


def limits(delivery: Delivery) -> list[Fact]:
    """Return control group, size limit and sending rules, in words. One query."""
    return [
        (_("Control group"), _control_group(delivery)),
        (_("Limit"), _limit(delivery)),
        (_("Sending rules"), _rules(delivery)),
    ]


def _control_group(delivery: Delivery) -> str:
    if delivery.control_percent:
        share = number_format(delivery.control_percent.normalize())
        return _("%(percent)s%% of those who could get it do not, to compare") % {"percent": share}
    if delivery.control_count:
        number = delivery.control_count
        told = ngettext(
            "%(n)s person who could get it does not, to compare",
            "%(n)s people who could get it do not, to compare",
            number,
        )
        return told % {"n": grouped(number)}
    return _("No control group")


def _limit(delivery: Delivery) -> str:
    if delivery.size_limit is None:
        return _("No limit")
    told = ngettext("At most %(n)s message, drawn by lot", "At most %(n)s messages, drawn by lot", delivery.size_limit)
    return told % {"n": grouped(delivery.size_limit)}


def _rules(delivery: Delivery) -> str:
    if delivery.typology is not None:
        return str(delivery.typology)
    usual = typologies.default()
    return _("The usual ones (%(name)s)") % {"name": usual} if usual else _("No rules of your own")
