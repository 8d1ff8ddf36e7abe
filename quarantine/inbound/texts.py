"""Find whom a notice is about, in the formats of mail systems that write for people (`notices`), and why.

An address may stand in several places of a notice. Those where formats put the failed one come first; those where it
may be anybody's (the sender, a postmaster to ask) are looked at last, or not at all.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from ..phrases import fold, holds
from . import addresses
from .notices import ANSWER, ASKED, COMMAND, LABELS, OPENINGS, OVER, PLAIN, REASONS, WRITER, X400, begins_list, is_label

_LINES, _LONGEST = 400, 500  # lines of a notice that are read, and characters of one
_BEGINNING = 1_500  # characters in which a notice says what it is
_FOLLOWING = 14  # lines after an address that may say what was wrong
_SURE = 2  # the rank up to which the format itself says that an address is meant
MOST = 100  # addresses of a notice

_BEFORE = re.compile(r"^[\s<>\"'*=•·\-–(\[|:»„“]*$")
_AFTER = re.compile(r"^[\s<>\"':;,.)\]|»”“\-]*$")
_NOBODY = re.compile(
    r"(?:mailer-?daemon|post-?master|abuse|no-?reply|do-?not-?reply|hostmaster|mail-?daemon|mdaemon|help-?desk|support"
    r"|technik|webmaster|mailmaster|bounces?|spam|unblock|removeme|delist)(?:[+._-].*)?@|@(?:example|domain)$"
)
_OF_SERVER = re.compile(r"[45]\d\d[ -]|<<<")
_NOT_A_NAME = re.compile(r"[:@=]|\bto\b|\d{3}")
_BAR = re.compile(r"[-=_*]{4,}")
_NAME = re.compile(r"[ \t]{1,40}<?([A-Za-z0-9][\w.+-]{1,63})>?(?:[ \t]{1,20}\([^()]{0,100}\))?")
_ORIGINAL = re.compile(r"original[ -](?:address|recipient)[ ]?[:=]? ?[<\"']*$")
_ACTUAL = re.compile(r"actual[ -](?:address|recipient)[ ]?[:=]? ?[<\"']*$")
_GENERATED = re.compile(r"(?:generated|expanded) (?:from|by):? ?<?([^\s<>()]{1,64}@[^\s<>()]{1,255})")


@dataclass(slots=True)
class Entry:
    """An address that a notice names, how surely (0: the format says so), and what is said beside it."""

    address: str
    rank: int
    line: int
    words: list[str] = field(default_factory=list)

    @property
    def diagnostic(self) -> str:
        return " ".join(self.words)


def opens(notice: str, *, at_once: bool = False) -> bool:
    """Say whether a text begins as the notice of a mail system does; `at_once`: in its first paragraph."""
    beginning = notice[:_BEGINNING]
    if at_once:
        beginning = beginning.strip().partition("\n\n")[0]
    return holds(fold(beginning), OPENINGS)


def complains(notice: str) -> bool:
    """Say whether a text holds what mail systems say of an address."""
    return holds(fold(notice[:_BEGINNING]), REASONS)


def find(notice: str, *, ours: Collection[str], receivers: Collection[str]) -> list[Entry]:
    """Return whom a notice is about.

    `ours` are addresses of the sender in small letters: they are named in passing. `receivers` are those that the
    returned message was to.
    """
    lines = [line[:_LONGEST] for line in notice.split("\n")[:_LINES]]
    found = [entry for entry in _entries(lines) if entry.rank <= _SURE or _may_be_meant(entry)]
    strangers = [entry for entry in found if entry.address.lower() not in ours]
    chosen = (_best(strangers, receivers) or _best([entry for entry in found if entry.rank <= _SURE], receivers))[:MOST]
    named = {entry.line for entry in found if entry.rank <= _SURE}
    answers = [line.strip() for line in lines if ANSWER.search(line.lower())] if chosen else []
    for entry in chosen:
        entry.words += _said_below(lines, entry, named)
        if not ANSWER.search(entry.diagnostic):
            name = entry.address.lower()
            entry.words += [line for line in answers if name in line.lower()][:3] or answers[:2]
    return list({entry.address.lower(): entry for entry in reversed(chosen)}.values())[::-1]


def _may_be_meant(entry: Entry) -> bool:
    return entry.rank < 8 and not _NOBODY.match(entry.address.lower())


def names(notice: str) -> list[str]:
    """Return the local parts that a notice lists without their domain, each alone on a line."""
    found: list[str] = []
    listing = False
    for line in notice.split("\n")[:-1][:_LINES]:  # the last one may have been cut off
        match = _NAME.fullmatch(line[:_LONGEST].rstrip()) if listing else None
        if match:
            found.append(match[1])
        elif line.strip():
            listing = begins_list(fold(line[:_LONGEST]))
    return found[:MOST]


def _best(entries: list[Entry], receivers: Collection[str]) -> list[Entry]:
    """Return the entries of the surest place; among uncertain ones, those that the message was sent to."""
    if not entries:
        return []
    best = max(min(entry.rank for entry in entries), _SURE)
    chosen = [entry for entry in entries if entry.rank <= best]
    if best in (3, 6, 7) and len({entry.address.lower() for entry in chosen}) > 1:
        known = [entry for entry in entries if entry.rank >= best and entry.address.lower() in receivers]
        return known or (chosen if best == 3 else chosen[:1] if best == 6 else [])
    return chosen


def _entries(lines: list[str]) -> list[Entry]:
    """Return every address with the rank of its place."""
    found: list[Entry] = []
    listing, indent, since = False, -1, 0
    for number, line in enumerate(lines):
        if "@" not in line:
            folded = fold(line)
            if listing and OVER.match(folded):
                listing = False
            elif folded and begins_list(folded):
                listing, indent, since = True, -1, number
            continue
        places = list(_places(line))
        if not places:
            continue
        start, end, address = places[0]
        before, after = line[:start], line[end:]
        width = len(line) - len(line.lstrip())
        same = all(other.lower() == address.lower() for _s, _e, other in places)
        asked = number > 0 and not before.strip() and ASKED.search(fold(lines[number - 1])) is not None
        rank = 8 if asked else _rank(before, after, alone=same and _is_alone(line, places))
        if listing and 2 <= rank <= 4 and (indent < 0 or width <= indent) and number - since < 60:
            indent, rank = (width if indent < 0 else indent), 1
        generated = _GENERATED.search(line)
        if generated and (origin := addresses.tidy(generated[1])):
            address, rank = origin, min(rank, 1)
        folded = fold(before)
        if rank > _SURE and before.rstrip().endswith(":") and begins_list(folded.rpartition(". ")[2]):
            rank = 1
        if found and number - found[-1].line <= 2 and _ACTUAL.search(folded):
            continue  # where it was passed on to: not whom we wrote to
        if found and number - found[-1].line <= 2 and _ORIGINAL.search(folded):
            found[-1].address = address  # what we wrote to, before it was rewritten
            continue
        words = [before.strip(), after.strip()] if rank in (0, 6) else [after.strip(" \t<>\"':;,")]
        found.append(Entry(address, rank, number, [word for word in words if word]))
        found += _others(line, places, rank, number)
        if begins_list(folded):
            listing, indent, since = True, -1, number
    return found


def _others(line: str, places: list[tuple[int, int, str]], rank: int, number: int) -> Iterator[Entry]:
    """Yield the other addresses of a line: as sure as the first where they stand in a row, else never sure."""
    if "," in line and rank in (1, 3):
        yield from (Entry(other, rank, number) for _start, _end, other in places[1:])
    elif rank >= 3:
        for start, _end, other in places[1:]:
            yield Entry(other, max(5, _rank(line[:start], "", alone=False)), number)


def _rank(before: str, after: str, *, alone: bool) -> int:
    """Return how surely an address with this before and after it on its line is meant; 0 is surest, 8 not at all."""
    if COMMAND.search(before):
        return 5
    if X400.search(before):
        return 1
    folded = fold(before)
    if ASKED.search(folded) or WRITER.search(folded):
        return 8
    if alone:
        return 3
    if is_label(folded, PLAIN):
        return 0
    if _BEFORE.match(before):
        return 2 if after.startswith((":", ">:", '":', "'>:", ")")) or _is_answer(after) else 4
    if _OF_SERVER.search(before):
        return 5
    return 6 if is_label(folded, LABELS) else 7


def _is_answer(after: str) -> bool:
    return after.lstrip(">\"'").startswith(("...", " ...", "  (", " (reason", ">:", " [", ": "))


def _is_alone(line: str, places: list[tuple[int, int, str]]) -> bool:
    """Say whether a line holds an address, perhaps twice or with a name, and nothing else."""
    before, after = line[: places[0][0]], line[places[-1][1] :]
    if not _AFTER.match(after):
        return False
    if _BEFORE.match(before):
        return True
    name = before.rstrip()
    return name.endswith(("<", "(", "[")) and len(name) < 60 and not _NOT_A_NAME.search(name)


def _places(line: str) -> Iterator[tuple[int, int, str]]:
    for match in addresses.ADDRESS.finditer(line):
        if address := addresses.tidy(match[0]):
            yield match.start(), match.end(), address


def _said_below(lines: list[str], entry: Entry, others: set[int]) -> list[str]:
    """Return what follows an address, up to the next one or the end of its paragraph."""
    said: list[str] = []
    blank = False
    for number in range(entry.line + 1, min(entry.line + 1 + _FOLLOWING, len(lines))):
        line = lines[number].strip()
        if number in others or _BAR.match(line):
            break
        if not line:
            if said or blank:
                break
            blank = True
            continue
        said.append(line)
    return said
