"""Everything that happened to a person, newest first: consent, addresses, bounces, deliveries, changes; merged.

Each of the sources is read by its own key below where the last page ended (`Cursor`), so that a page costs
the same however long the story is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from deliveries import explain
from deliveries.explain import Explained
from deliveries.models import AnalysisRun, Delivery, LogStatus
from profiles.models import Act, Address, ConsentEvent, Profile, Source
from quarantine.models import QuarantinedAddress, QuarantineEvent, Status

SIZE = 20
# What a story is made of, and how the filters call it; the order is that of the keys of a `Cursor`.
KINDS = {
    "consent": gettext_lazy("Consent"),
    "address": gettext_lazy("Addresses left out"),
    "bounce": gettext_lazy("Messages that came back"),
    "delivery": gettext_lazy("Deliveries"),
    "edit": gettext_lazy("Changes in the back-office"),
}
_CAME_BACK = Q(source=Source.BOUNCE)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ends in each source: the key of the last row shown; None when none was shown yet."""

    consent: int | None = None
    address: int | None = None
    bounce: int | None = None
    delivery: int | None = None
    edit: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``12-0-0-7-0`` (0: none yet); anything else is the beginning."""
        parts = text.split("-")
        if len(parts) != len(KINDS) or not all(part.isdecimal() and len(part) < 18 for part in parts):
            return cls()
        return cls(*(int(part) or None for part in parts))

    def __str__(self) -> str:
        return "-".join(str(getattr(self, kind) or 0) for kind in KINDS)


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the story: when, what, from where, by whom, with what remark, and what it leads to."""

    at: datetime
    what: str
    source: str = ""
    by: str = ""
    note: str = ""
    kind: str = "consent"
    key: int = 0
    subject: int | None = None


def read(profile: int, cursor: Cursor, kind: str = "") -> tuple[list[Moment], Cursor | None]:
    """Return a page of the story, or of one kind of it, and where the next one starts (None: the story ends here)."""
    moments: list[Moment] = []
    for source in [kind] if kind in KINDS else KINDS:
        moments += _SOURCES[source](profile, getattr(cursor, source))
    moments.sort(key=lambda moment: (moment.at, moment.kind, moment.key), reverse=True)
    page = moments[:SIZE]
    if len(moments) <= SIZE:
        return page, None
    for moment in page:
        cursor = replace(cursor, **{moment.kind: moment.key})
    return page, cursor


def _consent(profile: int, before: int | None) -> list[Moment]:
    events = ConsentEvent.objects.filter(profile_id=profile)
    if before is not None:
        events = events.filter(pk__lt=before)
    return [
        Moment(
            event.at, _what(event), event.get_source_display(), event.actor_name, event.reason or event.delivery_name,
            "consent", event.pk, event.pk,
        )
        for event in events.order_by("-pk")[: SIZE + 1]
    ]  # fmt: skip


def _what(event: ConsentEvent) -> str:
    words = {"act": event.get_act_display(), "detail": event.service_name or event.get_channel_display()}
    if words["detail"]:
        return _("%(act)s: %(detail)s") % words
    return _("%(act)s: every channel") % words if event.act in (Act.OPT_OUT, Act.OPT_IN) else words["act"]


def _addresses(profile: int, before: int | None) -> list[Moment]:
    return _of_entries(profile, before, "address", ~_CAME_BACK)


def _bounces(profile: int, before: int | None) -> list[Moment]:
    return _of_entries(profile, before, "bounce", _CAME_BACK)


def _of_entries(profile: int, before: int | None, kind: str, which: Q) -> list[Moment]:
    held = list(Address.objects.filter(profile=profile))
    entries = entries_of(held)
    if not entries:
        return []
    # As the person has it: an entry that outlived the erasure of somebody holds no address any more.
    as_held = {(address.channel, bytes(address.digest)): address.value for address in held}
    values = {entry.pk: as_held.get((entry.channel, bytes(entry.digest)), str(entry)) for entry in entries}
    events = QuarantineEvent.objects.filter(which, entry_id__in=values)
    if before is not None:
        events = events.filter(pk__lt=before)
    return [
        Moment(
            event.at, _("%(address)s: %(state)s") % {"address": values[event.entry_id], "state": _state(event)},
            event.source_label, event.actor_name, event.note or _wrong(event), kind, event.pk, event.entry_id,
        )
        for event in events.order_by("-pk")[: SIZE + 1]
    ]  # fmt: skip


def _wrong(event: QuarantineEvent) -> str:
    return str(event.get_reason_display()) if event.reason else ""


def _edits(profile: int, before: int | None) -> list[Moment]:
    """Return who changed the profile in the back-office, and which fields: the admin's own history."""
    kind = ContentType.objects.get_for_model(Profile)
    entries = LogEntry.objects.filter(content_type=kind, object_id=str(profile)).select_related("user")
    if before is not None:
        entries = entries.filter(pk__lt=before)
    return [
        Moment(
            entry.action_time, _("Profile added") if entry.is_addition() else _("Profile changed"),
            str(Source.OPERATOR.label), entry.user.get_username(), entry.get_change_message(), "edit", entry.pk,
        )
        for entry in entries.order_by("-pk")[: SIZE + 1]
    ]  # fmt: skip


def _state(event: QuarantineEvent) -> str:
    if event.after != Status.QUARANTINED:
        return event.get_after_display()
    return _("left out (%(cause)s)") % {"cause": event.get_cause_display()}


def _deliveries(profile: int, before: int | None) -> list[Moment]:
    history = explain.history(profile, before=before, limit=SIZE + 1)
    labels = labels_of(history)
    moments_of = dates_of(history)
    return [
        Moment(
            moments_of[one.row.pk],
            _("%(delivery)s: %(state)s") % {"delivery": labels.get(one.row.delivery_id, "?"), "state": outcome(one)},
            kind="delivery", key=one.row.delivery_id, subject=one.row.delivery_id,
        )
        for one in history
        if one.row.pk in moments_of
    ]  # fmt: skip


_SOURCES: dict[str, Callable[[int, int | None], list[Moment]]] = {
    "consent": _consent,
    "address": _addresses,
    "bounce": _bounces,
    "delivery": _deliveries,
    "edit": _edits,
}


def outcome(one: Explained) -> str:
    """Say what became of a message: its status, and the rule when it was left out."""
    status = str(LogStatus(one.row.status).label)
    return _("%(status)s: %(rule)s") % {"status": status, "rule": one.reason.label} if one.reason else status


def labels_of(history: Sequence[Explained]) -> dict[int, str]:
    return dict(Delivery.objects.filter(pk__in={one.row.delivery_id for one in history}).values_list("pk", "label"))


def dates_of(history: Sequence[Explained]) -> dict[int, datetime]:
    """Return log row → when it was sent or left out: at hand-off, else when its analysis ran."""
    runs = dict(AnalysisRun.objects.filter(pk__in={one.row.run_id for one in history}).values_list("pk", "at"))
    dates = {one.row.pk: one.row.finished_at or runs.get(one.row.run_id) for one in history}
    return {pk: at for pk, at in dates.items() if at}


def entries_of(held: Sequence[Address]) -> list[QuarantinedAddress]:
    """Return what is known of these addresses, left out or not."""
    digests = {bytes(address.digest) for address in held}
    channels = {address.channel for address in held}
    return list(QuarantinedAddress.objects.filter(channel__in=channels, digest__in=digests)) if digests else []
