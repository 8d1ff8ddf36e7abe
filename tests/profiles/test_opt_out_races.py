"""An opt-out by address, and somebody who is given that address at the same moment: one of the two waits."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from profiles import address_book, consent
from profiles.channels import Channel
from profiles.digests import digest
from profiles.imports import store
from profiles.models import Address, ConsentEvent, ErasedOptOut, Profile
from profiles.opt_outs import AddressOptOut
from profiles.verify import verify
from tests.factories import ProfileFactory
from tests.profiles.importing import NOW, PERSON, import_, only

pytestmark = pytest.mark.django_db(transaction=True)
ADDRESS = digest(Channel.EMAIL, "a@example.org")
OTHERS = [digest(Channel.EMAIL, f"o{n}@example.org") for n in range(5)]


def one() -> None:
    consent.opt_out_address(Channel.EMAIL, ADDRESS, service=None, flag=Channel.EMAIL, evidence=PERSON, at=NOW)


def one_within() -> None:
    """As pages and mail programs do it: inside a transaction of their own."""
    with transaction.atomic():
        one()


def many() -> None:
    entries = [AddressOptOut(value, channel=Channel.EMAIL) for value in (*OTHERS, ADDRESS)]
    consent.opt_out_addresses(entries, evidence=PERSON, at=NOW)


def aside(work: Callable[[], Any]) -> threading.Thread:
    """Do some work on another connection, and return when it has ended, or waits."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(0.5)
    return thread


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("opt_out", [one, one_within, many])
def test_an_address_that_is_just_being_imported_is_opted_out(monkeypatch, opt_out, late):
    original, threads = store.save, []

    def meanwhile(*args: Any, **more: Any) -> None:
        if late:
            original(*args, **more)
        threads.append(aside(opt_out))
        if not late:
            original(*args, **more)

    monkeypatch.setattr(store, "save", meanwhile)
    import_("email\na@example.org\n")
    threads[0].join()
    assert only().blacklisted_email
    assert verify().problems == []


@pytest.mark.parametrize("opt_out", [one, one_within, many])
def test_an_address_that_is_just_being_given_to_somebody_is_opted_out(opt_out):
    person = ProfileFactory()
    with transaction.atomic():
        address_book.change(person, saved=[Address.make(Channel.EMAIL, "a@example.org")], at=NOW)
        thread = aside(opt_out)
    thread.join()
    assert Profile.objects.get(pk=person.pk).blacklisted_email
    assert verify().problems == []


@pytest.mark.parametrize("opt_out", [one, one_within, many])
def test_an_address_that_is_given_to_somebody_while_it_is_opted_out_is_opted_out(opt_out):
    person = ProfileFactory()
    address = Address.make(Channel.EMAIL, "a@example.org")
    with transaction.atomic():
        opt_out()
        thread = aside(lambda: address_book.change(person, saved=[address], at=NOW))
    thread.join()
    assert Profile.objects.get(pk=person.pk).blacklisted_email
    assert verify().problems == []


def test_the_same_addresses_opted_out_twice_at_once_are_kept_once():
    ProfileFactory(email="a@example.org")
    with transaction.atomic():
        many()
        thread = aside(many)
    thread.join()
    assert ErasedOptOut.objects.count() == len(OTHERS)
    assert ConsentEvent.objects.count() == len(OTHERS) + 1
