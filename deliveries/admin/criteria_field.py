"""The form field for criteria: people are pointed out by lists and buttons, and nobody writes JSON.

    criteria = CriteriaField(label=_("People"))            in a form that derives from CriteriaForm

The server draws every row. A small script sends the rows as they stand when a button is pressed or a field chosen,
and puts what comes back in their place; without it the same buttons send the whole form, and nothing is saved
(`CriteriaForm` sees to that). The summary below, in words and numbers, follows by itself where there is a script.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from deliveries import audiences, criteria
from deliveries.criteria import CriteriaRefused, Field, Kind, Operator
from deliveries.criteria.values import DAYS, MANY, WITHOUT_VALUE
from profiles.addresses import mask
from profiles.channels import Channel
from profiles.models import Profile

from .criteria_rows import ALL, ANY, NONE, Group, Pressed, Row, of_posted, of_stored

NESTED = 2  # levels of groups that buttons make
SHOWN = 5
TEMPLATES = "admin/deliveries/criteria/"


class CriteriaWidget(forms.Widget):
    """Draws rows, from stored criteria or as they were typed."""

    class Media:
        js = ("deliveries/criteria.js",)

    def __init__(self, attrs: Any = None) -> None:
        super().__init__(attrs)
        self.refused: CriteriaRefused | None = None
        self.at_place: str | None = None
        self.counting = False

    def id_for_label(self, id_: str) -> str:
        """Return nothing: the label names a group of controls."""
        return ""

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return f"{name}--how" not in data

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Group | None:
        if self.value_omitted_from_data(data, files, name):
            return None
        rows, self.at_place = of_posted(data, name)
        self.counting = Pressed.of(data, name) == Pressed("count", "")
        return rows

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        rows = value if isinstance(value, Group) else of_stored(value)
        return render_to_string(
            TEMPLATES + "field.html",
            {
                **drawn(rows, name, focus=self.at_place, refused=self.refused),
                "build_url": reverse("admin:deliveries_criteria_build"),
                "count_url": reverse("admin:deliveries_criteria_count"),
                "summary": summary(rows, at=timezone.now(), sampled=False) if self.counting else None,
            },
        )


class CriteriaField(forms.Field):
    """Criteria as stored JSON; {} means everybody. A refusal is shown at its row."""

    widget = CriteriaWidget

    def __init__(self, *, empty_refused: Any = "", **kwargs: Any) -> None:
        """Take criteria that say nothing, unless `empty_refused` tells why not."""
        super().__init__(**{"required": False, **kwargs})
        self.empty_refused = empty_refused

    def to_python(self, value: Any) -> Any:
        return read_rows(value)[1] if isinstance(value, Group) else value or {}

    def clean(self, value: Any) -> Any:
        try:
            found = self.to_python(value)
        except CriteriaRefused as error:
            self.widget.refused = error
            raise ValidationError(str(error), code="criteria") from error
        posted = value is not None  # a form without the builder leaves the criteria as they are
        if posted and self.empty_refused and criteria.is_everybody(criteria.read(found)):
            raise ValidationError(self.empty_refused, code="empty")
        return found

    def has_changed(self, initial: Any, data: Any) -> bool:
        if data is None:
            return False
        before, after = initial or {}, data
        if isinstance(data, Group):
            known = criteria.fields()
            before, after = of_stored(before).stored(known), data.stored(known)
        return bool(before != after)


class CriteriaForm(forms.ModelForm):
    """A form with criteria: a button of theirs shows it anew, with what was typed, and saves nothing."""

    def is_building(self) -> bool:
        return self.is_bound and any(
            Pressed.of(self.data, self.add_prefix(name))
            for name, field in self.fields.items()
            if isinstance(field, CriteriaField)
        )

    def full_clean(self) -> None:
        super().full_clean()
        if self.is_building():
            self._errors = forms.utils.ErrorDict()
            for field in self.fields.values():
                if isinstance(field, CriteriaField):
                    field.widget.refused = None

    def is_valid(self) -> bool:
        return super().is_valid() and not self.is_building()


def read_rows(rows: Group) -> tuple[criteria.Node, Any]:
    """Return the tree that rows stand for, and how it is stored. Raise CriteriaRefused, with the place of a row."""
    known = criteria.fields()
    if not rows.parts:
        if rows.how == ANY:
            raise CriteriaRefused("", _("Add a condition."))
        return criteria.read({}, known), {}
    if (empty := rows.empty_group()) is not None:
        raise CriteriaRefused(empty, _("Add a condition to this group, or remove the group."))
    for place, row in _rows(rows, ""):
        if not row.field:
            raise CriteriaRefused(place, _("Choose what to look at, or remove the condition."))
    tree = criteria.read(rows.stored(known), known)
    return tree, criteria.write(tree)


def _rows(group: Group, path: str) -> Iterator[tuple[str, Row]]:
    for number, part in enumerate(group.parts, 1):
        place = f"{path}.{number}" if path else str(number)
        if isinstance(part, Row):
            yield place, part
        else:
            yield from _rows(part, place)


# -- drawing ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a drawing of rows goes by."""

    name: str
    known: Mapping[str, Field]
    focus: str | None
    refused: CriteriaRefused | None

    def problem(self, place: str) -> str:
        return self.refused.problem if self.refused and self.refused.where == place else ""

    def row(self, row: Row, place: str) -> dict[str, Any]:
        about = self.known.get(row.field)
        operators = about.operators if about else ()
        chosen = next((one for one in operators if one == row.operator), operators[0] if operators else None)
        return {
            "place": place,
            "id": f"{self.name}-{place}",
            "field": row.field,
            "unknown": bool(row.field) and about is None,
            "groups": _groups(self.known),
            "operators": [(one.value, one.label, one == chosen) for one in operators],
            "control": _control(about, chosen) if about and chosen else "",
            "choices": _choices(about, row.values) if about and about.choices else (),
            "values": [*row.values, "", ""][:2],
            "lines": "\n".join(row.values),
            "problem": self.problem(place),
            "focused": self.focus == place,
        }

    def group(self, group: Group, place: str, depth: int = 0) -> dict[str, Any]:
        parts = []
        for number, part in enumerate(group.parts, 1):
            below = f"{place}.{number}" if place else str(number)
            nested = isinstance(part, Group)
            parts.append(self.group(part, below, depth + 1) if isinstance(part, Group) else self.row(part, below))
            parts[-1]["nested"] = nested
        return {
            "place": place,
            "id": f"{self.name}-{place}",
            "parts": parts,
            "hows": [(how, label, glue, how == group.how) for how, label, glue in _hows()],
            "glue": next(glue for how, _label, glue in _hows() if how == group.how),
            "may_nest": depth < NESTED,
            "problem": self.problem(place),
            "focused": self.focus == place,
        }


