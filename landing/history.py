"""What happened to somebody's consent, told to themselves: in plain words, in their language, newest first.

The ledger says more than a person needs to read, and some of its labels are for operators. The tables below say the
same for its subject. Neither the operator's name nor their notes are told: those are about the operator.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from profiles.channels import Channel
from profiles.models import Act, ConsentEvent, Service, Source, Wording
from profiles.texts import pick

AT_MOST = 50
# Several profiles of one person, and acts with several consequences, make events that read alike.
_READ = 4 * AT_MOST
_STOPPED = {
    Channel.EMAIL: gettext_lazy("Emails stopped"),
    Channel.SMS: gettext_lazy("Text messages stopped"),
    Channel.PUSH: gettext_lazy("Notifications stopped"),
    Channel.DIRECT_MAIL: gettext_lazy("Letters stopped"),
    Channel.PHONE: gettext_lazy("Calls stopped"),
    None: gettext_lazy("Messages of every kind stopped"),
}
# Where everything was off and one channel is wanted again, the others are noted as off one by one.
_STILL_OFF = {
    Channel.EMAIL: gettext_lazy("Emails stay off"),
    Channel.SMS: gettext_lazy("Text messages stay off"),
    Channel.PUSH: gettext_lazy("Notifications stay off"),
    Channel.DIRECT_MAIL: gettext_lazy("Letters stay off"),
    Channel.PHONE: gettext_lazy("Calls stay off"),
}
_ALLOWED = {
    Channel.EMAIL: gettext_lazy("Emails allowed again"),
    Channel.SMS: gettext_lazy("Text messages allowed again"),
    Channel.PUSH: gettext_lazy("Notifications allowed again"),
    Channel.DIRECT_MAIL: gettext_lazy("Letters allowed again"),
    Channel.PHONE: gettext_lazy("Calls allowed again"),
    None: gettext_lazy("No longer off as a whole: channel by channel from now on"),
}
_OF_A_SERVICE = {
    Act.SUBSCRIBE: gettext_lazy("Subscribed to “%(service)s”"),
    Act.UNSUBSCRIBE: gettext_lazy("Unsubscribed from “%(service)s”"),
    Act.EXPIRE: gettext_lazy("The subscription to “%(service)s” ended by itself"),
    Act.OPT_IN: gettext_lazy("An earlier stop of “%(service)s” was taken back"),
}
_OF_THIS_ADDRESS = {
    Act.QUARANTINE: gettext_lazy("This address is no longer written to"),
    Act.RELEASE: gettext_lazy("This address is written to again"),
}
_OF_ANOTHER_ADDRESS = {
    Act.QUARANTINE: gettext_lazy("Another address of yours is no longer used"),
    Act.RELEASE: gettext_lazy("Another address of yours is used again"),
}
_ORIGINS = {
    Source.LANDING_PAGE: gettext_lazy("on one of our pages"),
    Source.PREFERENCES: gettext_lazy("on your preferences page"),
    Source.ONE_CLICK: gettext_lazy("with the unsubscribe button of a mail program"),
    Source.MAILTO: gettext_lazy("by a message asking us to stop"),
    Source.OPERATOR: gettext_lazy("by our team"),
    Source.API: gettext_lazy("by another of our systems"),
    Source.IMPORT: gettext_lazy("from a list that we were given"),
    Source.SMS_STOP: gettext_lazy("by the answer STOP to a text message"),
    Source.COMPLAINT: gettext_lazy("after a message was reported as unwanted"),
    Source.BOUNCE: gettext_lazy("after a message came back"),
    Source.WEBHOOK: gettext_lazy("as our mail provider told us"),
    Source.ERASURE: gettext_lazy("because of an earlier request for this address"),
    Source.SYSTEM: gettext_lazy("automatically"),
}


@dataclass(frozen=True, slots=True)
class Happened:
    """One line of the history: when, what, from where, and the text that was shown, where there was one."""

    at: datetime
    what: str
    origin: str
    told: str = ""


def events_of(people: Collection[int], digests: Collection[bytes]) -> QuerySet[ConsentEvent]:
    """Return what the ledger has about some profiles and addresses."""
    return ConsentEvent.objects.filter(Q(profile_id__in=people) | Q(digest__in=digests))


def read(people: Collection[int], digests: Collection[bytes], *, proven: bytes) -> list[Happened]:
    """Return what happened to somebody, newest first, in the active language: three queries however much it is.

    `proven` is the digest of the address whose owner reads it.
    """
    events = list(events_of(people, digests).order_by("-pk")[:_READ])
    services = Service.objects.in_bulk({event.service_id for event in events if event.service_id})
    texts = Wording.objects.in_bulk({event.wording_id for event in events if event.wording_id})
    by_channel = {event.at for event in events if event.act == Act.OPT_IN and not (event.channel or event.service_id)}

    def line(event: ConsentEvent) -> Happened:
        service = services.get(event.service_id or 0)
        name = (pick(service.label) if service else "") or event.service_name
        shown = texts.get(event.wording_id or 0)
        origin = _ORIGINS.get(Source(event.source)) if event.source in Source.values else None
        what = _what(event, name, proven=proven, still=event.at in by_channel)
        return Happened(event.at, what, str(origin or ""), shown.text if shown else "")

    return list(_once(events, line))[:AT_MOST]


def _once(events: Collection[ConsentEvent], line: Callable[[ConsentEvent], Happened]) -> Iterator[Happened]:
    """Yield lines, newest first, each once: people with several profiles have one story."""
    seen: set[tuple[timedelta | datetime, str, str]] = set()
    for event in events:
        found = line(event)
        key = found.at, found.what, found.origin
        if key not in seen:
            seen.add(key)
            yield found


def _what(event: ConsentEvent, service: str, *, proven: bytes, still: bool) -> str:
    """Return the words for an act. `still`: written beside the end of an opt-out of everything."""
    act, channel = Act(event.act), Channel(event.channel) if event.channel else None
    if act in (Act.QUARANTINE, Act.RELEASE):
        own = event.digest is not None and bytes(event.digest) == proven
        return str((_OF_THIS_ADDRESS if own else _OF_ANOTHER_ADDRESS)[act])
    if event.service_id and act in _OF_A_SERVICE:
        return _OF_A_SERVICE[act] % {"service": service}
    if act == Act.OPT_OUT:
        return str(_STILL_OFF[channel] if still and channel else _STOPPED[channel])
    if act == Act.OPT_IN:
        return str(_ALLOWED[channel])
    return _("Agreement given") if act == Act.AGREEMENT else _("The origin of your data was noted")
