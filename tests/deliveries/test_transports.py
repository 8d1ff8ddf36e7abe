"""The ways out, against a real server that misbehaves at each point of the dialogue."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from campaign.checks import check_mail
from deliveries import transports
from deliveries.errors import ChannelNotSent
from deliveries.messages import Envelope
from deliveries.models import LogStatus
from deliveries.transports import SmtpTransport, for_channel, smtp
from deliveries.transports.base import Blame, Outcome, Verb
from profiles.channels import Channel
from tests.mailsink import MailSink, Rule

SENT, RETRY, FAILED, IN_DOUBT = LogStatus.SENT, LogStatus.RETRY, LogStatus.FAILED, LogStatus.IN_DOUBT
BODY = b"Subject: Hello\r\n\r\nGood morning\r\n"
VERBS = {
    "CONNECT": Verb.CONNECT, "EHLO": Verb.EHLO, "MAIL": Verb.MAIL, "RCPT": Verb.RCPT, "DATA": Verb.DATA,
    "END": Verb.END,
}  # fmt: skip
TOGETHER, ONE_BY_ONE = "", "PIPELINING"


def to(recipient: str = "a@example.org", body: bytes = BODY) -> Envelope:
    return Envelope("us@example.org", recipient, body)


@pytest.fixture(scope="module", params=[TOGETHER, ONE_BY_ONE], ids=["together", "one by one"])
def running(request: Any) -> Iterator[MailSink]:
    with MailSink(keep=True, without=request.param) as sink:
        yield sink


@pytest.fixture
def sink(running: MailSink, settings: Any) -> MailSink:
    """A sink without rules; what it has accepted before is not looked at."""
    running.script()
    point_to(running, settings)
    return running


def point_to(sink: MailSink, settings: Any) -> None:
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = sink.host, sink.port, 1


@pytest.fixture
def transport() -> Iterator[SmtpTransport]:
    carrier = SmtpTransport()
    yield carrier
    carrier.close()


def accepted(sink: MailSink, before: int) -> list[str]:
    return sink.recipients[before:]


def test_messages_leave_over_one_connection_which_is_ended_politely(sink: MailSink, transport: SmtpTransport) -> None:
    before, counts = len(sink.recipients), sink.stats()
    for n in range(5):
        assert transport.send(to(f"{n}@example.org")).status == SENT
    transport.close()
    assert accepted(sink, before) == [f"{n}@example.org" for n in range(5)]
    since = sink.stats() - counts
    assert (since["connections"], since["EHLO"], since["QUIT"], since["RSET"]) == (1, 1, 1, 0)
    assert bool(since["pipelined"]) == (sink.options["without"] == TOGETHER)


@pytest.mark.parametrize(
    "body",
    [
        BODY, b"", b".", b".\r\n", b"..\r\n.x\r\n", b"a\nb\rc\r\n", b"a\r\n.\r\nb\r\n", b"a\n.\n.", b"a\r\r\n", b"\n\r",
        b"no end", b"x" * 300_000 + b"\r\n", bytes(range(14, 127)) + b"\r\n", "é\r\n".encode(),
    ],
)  # fmt: skip
def test_every_body_arrives_with_its_dots_and_with_crlf_only(
    sink: MailSink, transport: SmtpTransport, body: bytes
) -> None:
    before = len(sink.recipients)
    assert transport.send(to(body=body)).status == SENT
    assert transport.send(to()).status == SENT
    arrived = sink.messages()[before:]
    want = b"\r\n".join(body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"))
    assert arrived == [want if want.endswith(b"\r\n") else want + b"\r\n", BODY]


@pytest.mark.parametrize("verb", list(VERBS))
@pytest.mark.parametrize(
    "fault",
    [
        {"drop": "before"}, {"drop": "reset"}, {"hang": True}, {"trickle": 0.2}, {"raw": "what?\r\n"},
        {"raw": "\x00\xff\r\n"}, {"raw": "2\r\n"}, {"raw": "250-a\r\n550 b\r\n"}, {"raw": "x" * 20_000},
        {"raw": "250-and so on\r\n" * 500}, {"answer": "299 Fine?"}, {"answer": "399 More?"},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_answer_is_tried_again_before_the_final_dot_and_in_doubt_after_it(
    sink: MailSink, transport: SmtpTransport, settings: Any, verb: str, fault: dict[str, Any]
) -> None:
    settings.EMAIL_TIMEOUT, settings.LEASE_TIME = 0.5, timedelta(seconds=2)
    sink.script(Rule(verb, **fault))
    before = len(sink.recipients)
    outcome = transport.send(to())
    assert (outcome.blame, outcome.verb) == (Blame.CONNECTION, VERBS[verb])
    assert outcome.status == (IN_DOUBT if verb == "END" else RETRY)
    assert accepted(sink, before) == (["a@example.org"] if verb == "END" else [])
    sink.script()
    settings.LEASE_TIME = timedelta(seconds=60)
    assert transport.send(to("next@example.org")).status == SENT
    assert accepted(sink, before)[-1:] == ["next@example.org"]


@pytest.mark.parametrize("verb", list(VERBS))
@pytest.mark.parametrize(
    ("answer", "ours", "theirs"),
    [
        ("421 4.3.2 Closing", (RETRY, Blame.CONNECTION), (RETRY, Blame.CONNECTION)),
        ("450 4.3.0 Later\nplease", (RETRY, Blame.CONNECTION), (RETRY, Blame.ADDRESS)),
        ("450 4.2.0 Greylisted", (RETRY, Blame.CONNECTION), (RETRY, Blame.DOMAIN)),
        ("550 5.1.1 User unknown", (RETRY, Blame.SENDER), (FAILED, Blame.ADDRESS)),
        ("550 5.7.1 Blocked: see spamhaus", (RETRY, Blame.SENDER), (RETRY, Blame.DOMAIN)),
        ("550 5.7.26 Unauthenticated\nmail", (RETRY, Blame.SENDER), (RETRY, Blame.SENDER)),
    ],
)
def test_a_refusal_at_each_verb_means_what_it_says_and_the_next_message_leaves(
    sink: MailSink, transport: SmtpTransport, verb: str, answer: str, ours: Any, theirs: Any
) -> None:
    assert transport.send(to("first@example.org")).status == SENT
    if verb in ("CONNECT", "EHLO"):
        transport.close()
        if verb == "EHLO" and answer.startswith("5"):
            answer = answer.replace("550", "554")  # HELO is tried, and refused as well
    before = len(sink.recipients)
    # A closing connection is opened again once, when it was ended between two messages.
    sink.script(Rule(verb, answer=answer))
    outcome = transport.send(to())
    expected = theirs if verb in ("RCPT", "DATA", "END") else ours
    assert (outcome.status, outcome.blame, outcome.verb) == (*expected, VERBS[verb])
    assert outcome.answer == answer.replace("\n", " ")
    sink.script()
    assert transport.send(to("next@example.org")).status == SENT
    assert accepted(sink, before) == ["next@example.org"]


def test_a_server_that_waits_for_the_message_of_a_refused_recipient_gets_none(
    sink: MailSink, transport: SmtpTransport
) -> None:
    sink.script(Rule("RCPT", recipient="gone@", answer="550 5.1.1 User unknown"), Rule("DATA", answer="354 Go on"))
    before, counts = len(sink.recipients), sink.stats()
    assert transport.send(to("gone@example.org")).status == FAILED
    assert transport.send(to("b@example.org")).status == SENT
    assert accepted(sink, before) == ["b@example.org"]
    assert (sink.stats() - counts)["connections"] == 1


def test_a_recipient_who_may_have_been_accepted_gets_no_empty_message(sink: MailSink, transport: SmtpTransport) -> None:
    sink.script(Rule("RCPT", answer="299 Perhaps"))
    before = len(sink.recipients)
    assert transport.send(to()).status == RETRY
    transport.close()
    assert accepted(sink, before) == []


def test_refusals_leave_the_connection_as_it_was(sink: MailSink, transport: SmtpTransport) -> None:
    sink.script(Rule("RCPT", recipient="gone", answer="550 5.1.1 User unknown"))
    counts = sink.stats()
    for n in range(4):
        assert transport.send(to(f"gone{n}@example.org")).status == FAILED
        assert transport.send(to(f"here{n}@example.org")).status == SENT
    assert (sink.stats() - counts)["connections"] == 1


def test_a_connection_is_renewed_after_so_many_messages(
    sink: MailSink, transport: SmtpTransport, monkeypatch: Any
) -> None:
    monkeypatch.setattr(smtp, "MESSAGES_PER_CONNECTION", 2)
    counts = sink.stats()
    for _n in range(5):
        assert transport.send(to()).status == SENT
    since = sink.stats() - counts
    assert (since["connections"], since["QUIT"]) == (3, 2)


@pytest.mark.parametrize("checked_after", [0.0, 60.0])
def test_a_server_that_ends_an_idle_connection_costs_no_message_a_try(
    transport: SmtpTransport, settings: Any, monkeypatch: Any, checked_after: float
) -> None:
    monkeypatch.setattr(smtp, "CHECKED_AFTER", checked_after)
    with MailSink(idle=0.2) as sink:
        point_to(sink, settings)
        assert transport.send(to("a@example.org")).status == SENT
        time.sleep(0.5)
        assert transport.send(to("b@example.org")).status == SENT
        assert transport.send(to("c@example.org")).status == SENT
        assert sink.recipients == ["a@example.org", "b@example.org", "c@example.org"]
        assert sink.stats()["connections"] == 2


def test_an_idle_connection_that_lives_is_kept(sink: MailSink, transport: SmtpTransport, monkeypatch: Any) -> None:
    monkeypatch.setattr(smtp, "CHECKED_AFTER", 0.0)
    counts = sink.stats()
    for _n in range(3):
        assert transport.send(to()).status == SENT
    since = sink.stats() - counts
    assert (since["connections"], since["NOOP"]) == (1, 2)


def test_nobody_listening_is_about_the_connection(transport: SmtpTransport, settings: Any) -> None:
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    outcome = transport.send(to())
    assert (outcome.status, outcome.code, outcome.blame) == (RETRY, 0, Blame.CONNECTION)


def test_a_message_is_over_before_its_lease_is(sink: MailSink, transport: SmtpTransport, settings: Any) -> None:
    settings.EMAIL_TIMEOUT, settings.LEASE_TIME = 30, timedelta(seconds=1.5)
    sink.script(Rule("END", trickle=0.2))
    began = time.monotonic()
    assert transport.send(to()).status == IN_DOUBT
    assert time.monotonic() - began < 1.5


def test_the_answer_after_the_final_dot_may_take_longer_than_others(
    sink: MailSink, transport: SmtpTransport, settings: Any
) -> None:
    settings.EMAIL_TIMEOUT = 0.3
    sink.script(Rule("END", delay=800))
    assert transport.send(to()).status == SENT


def test_other_letters_need_a_server_that_takes_them(transport: SmtpTransport, settings: Any) -> None:
    with MailSink() as sink:
        point_to(sink, settings)
        assert transport.send(to("zoé@example.org")).status == SENT
        assert sink.recipients == ["zoé@example.org"]
        transport.close()
    with MailSink(without="SMTPUTF8") as sink:
        point_to(sink, settings)
        assert transport.send(to("zoé@example.org")) == Outcome(LogStatus.SUPPRESSED, 0, "SMTPUTF8")
        assert transport.send(to("zoe@example.org")).status == SENT
        assert sink.recipients == ["zoe@example.org"]


def test_an_address_with_a_line_break_never_reaches_the_server(sink: MailSink, transport: SmtpTransport) -> None:
    before = len(sink.recipients)
    with pytest.raises(ValueError, match="line break"):
        transport.send(to("a@example.org>\r\nRCPT TO:<b@example.org"))
    assert transport.send(to("c@example.org")).status == SENT
    assert accepted(sink, before) == ["c@example.org"]


def test_logging_in(transport: SmtpTransport, settings: Any) -> None:
    with MailSink(auth="us:secret") as sink:
        point_to(sink, settings)
        settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "us", "wrong"
        outcome = transport.send(to())
        assert (outcome.status, outcome.code, outcome.blame, outcome.verb) == (RETRY, 535, Blame.SENDER, Verb.AUTH)
        settings.EMAIL_HOST_PASSWORD = "secret"
        assert transport.send(to()).status == SENT
    with MailSink() as sink:
        point_to(sink, settings)
        assert SmtpTransport().send(to()).blame == Blame.SENDER
        assert sink.recipients == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, signed by itself, with its key beside it."""
    if not (openssl := shutil.which("openssl")):
        pytest.skip("openssl is missing")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "certificate.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "certificate.pem"