def drawn(
    rows: Group, name: str, *, focus: str | None = None, refused: CriteriaRefused | None = None
) -> dict[str, Any]:
    """Return what the templates show of some rows."""
    drawing = Drawing(name, criteria.fields(), focus, refused)
    return {"name": name, "root": drawing.group(rows, "")}


def _hows() -> list[tuple[str, str, str]]:
    """Return the ways to combine conditions: code, words, and the word between two conditions."""
    also, either = pgettext("between conditions", "and"), pgettext("between conditions", "or")
    return [
        (ALL, _("all of these conditions"), also),
        (ANY, _("at least one of these conditions"), either),
        (NONE, _("none of these conditions"), either),
    ]


def _groups(known: Mapping[str, Field]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the fields under the headings of their groups, in their order."""
    found: dict[str, list[tuple[str, str]]] = {}
    for one in known.values():
        found.setdefault(str(one.group), []).append((one.name, str(one.label)))
    return list(found.items())


def _control(about: Field, operator: Operator) -> str:
    """Return which control takes the value of a comparison."""
    if operator in WITHOUT_VALUE:
        return "none"
    if operator in DAYS:
        return "days"
    if operator in MANY:
        return "choices" if about.kind == Kind.CHOICE else "lines"
    kind = about.kind.value if about.kind in (Kind.NUMBER, Kind.DATE) else "text"
    return f"{kind}_pair" if operator == Operator.BETWEEN else kind


def _choices(about: Field, values: list[str]) -> list[tuple[str, str, bool]]:
    """Return the choices as (code, words, chosen), the chosen ones first; one no longer offered stays chosen."""
    offered = {str(code): label for code, label in (about.choices() if about.choices else ())}
    if gone := [text for text in values if text not in offered and text.isdecimal() and len(text) < 19]:
        called = criteria.names(about, [int(text) for text in gone])
        offered = {text: called.get(int(text), _("(no longer there)")) for text in gone} | offered
    found = [(code, label, code in values) for code, label in offered.items()]
    return sorted(found, key=lambda one: not one[2])


# -- the summary --------------------------------------------------------------------------------------------


def summary(rows: Group, *, at: datetime, sampled: bool) -> dict[str, Any]:
    """Say whom rows mean: in words, how many, and a few of them where the reader may see people."""
    try:
        tree, stored = read_rows(rows)
    except CriteriaRefused as error:
        return {"problem": str(error)}
    found: dict[str, Any] = {"words": criteria.describe(stored)}
    found["size"] = audiences.size(tree, at=at)
    found["sample"] = [_shown(one) for one in audiences.sample(tree, at=at, n=SHOWN)] if sampled else []
    return found


def _shown(person: Profile) -> dict[str, Any]:
    """Return a person's name, their address so that only they know it, and where to look at them."""
    addresses = sorted(person.addresses.all(), key=lambda one: (one.channel, one.position))
    first = addresses[0] if addresses else None
    return {
        "name": str(person),
        "address": mask(Channel(first.channel), first.value) if first else "",
        "url": reverse("admin:profiles_profile_change", args=[person.pk]),
    }
