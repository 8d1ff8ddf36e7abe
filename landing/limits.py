"""What keeps robots from using a form to write to strangers: a stamp of time, and a limit per network.

stamp = seal_stamp(page, at=...)     goes into the form when it is shown
is_fresh(stamp, page, at=...)        when it comes back: neither too fast for a person, nor older than a day
has_room(ip)                         counts one form from a network address, in the shared cache
"""

import ipaddress
import struct
from datetime import datetime, timedelta

from django.conf import settings
from django.core.cache import cache

from profiles.errors import TokenRefused
from profiles.tokens import Purpose, open_token, seal

TOO_FAST = timedelta(seconds=1.5)
TOO_OLD = timedelta(days=1)
WINDOW = timedelta(hours=1)
_STAMP = struct.Struct(">QQ")


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


def has_room(ip: str) -> bool:
    """Count one form from a network address; say whether it is still within the limit of an hour.

    The window starts with its first form. Two at the same moment may be counted as one on a cache without atomic
    counters: a limit need not be exact.
    """
    limit: int = settings.PUBLIC_POSTS_PER_HOUR
    key = f"landing.posts:{_network(ip)}"
    if cache.add(key, 1, WINDOW.total_seconds()):
        return limit >= 1
    try:
        return int(cache.incr(key)) <= limit
    except ValueError:  # it has just expired
        return True


def _network(ip: str) -> str:
    """Return what is counted as one: an IPv4 address, or the /64 that one IPv6 subscriber is given (RFC 6177)."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return "unknown"
    return str(address) if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))