def with_tls(certificate: Path, **options: Any) -> MailSink:
    return MailSink(certificate=str(certificate), key=str(certificate.with_name("key.pem")), **options)


@pytest.mark.parametrize("implicit", [False, True])
def test_tls_with_a_certificate_that_is_trusted(
    transport: SmtpTransport, certificate: Path, settings: Any, monkeypatch: Any, implicit: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with with_tls(certificate, **({"implicit_tls": True} if implicit else {})) as sink:
        point_to(sink, settings)
        settings.EMAIL_USE_SSL, settings.EMAIL_USE_TLS = implicit, not implicit
        assert [transport.send(to()).status for _n in range(3)] == [SENT] * 3
        stats = sink.stats()
        assert (len(sink.recipients), stats["STARTTLS"], stats["EHLO"]) == (3, int(not implicit), 2 - implicit)


@pytest.mark.parametrize("implicit", [False, True])
def test_a_certificate_that_is_not_trusted_gets_nothing(
    transport: SmtpTransport, certificate: Path, settings: Any, implicit: bool
) -> None:
    with with_tls(certificate, **({"implicit_tls": True} if implicit else {})) as sink:
        point_to(sink, settings)
        settings.EMAIL_USE_SSL, settings.EMAIL_USE_TLS = implicit, not implicit
        outcome = transport.send(to())
        assert (outcome.status, outcome.code, outcome.blame) == (RETRY, 0, Blame.SENDER)
        assert "certificate" in outcome.answer
        assert (sink.recipients, sink.stats()["MAIL"]) == ([], 0)


def test_a_certificate_of_another_server_gets_nothing(
    transport: SmtpTransport, certificate: Path, settings: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with with_tls(certificate) as sink:
        point_to(sink, settings)
        settings.EMAIL_HOST, settings.EMAIL_USE_TLS = "localhost", True
        assert transport.send(to()).blame == Blame.SENDER
        assert sink.stats()["MAIL"] == 0


@pytest.mark.parametrize(
    ("rule", "blame"),
    [
        (None, Blame.SENDER),
        (Rule("STARTTLS", answer="454 4.7.0 Not now"), Blame.CONNECTION),
        (Rule("STARTTLS", answer="502 5.5.1 No"), Blame.SENDER),
        (Rule("STARTTLS", drop="before"), Blame.CONNECTION),
        (Rule("STARTTLS", raw="220 Ready\r\n250 injected\r\n"), Blame.CONNECTION),
    ],
)
def test_required_tls_that_cannot_be_had_never_falls_back_to_clear_text(
    transport: SmtpTransport, certificate: Path, settings: Any, monkeypatch: Any, rule: Rule | None, blame: Blame
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with with_tls(certificate) if rule else MailSink() as sink:
        sink.script(*([rule] if rule else []))
        point_to(sink, settings)
        settings.EMAIL_USE_TLS = True
        outcome = transport.send(to())
        assert (outcome.status, outcome.blame, outcome.verb) == (RETRY, blame, Verb.STARTTLS)
        assert outcome.answer
        assert (sink.recipients, sink.stats()["MAIL"]) == ([], 0)


# -- which way out --------------------------------------------------------------------------------------------------


def test_email_leaves_by_the_backend_that_is_set(settings: Any, capsys: Any) -> None:
    assert isinstance(for_channel(Channel.EMAIL), SmtpTransport)
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    carrier = for_channel(Channel.EMAIL)
    assert carrier.send(to()).status == SENT
    carrier.close()
    assert "Good morning" in capsys.readouterr().out
    assert check_mail() == []


@pytest.mark.parametrize("name", ["dummy", "filebased", "locmem"])
def test_a_backend_that_gives_no_answer_is_refused(settings: Any, name: str) -> None:
    settings.EMAIL_BACKEND = f"django.core.mail.backends.{name}.EmailBackend"
    with pytest.raises(ImproperlyConfigured, match="EMAIL_URL"):
        for_channel(Channel.EMAIL)
    assert [error.id for error in check_mail()] == ["campaign.E020"]


def test_other_channels_wait_for_somebody_to_register_a_way(monkeypatch: Any) -> None:
    monkeypatch.setattr(transports, "_MAKERS", dict(transports._MAKERS))
    with pytest.raises(ChannelNotSent):
        for_channel(Channel.SMS)
    transports.register(Channel.SMS, SmtpTransport)
    assert isinstance(for_channel(Channel.SMS), SmtpTransport)
