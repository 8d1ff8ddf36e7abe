"""Criteria as a form shows them: groups and rows, read from what is stored or posted, and changed by buttons.

    rows = of_stored(audience.criteria)
    rows = of_posted(request.POST, "criteria")     the buttons pressed in it are obeyed: see `Pressed`
    rows.stored(criteria.fields())                 JSON again, as complete or not as it was typed

Each control is named by its place, counted from one: "criteria-2.1-field" is the field of the first row of a group
that stands second. That is also how CriteriaRefused says where something is wrong. "None of these" is stored as
`not` over `any`; a `not` over anything else is shown as none of that one thing.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deliveries.criteria import Field, Kind, Operator
from deliveries.criteria.values import DAYS, MANY, WITHOUT_VALUE

ALL, ANY, NONE = "all", "any", "none"
DEEPEST = 5  # groups posted; what criteria take is checked when they are read
MOST = 100  # parts of one group posted
_PATH = re.compile(r"(\d{1,3}(\.\d{1,3}){0,8})?\Z")


@dataclass(slots=True)
class Row:
    """One condition as typed: `values` are texts, as many as there are controls with something in them."""

    field: str = ""
    operator: str = ""
    values: list[str] = dataclasses.field(default_factory=list)

    def stored(self, known: Mapping[str, Field]) -> Any:
        return {"field": self.field, "op": self.operator, "value": self._value(known.get(self.field))}

    def _value(self, about: Field | None) -> Any:
        """Return the value as JSON; what is no number, say, stays a text, which reading it then refuses."""
        texts = [one.strip() for one in self.values]
        if self.operator in WITHOUT_VALUE or about is None:
            return None
        if self.operator in MANY:
            if about.kind == Kind.TEXT:
                return [line.strip() for text in texts for line in text.splitlines() if line.strip()]
            codes = {str(code): code for code, _label in (about.choices() if about.choices else ())}
            return [codes.get(text, int(text) if _is_number(text) else text) for text in texts]
        first, second = [*texts, "", ""][:2]
        if self.operator == Operator.BETWEEN:
            return [_plain(about.kind, first), _plain(about.kind, second)]
        return _plain(Kind.NUMBER if self.operator in DAYS else about.kind, first)


@dataclass(slots=True)
class Group:
    """Conditions and groups of them, of which all hold, any, or none."""

    how: str = ALL
    parts: list["Row | Group"] = dataclasses.field(default_factory=list)

    def stored(self, known: Mapping[str, Field]) -> Any:
        parts = [one.stored(known) for one in self.parts]
        return {"all": parts} if self.how == ALL else {"any": parts} if self.how == ANY else {"not": {"any": parts}}

    def at(self, path: str) -> "Row | Group | None":
        """Return what stands at a place; None where there is nothing."""
        found: Row | Group = self
        for number in filter(None, path.split(".")):
            if not isinstance(found, Group) or not 1 <= int(number) <= len(found.parts):
                return None
            found = found.parts[int(number) - 1]
        return found

    def empty_group(self, path: str = "") -> str | None:
        """Return the place of the first group below the top with nothing in it."""
        for number, part in enumerate(self.parts, 1):
            if isinstance(part, Group):
                place = _below(path, number)
                if not part.parts:
                    return place
                if (found := part.empty_group(place)) is not None:
                    return found
        return None

    def rows(self) -> Iterator[Row]:
        for part in self.parts:
            if isinstance(part, Row):
                yield part
            else:
                yield from part.rows()


# -- from what is stored ------------------------------------------------------------------------------------


def of_stored(stored: Any) -> Group:
    """Return stored criteria as rows, whatever they are: what cannot be read becomes a row to be chosen anew."""
    if stored in ({}, None):
        return Group()
    found = _part(stored)
    return found if isinstance(found, Group) else Group(parts=[found])


def _part(stored: Any) -> Row | Group:
    match stored:
        case {"all": list() as parts}:
            return Group(ALL, [_part(one) for one in parts])
        case {"any": list() as parts}:
            return Group(ANY, [_part(one) for one in parts])
        case {"not": {"any": list() as parts}}:
            return Group(NONE, [_part(one) for one in parts])
        case {"not": part}:
            return Group(NONE, [_part(part)])
        case {"field": str() as name, "op": str() as operator, **rest}:
            return Row(name, operator, _texts(operator, rest.get("value")))
    return Row()


def _texts(operator: str, value: Any) -> list[str]:
    if isinstance(value, list):
        return [str(one) for one in value]
    return [] if value is None else [str(value)]


# -- from what is posted ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pressed:
    """A button of the builder: what it does, and the place it is about.

    row, group: add one to the group there. drop: take away what is there. show: only look again.
    """

    act: str
    path: str

    @classmethod
    def of(cls, data: Any, name: str) -> "Pressed | None":
        text = data.get(f"{name}-do")
        if text is None:
            return None
        act, _colon, path = text.partition(":")
        return cls(act, path if _PATH.match(path) else "")


def of_posted(data: Any, name: str) -> tuple[Group, str | None]:
    """Return the rows of a form that was sent, after the button pressed in it, and the place to go on from, if any."""
    rows = _posted_group(data, name, "", 0)
    pressed = Pressed.of(data, name)
    return rows, _press(rows, pressed) if pressed else None


def _posted_group(data: Any, name: str, path: str, depth: int) -> Group:
    how = data.get(f"{name}-{path}-how", ALL)
    found = Group(how if how in (ALL, ANY, NONE) else ALL)
    for number in range(1, MOST + 1):
        place = _below(path, number)
        if f"{name}-{place}-field" in data:
            found.parts.append(_posted_row(data, f"{name}-{place}"))
        elif f"{name}-{place}-how" in data and depth < DEEPEST:
            found.parts.append(_posted_group(data, name, place, depth + 1))
        else:
            break
    return found


def _posted_row(data: Any, name: str) -> Row:
    chosen = data.get(f"{name}-field", "")
    if data.get(f"{name}-was", chosen) != chosen:
        return Row(chosen)  # the comparison and the values were of another field
    return Row(chosen, data.get(f"{name}-op", ""), data.getlist(f"{name}-value"))


def _press(rows: Group, pressed: Pressed) -> str | None:
    """Do what a button says; return the place that the next thing to do is at."""
    there = rows.at(pressed.path)
    if pressed.act in ("row", "group") and isinstance(there, Group) and len(there.parts) < MOST:
        there.parts.append(Row() if pressed.act == "row" else Group(ANY, [Row()]))
        return _below(pressed.path, len(there.parts))
    if pressed.act == "drop" and there is not None and pressed.path:
        above, _dot, number = pressed.path.rpartition(".")
        parts = group.parts if isinstance(group := rows.at(above), Group) else []
        del parts[int(number) - 1]
        # What took its place, else the last one; else the group itself.
        return _below(above, min(int(number), len(parts))) if parts else above
    return pressed.path or None


def _below(path: str, number: int) -> str:
    return f"{path}.{number}" if path else str(number)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


def _plain(kind: Kind, text: str) -> Any:
    """Return a number as one; a decimal comma is understood."""
    if kind != Kind.NUMBER:
        return text
    try:
        number = float(text.replace(",", ".").replace("\u00a0", "").replace("\u202f", ""))
    except ValueError:
        return text
    return int(number) if number.is_integer() and abs(number) < 1e15 else number
