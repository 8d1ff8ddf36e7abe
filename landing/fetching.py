"""Fetch the mail of a mailbox (IMAP_URL) and receive it, one worker at a time.

A message is put away only when what follows from it has been committed: a worker that is killed in between receives it
again, which changes nothing.
"""

import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.core.cache import cache
from django.db import Error

from deliveries.reported import Outcome

from . import mailbox
from .imap import After, Mailbox, Place, Trouble

LOCK = "landing.fetching"
LOCKED_FOR = timedelta(minutes=10)  # a worker that was killed is waited for this long; it is renewed with each group
log = logging.getLogger(__name__)


def after() -> tuple[After, str]:
    """Return what INBOUND_AFTER asks for, with the folder to move to; raise ValueError."""
    word, _colon, folder = settings.INBOUND_AFTER.partition(":")
    found = After(word)
    if (found == After.MOVE) != bool(folder) or not (folder.isascii() and folder.isprintable()):
        raise ValueError(settings.INBOUND_AFTER)
    return found, folder


def fetch(*, clock: Callable[[], datetime], budget: timedelta) -> Counter[Outcome] | None:
    """Receive what waits in the mailbox, for about so long; return how many messages had which outcome.

    None when another worker is at it. Raises Trouble, and Errors of the database.
    """
    put, folder = after()
    place = Place.read(settings.IMAP_URL)
    told = Counter[Outcome]()
    until = time.monotonic() + budget.total_seconds()
    with _alone() as mine:
        if not mine:
            return None
        with Mailbox.open(place) as box:
            for group in box.groups(box.waiting(put)):
                if time.monotonic() > until:
                    break
                messages = box.fetch(group)
                receipts = mailbox.receive([one.raw for one in messages], at=clock(), source=mailbox.IMAP)
                told.update(receipt.outcome for receipt in receipts)
                for receipt in receipts:
                    if receipt.error:
                        log.error("A message of the mailbox could not be dealt with: %s", receipt.error)
                if messages:
                    box.put_away([one.uid for one in messages], put, folder)
                cache.touch(LOCK, LOCKED_FOR.total_seconds())
    return told


def fetch_or_wait(*, clock: Callable[[], datetime], budget: timedelta) -> Counter[Outcome] | None:
    """Do `fetch`; trouble is noted, and what was not received waits for the next time."""
    try:
        return fetch(clock=clock, budget=budget)
    except Trouble as trouble:
        log.warning("Mail could not be fetched: %s", trouble)
    except Error as error:  # its kind only: the words of a database may hold an address
        log.warning("Fetched mail could not be received: %s", type(error).__name__)
    return None


@contextmanager
def _alone() -> Iterator[bool]:
    """Keep others from fetching; yield whether nobody else is at it."""
    mark = secrets.token_hex(8)
    mine = cache.add(LOCK, mark, LOCKED_FOR.total_seconds())
    try:
        yield mine
    finally:
        if mine and cache.get(LOCK) == mark:
            cache.delete(LOCK)
