"""What keeps robots from using a form to write to strangers: a stamp of time, and counts in the shared cache.

    stamp = seal_stamp(page, at=...)         goes into the form when it is shown
    is_fresh(stamp, page, at=...)            when it comes back: neither too fast for a person, nor older than a day
    room_to_ask(form, digest, ip=, at=)      counts a form that makes us write to somebody: an opt-in, a link asked for
    room_to_stop(ip=, at=)                   counts a form by which somebody stops messages
    is_first(proof)                          notes a proof of work (see captcha), which is good for one form
    room_for_strangers(ip=, at=)             whether a network may still try the webhooks of mail providers
    note_stranger(ip=, at=)                  counts what was not signed there; what is signed is never counted

Asking is counted per network, per address and altogether. Somebody who asks too often for one address gets the same
answer as ever, and nothing is stored: the address is written to once a day at most anyway.

Stopping is counted per network only, and far more generously: many people of one office may leave within an hour, and
refusing them would be worse than letting somebody stop messages for others, which the ledger shows and an operator can
take back. The links and buttons of messages are not counted at all.

Without its cache, nothing can be counted. Then asking has to wait, and stopping goes on.
"""

import ipaddress
import logging
import struct
from contextlib import suppress
from datetime import datetime, timedelta
from enum import Enum, auto

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError
from redis.exceptions import RedisError

from profiles.errors import TokenRefused
from profiles.tokens import Purpose, open_token, seal

TOO_FAST = timedelta(seconds=1.5)
TOO_OLD = timedelta(days=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PREFIX = "landing.limit:"
DOWN = (RedisError, DatabaseError, OSError)  # what a shared cache raises that does not answer
_STAMP = struct.Struct(">QQ")
logger = logging.getLogger(__name__)


class Room(Enum):
    """What is done with a form."""

    TAKE = auto()
    FORGET = auto()  # answered as ever, not stored
    NETWORK_FULL = auto()
    SITE_FULL = auto()  # or nobody can say whether it is


class CannotCount(RuntimeError):
    """The shared cache does not answer."""


def seal_stamp(page: int, *, at: datetime) -> str:
    """Return the sealed moment at which the form of a page was shown."""
    return seal(Purpose.FORM, _STAMP.pack(page, int(at.timestamp() * 1000)))


def is_fresh(stamp: str, page: int, *, at: datetime) -> bool:
    """Say whether a form comes back after a time in which a person fills it in."""
    try:
        of, milliseconds = _STAMP.unpack(open_token(Purpose.FORM, stamp))
    except (TokenRefused, struct.error):
        return False
    age = timedelta(milliseconds=int(at.timestamp() * 1000) - milliseconds)
    return bool(of == page and TOO_FAST <= age <= TOO_OLD)


def room_to_ask(form: str, digest: bytes, *, ip: str, at: datetime) -> Room:
    """Count a form (by its name) for an address; say whether it may make us write to it.

    What is refused for one limit is not counted for the next: neither a network nor one flooded address can use up
    the room of all.
    """
    try:
        if _count(f"ask:{_network(ip)}", HOUR, at) > settings.PUBLIC_POSTS_PER_HOUR:
            return Room.NETWORK_FULL
        if _count(f"ask:{form}:{digest.hex()}", DAY, at) > settings.PUBLIC_POSTS_PER_ADDRESS:
            return Room.FORGET
        if _count("ask:all", HOUR, at) > settings.PUBLIC_POSTS_ALTOGETHER:
            logger.error("More than %s forms in an hour: the others wait.", settings.PUBLIC_POSTS_ALTOGETHER)
            return Room.SITE_FULL
    except CannotCount:
        logger.error("The shared cache does not answer: nobody can opt in until it does.")
        return Room.SITE_FULL
    return Room.TAKE


def room_to_stop(*, ip: str, at: datetime) -> Room:
    """Count a form by which somebody stops messages; say whether it is acted upon."""
    try:
        if _count(f"stop:{_network(ip)}", HOUR, at) > settings.PUBLIC_OPT_OUTS_PER_HOUR:
            return Room.NETWORK_FULL
    except CannotCount:
        logger.error("The shared cache does not answer: opt-outs are taken without a limit.")
    return Room.TAKE


def room_for_strangers(*, ip: str, at: datetime) -> Room:
    """Say whether a network has been refused so often that it is no longer listened to. Nothing is counted."""
    try:
        tried = cache.get(_key(f"hook:{_network(ip)}", HOUR, at), 0)
    except DOWN:
        return Room.TAKE
    return Room.TAKE if int(tried) < settings.HOOK_REFUSALS_PER_HOUR else Room.NETWORK_FULL


def note_stranger(*, ip: str, at: datetime) -> None:
    """Count a request that nobody had signed."""
    with suppress(CannotCount):
        _count(f"hook:{_network(ip)}", HOUR, at)


def is_first(proof: str) -> bool:
    """Say whether a proof of work has not been used before; where nobody can say, nothing is taken anyway."""
    try:
        return bool(cache.add(f"{PREFIX}proof:{proof}", 1, 2 * HOUR.total_seconds()))
    except DOWN:
        return True


def _count(name: str, span: timedelta, at: datetime) -> int:
    """Count one under a name; return how many there were in the current hour or day of the clock.

    Two at the same moment may be counted as one on a cache without atomic counters: a limit need not be exact.
    """
    seconds = span.total_seconds()
    key = _key(name, span, at)
    try:
        for _again in range(2):  # somebody else may begin the count between the two commands
            with suppress(ValueError):  # there is none yet
                return int(cache.incr(key))
            if cache.add(key, 1, 2 * seconds):
                return 1
    except DOWN as error:
        raise CannotCount from error
    raise CannotCount  # the database's cache hides that it cannot write


def _key(name: str, span: timedelta, at: datetime) -> str:
    return f"{PREFIX}{name}:{int(at.timestamp() // span.total_seconds())}"


def _network(ip: str) -> str:
    """Return what is counted as one: an IPv4 address, or the /64 that one IPv6 subscriber is given (RFC 6177).

    A server that listens on IPv6 writes IPv4 addresses in its own way (RFC 4291 section 2.5.5.2).
    """
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return "unknown"
    if address.version == 4:
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
