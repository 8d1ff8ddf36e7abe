"""Mail is fetched from a real IMAP server: received once, put away only after that, and no secret is told."""

import logging
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone

from deliveries.reported import Outcome
from landing import fetching, imap, tasks
from landing.checks import fetching_errors
from landing.imap import Place, Trouble
from quarantine.inbound.mail import LIMIT
from quarantine.models import Report, ReportState
from tests.deliveries.reporting import dsn
from tests.imap_server import PASSWORD, ImapServer, self_signed

pytestmark = pytest.mark.django_db
HELLO = b"From: a@example.org\r\nSubject: Hello\r\n\r\nHi\r\n"
EVERYTHING = timedelta(minutes=5)


def bounces(number: int) -> list[bytes]:
    return [dsn(f"p{n}@example.org") for n in range(number)]


def fetch(server: ImapServer, settings: Any, after: str = "seen") -> dict[Outcome, int] | None:
    settings.IMAP_URL, settings.INBOUND_AFTER = server.url, after
    told = fetching.fetch(clock=timezone.now, budget=EVERYTHING)
    return None if told is None else dict(told)


def test_what_waits_is_received_once_and_marked_as_read(settings: Any) -> None:
    with ImapServer({"INBOX": [*bounces(3), HELLO]}) as server:
        assert fetch(server, settings) == {Outcome.WAITING: 3, Outcome.NOTHING: 1}
        assert [one.flags for one in server.folders["INBOX"]] == [{r"\Seen"}] * 4
        assert fetch(server, settings) == {}
        server.add(dsn("p1@example.org", way="again"))
        server.add(dsn("new@example.org"), r"\Deleted")
        assert fetch(server, settings) == {Outcome.REPEATED: 1}
    assert Report.objects.count() == 3
    assert set(Report.objects.values_list("source", flat=True)) == {"imap"}


@pytest.mark.parametrize("capabilities", ["MOVE UIDPLUS", "UIDPLUS", ""])
@pytest.mark.parametrize("after", ["delete", "move:Done 2026"])
def test_received_messages_are_deleted_or_moved_by_whatever_the_server_can(
    settings: Any, after: str, capabilities: str
) -> None:
    raws = [*bounces(2), HELLO]
    with ImapServer({"INBOX": raws, "Done 2026": []}, capabilities=capabilities) as server:
        assert fetch(server, settings, after) == {Outcome.WAITING: 2, Outcome.NOTHING: 1}
        assert server.folders["INBOX"] == []
        assert [one.raw for one in server.folders["Done 2026"]] == (raws if "move" in after else [])
        assert fetch(server, settings, after) == {}


