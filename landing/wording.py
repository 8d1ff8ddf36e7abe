"""What a public page says: the marketer's texts where there are some, else ours, in the language of the visitor.

Pages made by default hold no texts, so that they are right in every language, also in one added later.
"""

from dataclasses import dataclass, replace

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from profiles.channels import Channel
from profiles.texts import own, pick

from .models import Content, Kind, LandingPage


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of a page in one language. `agreement` is empty where there is nothing to tick."""

    title: str
    introduction: str
    agreement: str
    button: str
    duration: str = ""

    @property
    def shown(self) -> str:
        """Return what people read before they acted, for the ledger."""
        return "\n\n".join(text for text in (self.title, self.introduction, self.duration, self.agreement) if text)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a page says once its form has been received."""

    title: str
    text: str
    advice: str = ""


def words(page: LandingPage, content: Content) -> Words:
    """Return the texts of a page in the active language; `content` is a version, or the page for its draft."""
    title, introduction, button = _defaults(page)
    return Words(
        title=own(content.title) or title,
        introduction=own(content.introduction) or introduction,
        agreement="" if page.is_opt_out or page.kind == Kind.PREFERENCES else pick(content.agreement),
        button=button,
        duration=duration(page),
    )


def duration(page: LandingPage) -> str:
    """Return how long a subscription by the page lasts; nothing where it does not end by itself."""
    days = page.service.validity_days if page.service and page.kind == Kind.SUBSCRIPTION else None
    if not days:
        return ""
    return ngettext("It ends by itself after %(days)d day.", "It ends by itself after %(days)d days.", days) % {
        "days": days
    }


def outcome(page: LandingPage, content: Content) -> Outcome:
    """Return what is said to everybody who sent the form, whoever they are.

    The marketer's words replace ours, but for what people still have to do, or may still receive.
    """
    thanks, title = own(content.thanks_text), own(content.thanks_title)
    usual = _outcome(page, content)
    if not thanks:
        return replace(usual, title=title or usual.title)
    if page.is_opt_out:
        return Outcome(title or usual.title, thanks, _("A message already leaving may still arrive."))
    return replace(usual, title=title or usual.title, text=f"{thanks}\n\n{usual.text}" if usual.advice else thanks)


def closed(page: LandingPage, content: Content) -> str:
    """Return what is said to those who come once a page takes no more requests."""
    return own(content.closed_text) or _("It no longer takes requests. If you need anything, write to us.")


def whole_channel(channel: Channel, brand: str) -> str:
    """Return the choice that stops one channel, as a whole sentence: languages do not build it alike."""
    sentences = {
        Channel.EMAIL: _("Stop all emails from %(brand)s"),
        Channel.SMS: _("Stop all text messages from %(brand)s"),
        Channel.PUSH: _("Stop all notifications from %(brand)s"),
        Channel.DIRECT_MAIL: _("Stop all letters from %(brand)s"),
        Channel.PHONE: _("Stop all calls from %(brand)s"),
    }
    return sentences[channel] % {"brand": brand}


def lift(channel: Channel, brand: str) -> str:
    """Return the words of the box that lifts an earlier opt-out from one channel."""
    sentences = {
        Channel.EMAIL: _("I would like to receive emails from %(brand)s again."),
        Channel.SMS: _("I would like to receive text messages from %(brand)s again."),
        Channel.PUSH: _("I would like to receive notifications from %(brand)s again."),
        Channel.DIRECT_MAIL: _("I would like to receive letters from %(brand)s again."),
        Channel.PHONE: _("I would like to receive calls from %(brand)s again."),
    }
    return sentences[channel] % {"brand": brand}


def _outcome(page: LandingPage, content: Content) -> Outcome:
    if page.kind == Kind.UNSUBSCRIPTION and page.service:
        text = _("“%(service)s” no longer goes to this address. A message already leaving may still arrive.")
        return Outcome(_("Done."), text % {"service": pick(page.service.label)})
    if page.is_opt_out:
        return Outcome(_("Done."), _("Messages to this address stop. A message already leaving may still arrive."))
    if page.kind == Kind.PREFERENCES:
        return Outcome(
            _("Look in your mailbox"),
            _("If we know this address, a message with your link is on its way. The link is valid for one hour."),
            _("No message after a few minutes? Look among unwanted messages. A few messages a day are sent at most."),
        )
    if not content.double_opt_in:
        return Outcome(_("Thank you."), _("Your request has been noted. It takes effect within a few minutes."))
    return Outcome(
        _("One last step: look in your mailbox"),
        _("A message is on its way to the address that you gave. Press the button in it to confirm.")
        + " "
        + _("It stays valid for %(hours)d hours, and nothing is recorded until then.")
        % {"hours": settings.CONFIRMATION_HOURS},
        _("No message after a few minutes? Look among unwanted messages. One message a day is sent at most."),
    )


def _defaults(page: LandingPage) -> tuple[str, str, str]:
    names = {"brand": page.brand.name, "service": pick(page.service.label) if page.service else ""}
    texts = {
        Kind.OPT_IN: (
            _("Hear from %(brand)s"),
            _("Give your address to receive our messages. You can stop them at any time, in one press."),
            _("Receive messages"),
        ),
        Kind.SUBSCRIPTION: (
            _("Subscribe to “%(service)s”"),
            pick(page.service.description) if page.service else "",
            _("Subscribe"),
        ),
        Kind.UNSUBSCRIPTION: (
            _("Unsubscribe from “%(service)s”"),
            _("Give the address that receives these messages, and they stop."),
            _("Unsubscribe"),
        ),
        Kind.OPT_OUT_ALL: (
            _("Stop all messages from %(brand)s"),
            _("Give the address that receives our messages, and all of them stop, of every kind."),
            _("Stop all messages"),
        ),
        Kind.PREFERENCES: (
            _("Your preferences"),
            _("Give your address: we send you a link by which you choose what you receive."),
            _("Send me the link"),
        ),
    }
    title, introduction, button = texts[Kind(page.kind)]
    return title % names, introduction, button
