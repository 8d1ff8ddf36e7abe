"""Own rules for answers: tried first, found in a time that nobody can stretch, refused when they say too little."""

import time
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import reverse

from profiles.models import AuditEvent
from quarantine import answer_rules
from quarantine.failures import Failure, Fault, Kind, classify
from quarantine.known_answers import KNOWN
from quarantine.models import AnswerRule, Effect, Reason, Whose
from tests.quarantine.test_blocked_domains import of_role

pytestmark = pytest.mark.django_db
ADD, LIST = reverse("admin:quarantine_answerrule_add"), reverse("admin:quarantine_answerrule_changelist")


def rule(pattern: str, effect: Effect = Effect.HARD, **fields: Any) -> AnswerRule:
    return AnswerRule.objects.create(pattern=pattern, effect=effect, **{"reason": Reason.ACCOUNT_DISABLED, **fields})


def said(text: str, code: int = 550) -> Failure:
    answer_rules.forget()
    return classify(code, text, answer_rules.own_rules())


@pytest.mark.parametrize(
    ("pattern", "answer", "fits"),
    [
        ("no longer with us", "550 She is NO LONGER  with\r\n us", True),
        ("No Longer With Us", "no longer with us", True),
        ("left * company", "550 Bob has left our company", True),
        ("left*company", "550 Bob has left the company in May", True),
        ("left * company", "550 the company was left", False),
        ("*left*", "550 has left", True),
        ("5.9.1 gone", "550 5.9.1 Gone", True),
        ("a.b+c?[d] gone", "550 a.b+c?[d] gone", True),
        ("a.b gone", "550 axb gone", False),
        ("gone gone", "550 gone", False),
        ("已离职", "550 该员工已离职", True),
    ],
)
def test_words_are_found_as_they_stand_with_anything_where_a_star_is(pattern: str, answer: str, fits: bool) -> None:
    rule(pattern)
    own = Failure(Kind.HARD, Reason.ACCOUNT_DISABLED)
    assert (said(answer, 0) == own) is fits


def test_an_own_rule_goes_before_the_built_in_ones_and_the_lowest_position_first() -> None:
    assert said("5.1.1 User unknown").kind == Kind.HARD
    later = rule("user unknown", Effect.SOFT, position=20, reason=Reason.UNREACHABLE)
    rule("unknown", Effect.IGNORED, position=10, reason=Reason.REFUSED)
    assert said("5.1.1 User unknown") == Failure(Kind.IGNORED, Reason.REFUSED)
    AnswerRule.objects.filter(pk=later.pk).update(position=5)
    assert said("5.1.1 User unknown") == Failure(Kind.SOFT, Reason.UNREACHABLE)
    AnswerRule.objects.update(is_active=False)
    assert said("5.1.1 User unknown") == Failure(Kind.HARD, Reason.USER_UNKNOWN)


@pytest.mark.parametrize(("whose", "fault"), [(Whose.DOMAIN, Fault.DOMAIN), (Whose.SENDER, Fault.SENDER)])
def test_what_is_about_us_or_a_domain_never_counts_against_an_address(whose: Whose, fault: Fault) -> None:
    rule("come back later", whose=whose)
    assert said("come back later") == Failure(Kind.IGNORED, Reason.ACCOUNT_DISABLED, fault)


def test_no_rule_takes_long_on_any_answer() -> None:
    rules = [answer_rules.compiled(AnswerRule(pattern="*".join(["aaaa"] * 8), effect=Effect.HARD))] * 100
    began = time.process_time()
    for answer in ("a" * 1_000_000, "aaaa " * 100_000 + "b", "aaab" * 100_000):
        classify(550, answer, rules)
    assert time.process_time() - began < 1


def test_rules_are_read_once_a_minute(django_assert_num_queries: Any) -> None:
    rule("no longer with us")
    answer_rules.forget()
    with django_assert_num_queries(1):
        assert len(answer_rules.own_rules()) == 1
        assert answer_rules.own_rules() is answer_rules.last_read()
    rule("has left the company")
    with django_assert_num_queries(0):
        assert len(answer_rules.own_rules()) == 1
    answer_rules._kept.until = time.monotonic() - 1
    assert len(answer_rules.own_rules()) == 2


def test_a_database_that_does_not_answer_leaves_the_rules_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    rule("no longer with us")
    answer_rules.forget()
    before = answer_rules.own_rules()
    answer_rules._kept.until = 0.0

    def fail() -> None:
        raise OperationalError

    monkeypatch.setattr(answer_rules, "read_rules", fail)
    assert answer_rules.own_rules() == before


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("***", "Write some words"),
        ("no", "at least 4 letters"),
        ("a*b*c", "at least 4 letters"),
        ("550", "at least 4 letters"),
        ("5.7", "at least 4 letters"),
        ("*".join(["word"] * 9), "at most 7 stars"),
        ("user", "well-known answers"),
        ("recipient", "well-known answers"),
        ("message", "count against the address in"),
        ("system has detected", "count against the address in"),
        ("mailbox", "count against the address in"),
        ("departed", "Write at least two"),
        ("said *http://", "Put a star in their place"),
        ("unknown @post.example", "Put a star in their place"),
    ],
)
def test_a_rule_that_says_too_little_is_refused_with_a_remedy(pattern: str, told: str) -> None:
    page = of_role("administrator").post(ADD, fields(pattern)).content.decode()
    assert told in page
    assert not AnswerRule.objects.exists()


