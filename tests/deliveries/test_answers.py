"""What an SMTP answer means for the message: every cell of the table of verbs and codes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliveries.models import LogStatus
from deliveries.transports.answers import EXPECTED, TABLE, Sort, Stage, goes_on, outcome
from deliveries.transports.base import Blame, Outcome, Verb

SENT, RETRY, FAILED, IN_DOUBT = LogStatus.SENT, LogStatus.RETRY, LogStatus.FAILED, LogStatus.IN_DOUBT
ADDRESS, DOMAIN, CONNECTION, SENDER = Blame.ADDRESS, Blame.DOMAIN, Blame.CONNECTION, Blame.SENDER
ABOUT_US = [Verb.CONNECT, Verb.EHLO, Verb.STARTTLS, Verb.AUTH, Verb.MAIL]
STRANGE = [(0, ""), (100, "soon"), (221, "Bye"), (299, "?"), (399, "more?"), (600, "?"), (999, "")]
# What RCPT, DATA and the final dot have in common.
JUDGED = [
    (421, "4.3.2 Closing", RETRY, CONNECTION),
    (421, "4.7.28 Unusual rate of mail", RETRY, DOMAIN),
    (451, "4.3.0 Try again later", RETRY, ADDRESS),
    (450, "4.2.0 Greylisted", RETRY, DOMAIN),
    (451, "4.7.650 Rate limited due to IP reputation", RETRY, DOMAIN),
    (450, "4.1.8 Sender address rejected: Domain not found", RETRY, ADDRESS),
    (452, "4.2.2 Mailbox full", RETRY, ADDRESS),
    (550, "5.1.1 User unknown", FAILED, ADDRESS),
    (552, "5.2.2 Mailbox full", FAILED, ADDRESS),
    (554, "Transaction failed", FAILED, ADDRESS),
    (550, "5.7.133 Only members of the group", FAILED, ADDRESS),
    (554, "5.7.1 Client host blocked using zen.spamhaus.org", RETRY, DOMAIN),
    (550, "Ip frequency limited", RETRY, DOMAIN),
    (530, "5.7.0 Authentication required", RETRY, SENDER),
    (550, "5.7.26 Unauthenticated", RETRY, SENDER),
    (554, "5.7.1 Relay access denied", RETRY, SENDER),
    (552, "5.3.4 Message too big", RETRY, SENDER),
    (554, "5.7.1 Message rejected as spam", RETRY, SENDER),
    (503, "5.5.1 Bad sequence of commands", RETRY, SENDER),
]


@pytest.mark.parametrize("verb", ABOUT_US)
@pytest.mark.parametrize(
    ("code", "text", "blame"),
    [
        (421, "Closing", CONNECTION),
        (450, "4.7.1 Too much mail from you", CONNECTION),
        (454, "4.7.0 Temporary authentication failure", CONNECTION),
        (530, "5.7.0 Must issue a STARTTLS command first", SENDER),
        (535, "5.7.8 Wrong password", SENDER),
        (550, "5.1.1 User unknown", SENDER),
        (554, "No", SENDER),
        *((code, text, CONNECTION) for code, text in STRANGE),
    ],
)
def test_while_the_server_judges_us_nothing_is_lost(verb: Verb, code: int, text: str, blame: Blame) -> None:
    assert outcome(verb, code, text) == Outcome(RETRY, code, text, blame, verb)
    assert not outcome(verb, code, text).is_one_opinion


@pytest.mark.parametrize("verb", [Verb.RCPT, Verb.DATA, Verb.END])
@pytest.mark.parametrize(("code", "text", "status", "blame"), JUDGED)
def test_a_refusal_is_believed_by_whose_fault_it_is(
    verb: Verb, code: int, text: str, status: LogStatus, blame: Blame
) -> None:
    assert outcome(verb, code, text) == Outcome(status, code, text, blame, verb)
    assert outcome(verb, code, text).is_one_opinion == (blame == SENDER)


@pytest.mark.parametrize("verb", [Verb.RCPT, Verb.DATA])
@pytest.mark.parametrize(("code", "text"), STRANGE)
def test_what_is_no_answer_before_the_final_dot_is_tried_again(verb: Verb, code: int, text: str) -> None:
    assert outcome(verb, code, text) == Outcome(RETRY, code, text, CONNECTION, verb)


@pytest.mark.parametrize(("code", "text"), [*STRANGE, (354, "Go on"), (220, "Hello"), (251, "Forwarded")])
def test_what_is_no_answer_after_the_final_dot_leaves_the_message_in_doubt(code: int, text: str) -> None:
    assert outcome(Verb.END, code, text) == Outcome(IN_DOUBT, code, text, CONNECTION, Verb.END)


def test_only_one_answer_means_that_a_message_was_accepted() -> None:
    accepted = [code for code in range(1000) if outcome(Verb.END, code, "").status == SENT]
    assert accepted == [250]


@pytest.mark.parametrize("verb", list(Verb))
def test_the_dialogue_goes_on_after_the_expected_answers_only(verb: Verb) -> None:
    assert {code for code in range(1000) if goes_on(verb, code)} == set(EXPECTED[verb])
    assert not any(goes_on(verb, code) for code in (*range(100), *range(400, 1000)))


def test_the_table_has_a_cell_for_everything_that_can_end_a_dialogue() -> None:
    ends = {(stage, sort) for stage in Stage for sort in Sort if sort != Sort.EXPECTED}
    assert set(TABLE) == ends | {(Stage.MESSAGE, Sort.EXPECTED)}


@given(st.sampled_from(list(Verb)), st.integers(0, 999), st.text(max_size=3_000))
def test_whatever_a_stranger_says_becomes_one_short_clean_line(verb: Verb, code: int, text: str) -> None:
    if goes_on(verb, code) and verb != Verb.END:
        return
    found = outcome(verb, code, text)
    assert len(found.answer) <= 255
    assert found.answer.isprintable()
    assert found.status in (SENT, RETRY, FAILED, IN_DOUBT)
    assert (found.status == IN_DOUBT) <= (verb == Verb.END)
    assert (found.status == FAILED) <= (found.blame == ADDRESS and code >= 500)
