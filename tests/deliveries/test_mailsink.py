"""The mail sink itself: it writes down what it accepts, and misbehaves as told."""

import smtplib
import time
from collections.abc import Iterator

import pytest

from tests.mailsink import MailSink, Rule

MESSAGE = b"Subject: Hello\r\nMessage-ID: <1@example.org>\r\n\r\n.dots\r\nand lines\r\n"


@pytest.fixture
def sink() -> Iterator[MailSink]:
    with MailSink(keep=True) as running:
        yield running


def client(sink: MailSink) -> smtplib.SMTP:
    return smtplib.SMTP(sink.host, sink.port, timeout=5)


def send(connection: smtplib.SMTP, *recipients: str) -> dict[str, tuple[int, bytes]]:
    return connection.sendmail("us@example.org", list(recipients), MESSAGE)


def test_what_is_accepted_is_written_down_with_its_number_and_kept(sink: MailSink) -> None:
    before = time.time_ns()
    with client(sink) as connection:
        send(connection, "a@example.org")
        send(connection, "b@example.org", "c@example.org")
    accepted = sink.accepted()
    assert [(one.number, one.recipient) for one in accepted] == [
        (1, "a@example.org"),
        (2, "b@example.org"),
        (3, "c@example.org"),
    ]
    assert before < accepted[0].at_ns < accepted[1].at_ns < time.time_ns()
    assert (accepted[0].size, accepted[0].message_id) == (len(MESSAGE), "<1@example.org>")
    assert accepted[0].sender == "us@example.org"
    assert sink.messages() == [MESSAGE] * 3
    assert (sink.stats()["messages"], sink.stats()["connections"], sink.stats()["QUIT"]) == (2, 1, 1)


def test_rules_change_while_it_runs_and_fit_who_they_name(sink: MailSink) -> None:
    with client(sink) as connection:
        sink.script(Rule("RCPT", recipient="^slow@", answer="451 4.7.1 Later\nplease", count=1))
        refused = send(connection, "slow@example.org", "a@example.org")
        assert refused == {"slow@example.org": (451, b"4.7.1 Later\nplease")}
        assert send(connection, "slow@example.org") == {}
        sink.script(Rule("END", answer="554 5.7.1 No"))
        with pytest.raises(smtplib.SMTPDataError):
            send(connection, "a@example.org")
        sink.script()
        send(connection, "b@example.org")
    assert sink.recipients == ["a@example.org", "slow@example.org", "b@example.org"]


def test_a_message_whose_answer_is_lost_was_accepted_unless_said_otherwise(sink: MailSink) -> None:
    for drop in ("before", "reset"):
        sink.script(Rule("END", drop=drop))
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionResetError)):
            send(client(sink), f"{drop}@example.org")
    sink.script(Rule("END", drop="before", accept=False))
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(client(sink), "lost@example.org")
    assert sink.recipients == ["before@example.org", "reset@example.org"]


@pytest.mark.parametrize("rule", [Rule("MAIL", hang=True), Rule("MAIL", trickle=5), Rule("MAIL", delay=5_000)])
def test_it_can_keep_others_waiting(sink: MailSink, rule: Rule) -> None:
    sink.script(rule)
    with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
        send(smtplib.SMTP(sink.host, sink.port, timeout=0.3), "a@example.org")


def test_a_chance_is_kept_to(sink: MailSink) -> None:
    sink.script(Rule("RCPT", answer="450 4.2.0 Greylisted", probability=0.5))
    with client(sink) as connection:
        refused = send(connection, "a@example.org", *(f"{n}@example.org" for n in range(200)))
    assert 50 < len(refused) < 150


def test_a_pipelining_client_gets_its_answers_together(sink: MailSink) -> None:
    with client(sink) as connection:
        connection.ehlo()
        assert connection.has_extn("PIPELINING")
        assert connection.has_extn("SMTPUTF8")
        connection.send(b"MAIL FROM:<us@example.org>\r\nRCPT TO:<a@example.org>\r\nDATA\r\n")
        assert [connection.getreply()[0] for _n in range(3)] == [250, 250, 354]
        connection.send(MESSAGE + b".\r\nMAIL FROM:<us@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n.\r\n")
        assert [connection.getreply()[0] for _n in range(5)] == [250, 250, 250, 354, 250]
    assert sink.recipients == ["a@example.org", "b@example.org"]


def test_it_comes_back_on_its_port_with_its_log(sink: MailSink) -> None:
    with client(sink) as connection:
        send(connection, "a@example.org")
    port = sink.port
    sink.stop()
    sink.start()
    assert sink.port == port
    with client(sink) as connection:
        send(connection, "b@example.org")
    assert [one.number for one in sink.accepted()] == [1, 2]


def test_an_idle_connection_is_ended() -> None:
    with MailSink(idle=0.2) as sink, client(sink) as connection:
        time.sleep(0.5)
        assert connection.getreply()[0] == 421