def test_a_rule_by_which_nothing_follows_for_an_address_may_be_one_word() -> None:
    client = of_role("administrator")
    assert client.post(ADD, fields("senderscore", effect="ignored")).status_code == 302
    assert client.post(ADD, fields("4.7.999", effect="soft")).status_code == 302


def fields(pattern: str, **more: Any) -> dict[str, Any]:
    return {
        "pattern": pattern, "effect": "hard", "reason": "4", "whose": "address", "position": "100", "is_active": "on",
        "note": "", "sample": "", **more,
    }  # fmt: skip


def test_an_administrator_adds_changes_and_deletes_a_rule_and_each_is_noted() -> None:
    client = of_role("administrator")
    assert client.post(ADD, fields("  no   longer with us ", sample="550 No longer with us.")).status_code == 302
    made = AnswerRule.objects.get()
    assert made.pattern == "no longer with us"
    assert classify(550, "no longer with us", answer_rules.own_rules()).kind == Kind.HARD
    url = reverse("admin:quarantine_answerrule_change", args=[made.pk])
    client.post(url, fields("no longer with us", effect="ignored"))
    assert classify(550, "no longer with us", answer_rules.own_rules()).kind == Kind.IGNORED
    client.post(reverse("admin:quarantine_answerrule_delete", args=[made.pk]), {"post": "yes"})
    assert answer_rules.own_rules() == ()
    assert [event.action for event in AuditEvent.objects.order_by("pk")] == ["added", "changed", "deleted"]
    assert "sample" not in AuditEvent.objects.earliest("pk").after


def test_a_sample_that_the_rule_does_not_fit_is_told() -> None:
    page = of_role("administrator").post(ADD, fields("has left the company", sample="550 No such user"))
    assert "does not fit this answer" in page.content.decode()
    assert not AnswerRule.objects.exists()


def test_what_is_not_the_fault_of_the_address_cannot_leave_it_out() -> None:
    page = of_role("administrator").post(ADD, fields("has left the company", whose="sender"))
    assert "Only what is the fault of the address can leave it out" in page.content.decode()
    assert not AnswerRule.objects.exists()


def test_the_known_answers_that_a_rule_decides_are_shown_after_saving() -> None:
    client = of_role("administrator")
    page = client.post(ADD, fields("unrouteable address"), follow=True).content.decode()
    assert "Unrouteable address" in page
    assert "Is that what you want?" in page
    assert AnswerRule.objects.count() == 1


def test_an_answer_becomes_a_rule_without_what_is_about_one_message() -> None:
    answer = "550 5.1.1 <bob@example.org>: Bob is not here today, see https://example.org/?id=7 (id 12ab34)"
    words = answer_rules.suggestion(answer)
    assert words == "5.1.1 * Bob is not here today, see * (id"
    client = of_role("administrator")
    page = client.post(ADD, {"_prefill": "1", "answer": answer})
    assert page.status_code == 200
    form = page.context["adminform"].form
    assert (form["pattern"].value(), form["sample"].value()) == (words, answer)
    assert not AnswerRule.objects.exists()


@pytest.mark.parametrize("answer", [*KNOWN, "", "@", "1 2 3", "x " * 500, "a1 b " * 100, "ä" * 3_000])
def test_what_is_suggested_fits_the_answer_and_is_short(answer: str) -> None:
    words = answer_rules.suggestion(answer)
    assert len(words) <= answer_rules.LONGEST_PATTERN
    own = answer_rules.compiled(AnswerRule(pattern=words, effect=Effect.HARD))
    assert not words or own.fits(" ".join(answer.lower().split()))


@pytest.mark.parametrize("role", ["viewer", "operator", "marketer"])
def test_only_administrators_change_rules(role: str) -> None:
    made = rule("no longer with us")
    client = of_role(role)
    assert client.post(ADD, fields("has left the company")).status_code == 403
    assert client.post(ADD, {"_prefill": "1", "answer": "x"}).status_code == 403
    page = client.get(reverse("admin:quarantine_answerrule_change", args=[made.pk]))
    assert page.status_code == 200
    assert 'name="sample"' not in page.content.decode()
    assert "no longer with us" in client.get(LIST).content.decode()
    assert Client().get(LIST).status_code == 302
