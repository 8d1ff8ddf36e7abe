"""What the tests of the public pages share: visitors without cookies, forms as browsers send them, digests."""

import hashlib
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import caches
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from landing import counting, double_opt_in, limits, preferences, publishing, reconciliation
from landing.models import Kind, LandingPage, PendingOptIn, PreferencesRequest
from profiles.channels import Channel
from profiles.digests import digest
from profiles.models import ErasedOptOut, OutboxMessage, Profile, Service, Subscription
from profiles.tokens import OptOutLink, Purpose, seal
from quarantine.models import QuarantinedAddress
from tests.factories import LandingPageFactory

FLAGS = ("blacklisted", "blacklisted_email", "blacklisted_sms", "blacklisted_push", "blacklisted_direct_mail")


def visitor(language: str = "en", **extra: Any) -> Client:
    """Return a browser that holds no cookie, and that would be refused where a CSRF token is wanted."""
    return Client(enforce_csrf_checks=True, headers={"accept-language": language}, **extra)


def published(kind: Kind = Kind.SUBSCRIPTION, **fields: Any) -> LandingPage:
    page: LandingPage = LandingPageFactory.create(kind=kind, **fields)
    publishing.publish(page, at=timezone.now())
    return page


def digest_of(address: str) -> bytes:
    return digest(Channel.EMAIL, address)


def link(address: str, service: Service | None = None, delivery: int = 0, log: int = 0) -> OptOutLink:
    return OptOutLink(
        channel=Channel.EMAIL, digest=digest_of(address), service=service.pk if service else 0, delivery=delivery,
        log=log,
    )  # fmt: skip


def opt_out_url(to: OptOutLink) -> str:
    return reverse("landing:opt_out", args=[seal(Purpose.OPT_OUT_PAGE, to.pack())])


def one_click_url(to: OptOutLink) -> str:
    return reverse("landing:one_click", args=[seal(Purpose.ONE_CLICK, to.pack())])


def confirm_url(pending: PendingOptIn) -> str:
    return reverse("landing:confirm", args=[seal(Purpose.CONFIRM_OPT_IN, pending.pk.to_bytes(8, "big"))])


def preferences_url(asked: PreferencesRequest) -> str:
    return reverse("landing:preferences", args=[seal(Purpose.PREFERENCES, asked.pk.to_bytes(8, "big"))])


def send(client: Client, page: LandingPage, address: str, *, after: float = 10, **fields: Any) -> HttpResponse:
    """Send the form of a page as somebody does who has read it for a few seconds."""
    stamp = limits.seal_stamp(page.pk, at=timezone.now() - timedelta(seconds=after))
    return client.post(reverse("landing:page", args=[page.slug]), {"address": address, "stamp": stamp, **fields})


def handle(at: datetime | None = None) -> int:
    """Do what the task does that a form rings."""
    now = at or timezone.now()
    return reconciliation.handle_opt_outs(now) + double_opt_in.handle(now) + preferences.handle(now)


def tables() -> dict[str, str]:
    """Return a digest of every table, sessions and the cache among them; but not of the numbers of openings."""
    found = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            rows = sorted(repr(row) for row in cursor.fetchall() if not is_counter(row[0]))
            found[table] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    return found


def is_counter(key: object) -> bool:
    """Say whether the key of a cache, with or without its version, is that of a number that openings move."""
    return isinstance(key, str) and key.removeprefix(":1:").startswith(counting.PREFIX)


def changed(before: dict[str, str]) -> set[str]:
    after = tables()
    return {name for name in after if after[name] != before.get(name)}


def consents() -> tuple[Any, ...]:
    """Return all that decides whether somebody is written to."""
    return (
        list(Profile.objects.order_by("pk").values_list("pk", *FLAGS)),
        sorted(Subscription.objects.values_list("profile", "service", "expires_at"), key=repr),
        sorted((bytes(kept.digest), kept.channel, kept.service_id) for kept in ErasedOptOut.objects.all()),
        sorted(
            (bytes(row.digest), row.cause)
            for row in QuarantinedAddress.objects.blocking(timezone.now())
        ),
    )  # fmt: skip


def forbid_cache_writes(monkeypatch: Any) -> None:
    """Let nothing of the cache be written, but for the numbers of openings."""

    def unless_counter(write: Any) -> Any:
        def guarded(key: Any, *args: Any, **kwargs: Any) -> Any:
            assert is_counter(key), f"the cache was written to: {key}"
            return write(key, *args, **kwargs)

        return guarded

    for name in ("set", "add", "incr", "decr", "delete", "touch", "get_or_set", "set_many", "delete_many"):
        monkeypatch.setattr(caches["default"], name, unless_counter(getattr(caches["default"], name)))


def mails(template: str) -> list[OutboxMessage]:
    return list(OutboxMessage.objects.filter(template=template).order_by("pk"))
