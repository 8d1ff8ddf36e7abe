"""The mail systems of the demonstration: what they refuse and return, and that Campaign understands it."""

import smtplib
import time
from collections import Counter
from pathlib import Path

import pytest

from campaign.demo import caught, people, provider
from campaign.demo.provider import Behaviour, Post
from quarantine.failures import Kind
from quarantine.inbound.reports import understand
from quarantine.models import ReportKind
from tests.campaign.test_demo import message, running_catcher

SENDER = "aeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaib@returned.example"


def addresses(wanted: Behaviour, *, outage: bool = False) -> list[str]:
    emails = [line.email for line in people.read(people.Person, "people.csv") if line.email]
    return [email for email in emails if provider.behaviour(email, outage=outage) == wanted]


def sent_to(address: str) -> Post:
    return Post(SENDER, address, message(to=address).as_bytes())


def test_each_behaviour_is_met_by_some_and_an_outage_by_one_provider_s_people_only() -> None:
    emails = [line.email for line in people.read(people.Person, "people.csv")]
    met = Counter(provider.behaviour(email, outage=True) for email in emails)
    assert all(met[one] >= 5 for one in Behaviour), met
    assert met[None] > 0.9 * len(emails)
    assert {email.lower().rpartition("@")[2] for email in addresses(Behaviour.OUTAGE, outage=True)} == {
        provider.OUTAGE_DOMAIN
    }
    assert addresses(Behaviour.OUTAGE) == []


@pytest.mark.parametrize(
    "address", [*(person.email for person in people.KNOWN), "visitor@post.example", "", "no address"]
)
def test_those_whom_the_guide_names_and_visitors_always_get_their_mail(address: str) -> None:
    assert provider.behaviour(address, outage=True) is None
    assert provider.refusal(address) == ""
    assert provider.comes_back(Post(SENDER, address, b""), outage=True) == b""


@pytest.mark.parametrize("behaviour", [Behaviour.RETURNED, Behaviour.OUTAGE])
def test_what_is_returned_is_understood_in_each_of_its_forms(behaviour: Behaviour) -> None:
    for address in addresses(behaviour, outage=True):
        found = understand(provider.comes_back(sent_to(address), outage=True))
        assert found.kind == ReportKind.BOUNCE
        [who] = found.recipients
        assert who.address.lower() == address.lower() and who.failure and who.failure.kind == Kind.HARD
        assert SENDER.partition("@")[0] in found.return_paths


def test_complaints_and_automatic_replies_are_told_from_what_was_returned() -> None:
    for address in addresses(Behaviour.COMPLAINT):
        found = understand(provider.comes_back(sent_to(address), outage=False))
        assert (found.kind, found.recipients) == (ReportKind.COMPLAINT, ()), "the provider does not say who it was"
    for address in addresses(Behaviour.AWAY):
        assert understand(provider.comes_back(sent_to(address), outage=False)).kind == ReportKind.AUTO_REPLY


def test_the_catcher_refuses_takes_and_returns(tmp_path: Path) -> None:
    where = tmp_path / "caught"
    refused, returned = addresses(Behaviour.UNKNOWN)[0], addresses(Behaviour.RETURNED)[0]
    with running_catcher(tmp_path, where) as port, smtplib.SMTP("127.0.0.1", port, timeout=10) as connection:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as answer:
            connection.sendmail(SENDER, [refused], message(to=refused).as_bytes())
        assert answer.value.recipients[refused][0] == 550
        connection.sendmail(SENDER, [returned], message(to=returned).as_bytes())
        connection.sendmail("", [returned], message(to=returned).as_bytes())  # a report is never reported on
        until = time.monotonic() + 30
        while not (files := list(caught.returned(where).glob("*.eml"))) and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.2)
        assert len(files) == len(list(caught.returned(where).glob("*.eml"))) == 1
    assert understand(files[0].read_bytes()).recipients[0].address.lower() == returned.lower()
    assert [found.sender for found in caught.since(where, "")] == [SENDER, ""]
