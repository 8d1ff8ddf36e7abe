"""Where messages lie: single files, mbox files of any size, Maildirs, folders below folders, the standard input."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from landing import mail_files
from landing.mail_files import Message, Unread
from quarantine.inbound.mail import LIMIT
from quarantine.models import QuarantinedAddress, Report, ReportState
from tests.deliveries.reporting import dsn

FROM = b"From MAILER-DAEMON Mon Nov 23 10:00:00 2026\n"


def message(name: str) -> bytes:
    return f"From: {name}@example.org\nSubject: {name}\n\nHello\n".encode()


def found(*paths: Any) -> list[tuple[str, bytes]]:
    read = [one for path in paths for one in mail_files.read(str(path))]
    assert not [one for one in read if isinstance(one, Unread)]
    return [(one.name, one.raw) for one in read if isinstance(one, Message)]


def subjects(path: Path) -> list[str]:
    return [raw.partition(b"Subject: ")[2].split(b"\n")[0].strip().decode() for _name, raw in found(path)]


# -- where messages are -------------------------------------------------------------------------------------------
def test_a_file_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "one.eml").write_bytes(message("a"))
    assert found(tmp_path / "one.eml") == [(str(tmp_path / "one.eml"), message("a"))]


def test_a_folder_is_read_in_the_order_of_names_with_those_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("in/10", "in/9", "in/b/x", "in/a", "in/b/c/y", "in/.hidden", "in/.git/z"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(message(name.rpartition("/")[2]))
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    (tmp_path / "in/gone").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "in/pipe")
    monkeypatch.chdir(tmp_path)
    names = ["in/10", "in/9", "in/a", "in/b/c/y", "in/b/x"]
    assert [name for name, _raw in found("in")] == names
    assert [name for name, _raw in found("in/")] == names
    assert [name for name, _raw in found("./in")] == [f"./{name}" for name in names]


def test_a_maildir_holds_what_has_arrived_and_not_what_is_being_written(tmp_path: Path) -> None:
    for name in ("cur/1:2,S", "new/2", "tmp/3", "dovecot-uidlist"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(message(name))
    assert [name.rpartition("/")[2] for name, _raw in found(tmp_path)] == ["1:2,S", "2"]


def test_what_cannot_be_read_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    read = list(mail_files.read(str(tmp_path / "none")))
    assert read == [Unread(str(tmp_path / "none"), "No such file or directory")]


@pytest.mark.skipif(os.getuid() == 0, reason="the administrator of the machine may read everything")
def test_a_file_of_a_folder_that_may_not_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(message(name))
    (tmp_path / "b").chmod(0)
    read = list(mail_files.read(str(tmp_path)))
    assert [type(one) for one in read] == [Message, Unread, Message]


# -- mbox ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    "separator",
    [
        FROM,
        b"From a@example.org  Mon Nov  3 10:00:00 2026\n",
        b"From - Mon Nov 23 10:00:00 2026\n",
        b"From MAILER-DAEMON Tue Feb 20 08:30:22 MET 2026\n",
        b"From a@example.org Mon Nov 23 10:00:00 2026 +0100\n",
        b"From a@example.org Mon Nov 23 10:00 2026 remote from there\n",
        b'From "A B"@example.org Mon Nov 23 10:00:00 2026\n',
    ],
)
def test_an_mbox_file_is_split_at_its_separators(tmp_path: Path, separator: bytes, ends: bytes) -> None:
    path = tmp_path / "mbox"
    path.write_bytes(b"\n".join(separator + message(name) for name in "abc").replace(b"\n", ends))
    assert subjects(path) == ["a", "b", "c"]
    assert {name for name, _raw in found(path)} == {str(path)}
    assert b"".join(raw for _name, raw in found(path)) == path.read_bytes(), "nothing is lost"


@pytest.mark.parametrize(
    "body",
    [
        b"From Monday on we are closed.\n",
        b"Hello\n\nFrom Monday 10:00 on, and for all of 2026,\nwe are closed.\n",
        b"Hello\n\n>From MAILER-DAEMON Mon Nov 23 10:00:00 2026\nSubject: quoted\n",
        b"Hello\nFrom MAILER-DAEMON Mon Nov 23 10:00:00 2026\nSubject: within a paragraph\n",
        b"Hello\n\nFrom MAILER-DAEMON Mon Nov 23 10:00:00 2026\n",
        b"Hello\n\nFrom here\n\n",
    ],
)
def test_a_single_message_that_begins_with_from_is_one_whatever_it_says(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "one").write_bytes(FROM + message("a") + b"\n" + body)
    assert found(tmp_path / "one") == [(str(tmp_path / "one"), FROM + message("a") + b"\n" + body)]


def test_only_a_separator_in_the_first_line_makes_an_mbox_file(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(message("a") + b"\n" + FROM + message("b"))
    assert len(found(tmp_path / "one")) == 1


def test_an_mbox_file_needs_the_memory_of_a_message_whatever_its_size() -> None:
    """Two hundred megabytes, one message of which is larger than what is kept and has no line ends."""

    class Lines(io.RawIOBase):
        def __init__(self) -> None:
            self.left = self.made()

        def made(self) -> Iterator[bytes]:
            yield from (FROM, b"Subject: huge\n", b"\n", *[b"x" * 65_536] * 1_600, b"\n", b"\n")
            for _n in range(1_600):
                yield from (FROM, b"Subject: small\n", b"\n", b"y" * 65_000 + b"\n", b"\n")

        def readline(self, size: int | None = -1, /) -> bytes:
            return next(self.left, b"")

    sizes = [len(one.raw) for one in mail_files._messages("mbox", Lines())]  # type: ignore[arg-type]
    assert len(sizes) == 1_601
    assert max(sizes) == LIMIT
    assert sum(sizes) > 100_000_000


def test_the_end_of_a_very_long_line_is_no_blank_line(tmp_path: Path) -> None:
    path = tmp_path / "mbox"
    path.write_bytes(FROM + b"Subject: a\n\n" + b"x" * 65_536 + b"\n" + FROM + b"Subject: not b\n\n")
    assert subjects(path) == ["a"]


def test_a_huge_message_is_cut_and_its_file_read_to_the_end(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(message("a") + b"x" * 3_000_000)
    ((_name, raw),) = found(tmp_path / "one")
    assert len(raw) == LIMIT


def test_an_empty_file_is_an_empty_message(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"")
    assert found(tmp_path / "one") == [(str(tmp_path / "one"), b"")]


# -- the command --------------------------------------------------------------------------------------------------
def run(*args: Any) -> list[dict[str, Any]]:
    out = StringIO()
    call_command("receive_mail", *map(str, args), "--json", stdout=out, stderr=StringIO())
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.django_db
def test_a_dry_run_prints_what_each_message_says_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "bounce").write_bytes(dsn("gone@example.org"))
    (tmp_path / "hello").write_bytes(message("a"))
    (tmp_path / "mbox").write_bytes(FROM + dsn("x@example.org", action="delayed") + b"\n" + FROM + message("b"))
    lines = run(tmp_path, "--dry-run")
    assert lines[0] == {
        "file": str(tmp_path / "bounce"), "kind": "bounce", "token": "absent",
        "recipients": [{
            "address": "gone@example.org", "failure": "hard", "reason": "user_unknown", "status": "5.1.1",
            "action": "failed", "diagnostic": lines[0]["recipients"][0]["diagnostic"],
        }],
    }  # fmt: skip
    assert "User unknown" in lines[0]["recipients"][0]["diagnostic"]
    assert lines[1] == {"file": str(tmp_path / "hello"), "kind": "other", "recipients": [], "token": "absent"}
    assert [line["file"] for line in lines[2:]] == [str(tmp_path / "mbox")] * 2
    assert not Report.objects.exists()
    assert [line["outcome"] for line in run(tmp_path)] == ["waiting", "nothing", "waiting", "nothing"]
    assert [line["outcome"] for line in run(tmp_path)] == ["repeated", "nothing", "repeated", "nothing"]
    assert Report.objects.count() == 2
    assert not QuarantinedAddress.objects.exists()


@pytest.mark.django_db
def test_the_sums_of_a_run_are_told(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(dsn(f"{name}@example.org"))
    out = StringIO()
    call_command("receive_mail", str(tmp_path), stdout=out)
    assert out.getvalue().splitlines()[3:] == ["3 messages", "          3  not proven: waits for a decision"]
    assert "@" not in out.getvalue()


@pytest.fixture
def poisonous() -> Iterator[None]:
    """Have the database itself refuse to keep a report about a certain address."""
    if connection.vendor == "sqlite":
        make = [
            "CREATE TRIGGER poison BEFORE INSERT ON quarantine_report WHEN new.recipients LIKE '%poison%' "
            "BEGIN SELECT RAISE(ABORT, 'about poison@example.org'); END"
        ]
        drop = ["DROP TRIGGER poison"]
    else:
        make = [
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.recipients::text LIKE "
            "'%poison%' THEN RAISE 'about poison@example.org'; END IF; RETURN new; END $$",
            "CREATE TRIGGER poison BEFORE INSERT ON quarantine_report FOR EACH ROW EXECUTE FUNCTION poison()",
        ]
        drop = ["DROP TRIGGER poison ON quarantine_report", "DROP FUNCTION poison"]
    with connection.cursor() as cursor:
        for statement in make:
            cursor.execute(statement)
        yield
        for statement in drop:
            cursor.execute(statement)


@pytest.mark.django_db
def test_a_message_that_cannot_be_dealt_with_is_kept_aside_and_told_and_the_others_go_on(
    tmp_path: Path, poisonous: None
) -> None:
    for name in ("a", "poison", "z"):
        (tmp_path / name).write_bytes(dsn(f"{name}@example.org") + b"x" * 400_000)
    out, told = StringIO(), StringIO()
    call_command("receive_mail", str(tmp_path), stdout=out, stderr=told)
    assert told.getvalue().startswith(f"{tmp_path}/poison: could not be dealt with: kept aside (")
    assert "@" not in told.getvalue() + out.getvalue()
    assert "1  could not be dealt with" in out.getvalue()
    states = list(Report.objects.order_by("pk").values_list("state", flat=True))
    assert sorted(states) == [ReportState.WAITING, ReportState.WAITING, ReportState.BROKEN]
    broken = Report.objects.get(state=ReportState.BROKEN)
    assert b"poison@example.org" in bytes(broken.raw or b"")
    assert len(bytes(broken.raw or b"")) == 256_000
    call_command("receive_mail", str(tmp_path), stdout=StringIO(), stderr=StringIO())
    assert Report.objects.count() == 3


@pytest.mark.django_db
def test_a_message_that_the_reader_fails_on_is_kept_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No message is known that it fails on: so it is broken here."""
    from quarantine.inbound import reports

    real = reports.understand

    def broken(raw: bytes, rules: Any = ()) -> reports.Finding:
        if b"poison" in raw:
            raise RecursionError("about poison@example.org")
        return real(raw, rules)

    monkeypatch.setattr(reports, "understand", broken)
    for name in ("a", "poison", "z"):
        (tmp_path / name).write_bytes(dsn(f"{name}@example.org"))
    assert [line["outcome"] for line in run(tmp_path)] == ["waiting", "broken", "waiting"]
    assert [line["kind"] for line in run(tmp_path, "--dry-run")] == ["bounce", "other", "bounce"]
    assert Report.objects.filter(state=ReportState.BROKEN).count() == 1


def test_a_mail_server_may_hand_over_several_messages_at_once(tmp_path: Path) -> None:
    """In a process of its own, and without a database: each line is there when its message has been read."""
    both = FROM + dsn("a@example.org") + b"\n" + FROM + message("b")
    done = subprocess.run(
        [sys.executable, "manage.py", "receive_mail", "--dry-run", "--json", "-"], input=both, capture_output=True,
        env={
            **os.environ, "DJANGO_SETTINGS_MODULE": "campaign.settings", "DATA_DIR": str(tmp_path),
            "DATABASE_URL": f"sqlite:///{tmp_path}/none/none.sqlite3",
        },
        timeout=120, check=True,
    )  # fmt: skip
    assert [json.loads(line)["kind"] for line in done.stdout.splitlines()] == ["bounce", "other"]


@pytest.mark.django_db
def test_files_that_cannot_be_read_make_66_after_all_others(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(dsn("a@example.org"))
    with pytest.raises(CommandError) as refused:
        run(tmp_path / "none", tmp_path)
    assert refused.value.returncode == 66
    assert Report.objects.count() == 1
