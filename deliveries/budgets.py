"""How many messages may leave to a mail domain now: kept where all workers see it.

    budget = shared()                            Redis where the cache is one, else rows of the database
    wait = budget.take(limit, owner="w1", at=time.time())      0.0: go; else so many seconds at least
    budget.give_back(limit, owner="w1")          once the message has left

The rate is kept by one number for each domain, the moment from which the next message may leave (the generic cell
rate algorithm of ITU-T I.371). Slots for messages at the same time are held for a while only, so that a worker that is
killed keeps none for ever.
"""

import logging
import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import redis
from django.conf import settings
from django.core.cache import cache
from django.db.models import F
from django.db.models.functions import Greatest

from .models import DomainSlot, MailDomain

log = logging.getLogger(__name__)
AHEAD = 0.1  # seconds that a message may come too early, so that short naps lose nothing of the rate
SLOT_TAKEN = 0.05  # seconds after which to ask again when all slots are taken


@dataclass(frozen=True, slots=True)
class Limit:
    """What a domain takes: `interval` in seconds between two messages (0: any), `at_once` (0: any)."""

    pk: int
    domain: str
    interval: float
    at_once: int


class Budget(Protocol):
    """Where limits are kept."""

    def take(self, limit: Limit, *, owner: str, at: float | None = None) -> float:
        """Take leave for one message, at a moment (of `time.time()`; by default the store's own clock).

        Return 0.0, or the seconds after which to ask again.
        """
        ...

    def give_back(self, limit: Limit, *, owner: str) -> None:
        """Free the slot of a message that has left."""
        ...


def slot_seconds() -> float:
    """Return how long a slot is held at most: a dialogue has some four steps that may each time out."""
    return float(4 * settings.EMAIL_TIMEOUT + 10)


class TableBudget:
    """In the database: a conditional update each, of which only the row count is trusted."""

    def take(self, limit: Limit, *, owner: str, at: float | None = None) -> float:
        now = time.time() if at is None else at
        if limit.at_once and not self._take_slot(limit, owner, now):
            return SLOT_TAKEN
        if not limit.interval:
            return 0.0
        free = MailDomain.objects.filter(pk=limit.pk, next_at__lte=now + AHEAD)
        if free.update(next_at=Greatest(F("next_at"), now) + limit.interval):
            return 0.0
        self.give_back(limit, owner=owner)
        next_at = MailDomain.objects.filter(pk=limit.pk).values_list("next_at", flat=True).first() or now
        return float(max(next_at - AHEAD - now, 0.001))

    def give_back(self, limit: Limit, *, owner: str) -> None:
        if limit.at_once:
            DomainSlot.objects.filter(domain=limit.pk, owner=owner).update(owner="", expires_at=0)

    def _take_slot(self, limit: Limit, owner: str, now: float) -> bool:
        slots = DomainSlot.objects.filter(domain=limit.pk, number__lte=limit.at_once)
        if slots.count() < limit.at_once:
            numbers = range(1, limit.at_once + 1)
            new = [DomainSlot(domain_id=limit.pk, number=number) for number in numbers]
            DomainSlot.objects.bulk_create(new, ignore_conflicts=True)
        while (slot := slots.filter(expires_at__lte=now).order_by("number").first()) is not None:
            taken = DomainSlot.objects.filter(pk=slot.pk, expires_at__lte=now)
            if taken.update(owner=owner, expires_at=now + slot_seconds()):
                return True
        return False


_SCRIPT = """
local now = tonumber(ARGV[1])
if not now then local t = redis.call('TIME'); now = t[1] + t[2] / 1000000 end
local interval, at_once = tonumber(ARGV[2]), tonumber(ARGV[3])
if at_once > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
  if redis.call('ZCARD', KEYS[2]) >= at_once then return ARGV[6] end
end
if interval > 0 then
  local next_at = tonumber(redis.call('GET', KEYS[1]) or '0')
  local wait = next_at - tonumber(ARGV[7]) - now
  if wait > 0 then return string.format('%.6f', wait) end
  redis.call('SET', KEYS[1], string.format('%.6f', math.max(next_at, now) + interval), 'EX', 86400)
end
if at_once > 0 then
  redis.call('ZADD', KEYS[2], now + tonumber(ARGV[5]), ARGV[4])
  redis.call('EXPIRE', KEYS[2], 86400)
end
return '0'
"""


class RedisBudget:
    """In Redis: one script, by the server's clock. Where Redis does not answer, in the database."""

    def __init__(self, client: Any) -> None:
        self._client, self._script = client, client.register_script(_SCRIPT)
        self._instead = TableBudget()
        self._told = threading.Event()

    def take(self, limit: Limit, *, owner: str, at: float | None = None) -> float:
        keys = [f"campaign:domain:{limit.domain}:next", f"campaign:domain:{limit.domain}:slots"]
        values = ["" if at is None else at, limit.interval, limit.at_once, owner, slot_seconds(), SLOT_TAKEN, AHEAD]
        try:
            return float(self._script(keys=keys, args=values))
        except redis.RedisError:
            self._tell()
            return self._instead.take(limit, owner=owner, at=at)

    def give_back(self, limit: Limit, *, owner: str) -> None:
        if not limit.at_once:
            return
        try:
            self._client.zrem(f"campaign:domain:{limit.domain}:slots", owner)
        except redis.RedisError:
            self._tell()
        self._instead.give_back(limit, owner=owner)

    def _tell(self) -> None:
        if not self._told.is_set():
            self._told.set()
            log.warning("Redis does not answer: the limits of mail domains are kept in the database meanwhile.")


@lru_cache(maxsize=1)
def shared() -> Budget:
    """Return where the limits of this installation are kept."""
    if settings.CACHES["default"]["BACKEND"].endswith("RedisCache"):
        connections: Any = cache._cache  # type: ignore[attr-defined]  # those of Django's cache
        return RedisBudget(connections.get_client(None, write=True))
    return TableBudget()
