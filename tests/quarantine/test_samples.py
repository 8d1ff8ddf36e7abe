"""Messages that come back are understood as well as is promised, and the samples of them keep to their own rules."""

import re
from collections import Counter
from pathlib import Path

import pytest

from quarantine.inbound.reports import understand
from quarantine.models import Reason, ReportKind
from tests.quarantine import measures
from tests.quarantine.corpus import HOME, samples
from tests.quarantine.mutants import cut_copies

# RFC 2606, RFC 6761, and the example domain of AFNIC.
RESERVED = re.compile(
    r"(^|\.)(example|test|invalid|localhost|example\.(com|net|org|fr))[.-]*$|^ims-ms-daemon$", re.IGNORECASE
)
ADDRESS = re.compile(r"[\w.+=-]+@([\w-]+(?:\.[\w-]+)*)")
STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
FAILURES = {"", "hard", "soft", "ignored"}
RETURN_PATH = re.compile(rb"[A-Za-z0-9=_+-]+@bounces\.example(?:\.org)?")
SIGNED = b"abcdefghijklmnopqrstuvwxyz234567abcdefgh"  # what a signed one looks like: see profiles.tokens
IDENTIFIERS = re.compile(r"(?im)^(?:X-Original-)?Message-ID:\s*<([^>]+)>")
FILES = sorted(HOME.rglob("*.txt"))


def test_reports_are_understood_as_well_as_is_promised() -> None:
    looked_at = measures.all_votes()
    lines, broken = measures.table(looked_at)
    assert not broken, "\n".join(["", *lines, "", *sorted(measures.misses(looked_at))])


def test_the_end_of_a_line_makes_no_difference() -> None:
    """One message may come with either, from a mailbox or a queue."""
    free = [sample for sample in samples() if sample.any_line_end]
    assert not [one.name for one in free if understand(one.raw.replace(b"\n", b"\r\n")) != understand(one.raw)]


def test_the_samples_are_varied() -> None:
    names = Counter(sample.name for sample in samples())
    assert not [name for name, times in names.items() if times > 1]
    assert len(names) >= 350
    families = Counter(sample.family for sample in samples())
    assert all(families[family] >= 20 for family in ("dsn", "text", "arf", "auto", "ordinary", "broken"))
    assert len({sample.raw for sample in samples()}) == len(samples())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_samples_name_nobody(path: Path) -> None:
    text = path.read_text().replace("=\n", "")
    assert not [match[0] for match in ADDRESS.finditer(text) if not RESERVED.search(match[1])]


def test_what_is_expected_can_be_found() -> None:
    """A slip in an expectation would be taken for a failure of the parser, or hide one."""
    reasons = {reason.name.lower() for reason in Reason}
    wrong = [sample.name for sample in samples() if not sample.kinds <= set(ReportKind)]
    for name, one in [(sample.name, one) for sample in samples() for one in sample.recipients]:
        statuses = [status for status in one.statuses if status and not STATUS.fullmatch(status)]
        if "@" not in one.address or statuses or one.failures - FAILURES or one.reasons - reasons:
            wrong.append(f"{name}: {one}")
    assert not wrong


def test_the_samples_stay_small() -> None:
    sizes = [path.stat().st_size for path in FILES]
    assert max(sizes) <= 60_000
    assert sum(sizes) <= 1_500_000


def test_ordinary_mail_that_was_cut_off_is_no_report() -> None:
    wrong = [
        sample.name
        for sample in samples()
        if sample.family == "ordinary"
        for copy in cut_copies(sample, 20)
        if understand(copy).kind in (ReportKind.BOUNCE, ReportKind.COMPLAINT)
    ]
    assert not wrong


def test_no_address_is_made_up_where_a_message_was_cut_off() -> None:
    """The beginning of an address may be all that is left of it; nothing may be glued to it."""
    glued = []
    for sample in samples():
        known = [one.address.casefold() for one in sample.recipients]
        for copy in cut_copies(sample, 7):
            readable = copy.replace(b"=\n", b"").replace(b"\0", b"").decode("utf-8", "replace").casefold()
            for one in understand(copy).recipients:
                address = one.address.casefold()
                if address not in readable and not any(other.startswith(address) for other in known):
                    glued.append(f"{sample.name}: {address}")
    assert not glued


def test_a_report_leads_back_to_the_message_that_it_is_about() -> None:
    """By the address that it was sent to or that the copy names, and by the identifier of the copy."""
    lost = []
    for sample in samples():
        if sample.kind not in ("bounce", "complaint"):
            continue
        raw, times = RETURN_PATH.subn(SIGNED + rb"@bounces.example.org", sample.raw)
        _head, _blank, below = raw.decode("utf-8", "replace").replace("\r\n", "\n").partition("\n\n")
        identifiers, found = IDENTIFIERS.findall(below), understand(raw)
        if times and SIGNED.decode() not in found.return_paths:
            lost.append(f"{sample.name}: {found.return_paths}")
        if identifiers and not set(identifiers) & set(found.message_ids):
            lost.append(f"{sample.name}: {found.message_ids} instead of {identifiers}")
    assert not lost