def test_over_a_network_everything_is_encrypted_and_the_server_must_prove_who_it_is(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, certificate = self_signed(tmp_path)
    with ImapServer({"INBOX": bounces(1)}, tls=context) as server:
        with pytest.raises(Trouble) as refused:
            fetch(server, settings)
        assert str(refused.value) == "connect: SSLCertVerificationError"
        assert server.commands == []
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
        assert fetch(server, settings) == {Outcome.WAITING: 1}


def test_a_large_mailbox_is_fetched_in_small_groups(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap, "WINDOW", 10)
    monkeypatch.setattr(imap, "GROUP", 4)
    with ImapServer({"INBOX": [HELLO.replace(b"Hi", b"Hi %d" % n) for n in range(27)]}) as server:
        assert fetch(server, settings) == {Outcome.NOTHING: 27}
        assert server.commands.count("UID SEARCH") == 3
        assert server.commands.count("UID STORE") == 7


def test_huge_messages_are_fetched_one_by_one_and_not_to_their_end(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap, "GROUP_OCTETS", LIMIT)
    with ImapServer({"INBOX": [dsn(f"p{n}@example.org") + b"x" * 2 * LIMIT for n in range(3)]}) as server:
        assert fetch(server, settings) == {Outcome.WAITING: 3}
        # Sizes of all of them, then each by itself.
        assert server.commands.count("UID FETCH") == 4


def test_one_worker_at_a_time_fetches(settings: Any) -> None:
    with ImapServer({"INBOX": bounces(1)}) as server:
        cache.add(fetching.LOCK, "another", 60)
        assert fetch(server, settings) is None
        assert server.commands == []
        assert cache.get(fetching.LOCK) == "another"
        cache.delete(fetching.LOCK)
        assert fetch(server, settings) == {Outcome.WAITING: 1}
    assert cache.get(fetching.LOCK) is None


def test_what_was_received_when_the_connection_broke_is_received_again_and_changes_nothing(settings: Any) -> None:
    with ImapServer({"INBOX": bounces(2)}) as server:
        server.cut_at = "UID STORE"
        with pytest.raises(Trouble):
            fetch(server, settings, "delete")
        assert (Report.objects.count(), len(server.folders["INBOX"])) == (2, 2)
        server.cut_at = ""
        assert fetch(server, settings, "delete") == {Outcome.REPEATED: 2}
        assert (Report.objects.count(), server.folders["INBOX"]) == (2, [])


@pytest.mark.django_db(transaction=True)
def test_nothing_is_put_away_that_the_database_did_not_take(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    off, on = (
        ("PRAGMA query_only = 1", "PRAGMA query_only = 0")
        if connection.vendor == "sqlite"
        else ("SET default_transaction_read_only = on", "SET default_transaction_read_only = off")
    )
    with ImapServer({"INBOX": bounces(2)}) as server:
        settings.IMAP_URL, settings.INBOUND_AFTER = server.url, "delete"
        settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
        with connection.cursor() as cursor:
            cursor.execute(off)
        try:
            tasks.fetch_mail()
        finally:
            with connection.cursor() as cursor:
                cursor.execute(on)
        assert len(server.folders["INBOX"]) == 2
        assert "Fetched mail could not be received" in caplog.text
        assert "@" not in caplog.text
        tasks.fetch_mail()
        assert server.folders["INBOX"] == []
    assert Report.objects.count() == 2


@pytest.mark.parametrize(
    ("refused", "told"),
    [("LOGIN", "log in: error"), ("SELECT", "select: the server answered NO"), ("UID SEARCH", "search: the server")],
)
def test_trouble_is_noted_without_secrets_and_tried_again_at_the_next_beat(
    settings: Any, caplog: pytest.LogCaptureFixture, refused: str, told: str
) -> None:
    with ImapServer({"INBOX": bounces(1)}) as server:
        settings.IMAP_URL = server.url
        server.refused = {refused}
        with caplog.at_level(logging.DEBUG):
            tasks.fetch_mail()
        assert told in caplog.text
        assert PASSWORD not in caplog.text
        assert "@" not in caplog.text
        server.refused = set()
        tasks.fetch_mail()
    assert Report.objects.count() == 1


def test_a_wrong_password_is_not_told_when_the_server_says_it(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    with ImapServer({"INBOX": []}) as server:
        settings.IMAP_URL = server.url.replace("pass", "wrong")
        tasks.fetch_mail()
        with pytest.raises(CommandError) as refused:
            call_command("fetch_mail")
    assert refused.value.returncode == 75
    assert "wrong" not in caplog.text + str(refused.value)


def test_nobody_answers(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    with ImapServer({"INBOX": []}) as server:
        settings.IMAP_URL = server.url
    tasks.fetch_mail()
    assert "connect: ConnectionRefusedError" in caplog.text


def test_without_a_mailbox_the_task_does_nothing_and_the_command_says_so(settings: Any) -> None:
    settings.IMAP_URL = ""
    tasks.fetch_mail()
    with pytest.raises(CommandError) as refused:
        call_command("fetch_mail")
    assert refused.value.returncode == 78


def test_the_command_tells_its_sums_and_nothing_personal(settings: Any) -> None:
    with ImapServer({"INBOX": [*bounces(2), HELLO]}) as server:
        settings.IMAP_URL = server.url
        out = StringIO()
        call_command("fetch_mail", stdout=out)
    assert out.getvalue().splitlines() == [
        "3 messages", "          2  not proven: waits for a decision", "          1  nothing follows from it",
    ]  # fmt: skip


def test_a_message_that_cannot_be_dealt_with_is_put_away_like_the_others(
    settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from quarantine.inbound import reports

    real = reports.understand

    def broken(raw: bytes, rules: Any = ()) -> reports.Finding:
        if b"poison" in raw:
            raise RecursionError("about poison@example.org")
        return real(raw, rules)

    monkeypatch.setattr(reports, "understand", broken)
    with ImapServer({"INBOX": [dsn("poison@example.org"), *bounces(1)]}) as server:
        assert fetch(server, settings, "delete") == {Outcome.BROKEN: 1, Outcome.WAITING: 1}
        assert server.folders["INBOX"] == []
    assert Report.objects.filter(state=ReportState.BROKEN).count() == 1
    assert "RecursionError" in caplog.text
    assert "@" not in caplog.text


# -- settings -------------------------------------------------------------------------------------------------------
def test_a_mailbox_is_read_from_its_url() -> None:
    assert Place.read("imaps://me%40example.org:p%2Fw%3A@mail.example.org/In%20box") == Place(
        "mail.example.org", 993, "me@example.org", "p/w:", "In box", True
    )
    assert Place.read("imap://u:p@127.0.0.1:1143").folder == "INBOX"


@pytest.mark.parametrize(
    ("url", "after", "ids"),
    [
        ("", "whatever", []),
        ("imaps://u:secret@mail.example.org/INBOX", "seen", []),
        ("imaps://u:secret@mail.example.org/INBOX", "move:Done", []),
        ("imap://u:secret@mail.example.org/INBOX", "seen", ["landing.E001"]),
        ("https://u:secret@mail.example.org/INBOX", "seen", ["landing.E001"]),
        ("imaps://mail.example.org/INBOX", "seen", ["landing.E001"]),
        ("imaps://u:secret@mail.example.org:x/INBOX", "delete", ["landing.E001"]),
        ("imaps://u:secret\u2100@mail.example.org/INBOX", "delete", ["landing.E001"]),
        ("imaps://u:secret@mail.example.org/INBOX", "archive", ["landing.E002"]),
        ("imaps://u:secret@mail.example.org/INBOX", "move", ["landing.E002"]),
        ("imaps://u:secret@mail.example.org/INBOX", "move:Reçus", ["landing.E002"]),
        ("imaps://u:secret@mail.example.org/INBOX", "seen:x", ["landing.E002"]),
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start_without_telling_the_password(
    settings: Any, url: str, after: str, ids: list[str]
) -> None:
    settings.IMAP_URL, settings.INBOUND_AFTER = url, after
    errors = list(fetching_errors())
    assert [error.id for error in errors] == ids
    assert "secret" not in str(errors)
