"""A delivery while it is sent, in the browser: it refreshes by itself, says why it waits, and asks before it acts."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from deliveries import analysis, sending
from deliveries.held import Held, held
from deliveries.models import (
    Delivery,
    DeliveryLog,
    Lease,
    LogStatus,
    MailDomain,
    Reason,
    RunDomain,
    RunReason,
    State,
)
from tests.browser.test_public_screens import barriers
from tests.browser.test_workspace import SMALL_PHONE, Reader
from tests.browser.visiting import DESKTOP, OVERFLOW
from tests.deliveries.test_doubt import Lost
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
S = LogStatus
ANSWERS = (
    ("slow.example", 812, 0, 64, 0, "451 4.7.500 Server busy. Please try again later from [192.0.2.7]. (S77719)"),
    ("strict.example", 0, 2, 0, 9, "550 5.7.1 [192.0.2.7] Message refused: see https://strict.example/help/why?e=12"),
    ("tidy.example", 12_408, 31, 2, 0, "550 5.1.1 <someone@tidy.example>: Recipient address rejected: User unknown"),
)


def under_way(people: int = 9, *, doubtful: int = 2) -> Delivery:
    """Return a delivery that is being sent: some messages are in doubt, one is retried, the others are still to go."""
    service = ServiceFactory.create(label={"en": "Garden news", "fr": "Nouvelles du jardin"})
    for _n in range(people):
        ProfileFactory.create(services=[service])
    delivery = DeliveryFactory.create(service=service, label="Spring at last")
    now = timezone.now()
    analysis.start(delivery, at=now)
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    sending.start(delivery, at=now - timedelta(minutes=2))
    sending.work(delivery.pk, transport=Lost(doubtful))
    run, last = delivery.current_run, DeliveryLog.objects.filter(status=S.SENT).order_by("profile")
    waiting = now + timedelta(minutes=40)
    retried, *left = last.values_list("pk", flat=True)[:4]
    DeliveryLog.objects.filter(pk=retried).update(status=S.RETRY, not_before=waiting)
    DeliveryLog.objects.filter(pk__in=left).update(status=S.PENDING)
    Lease.objects.update(
        sent=people - doubtful - 4, retry=1, pending=3, in_doubt=doubtful, not_before=waiting, owner="w",
        expires_at=now + timedelta(hours=1),
    )  # fmt: skip
    for domain, taken, failed, deferred, blocked, answer in ANSWERS:
        RunDomain.objects.create(
            run=run, domain=domain, sent=taken, failed=failed, deferred=deferred, blocked=blocked, answer=answer,
            trouble=failed + deferred + blocked,
        )  # fmt: skip
    MailDomain.objects.create(domain="slow.example", deferrals=2, not_before=now + timedelta(minutes=12))
    for reason, since in ((Reason.BLACKLISTED_CHANNEL, 15), (Reason.QUARANTINED_BOUNCE, 2)):
        RunReason.objects.update_or_create(run=run, reason=reason, defaults={"since": since})
    Delivery.objects.update(state=State.SENDING, finished_at=None)
    delivery.refresh_from_db()
    return delivery


def stages() -> Iterator[tuple[str, str, str]]:
    """Yield the name of each stage, the page to look at, and what to press there first."""
    delivery = under_way()
    page = f"/admin/deliveries/delivery/{delivery.pk}/"
    yield "sending", page, ""
    yield "in-doubt", page + "in-doubt/", ""
    yield "in-doubt-again", page + "in-doubt/", "It did not arrive: send it again…"
    Delivery.objects.update(state=State.PAUSED, error="")
    yield "paused-by-somebody", page, ""
    Delivery.objects.update(error="550 5.7.1 [192.0.2.7] Our system has detected that this message is not wanted here")
    yield "refused", page, ""
    Delivery.objects.update(error=held(Held.HARD, number=31, of=420))
    yield "paused-by-itself", page, ""
    yield "home", "/admin/", ""
    DeliveryLog.objects.filter(status=S.IN_DOUBT).update(status=S.SENT)
    Lease.objects.update(sent=5, in_doubt=0)
    yield "none-in-doubt", page + "in-doubt/", ""


@pytest.mark.parametrize(
    ("language", "views"),
    [
        ("en", [("light", DESKTOP), ("dark", SMALL_PHONE)]),
        ("fr", [("light", SMALL_PHONE), ("dark", DESKTOP)]),
    ],
)
def test_no_screen_has_a_barrier_and_all_fit_a_phone(
    page: Any, live_server: Any, language: str, views: list[Any]
) -> None:
    reader = Reader(page, live_server, language)
    found: list[Any] = []
    number = 0
    for number, (name, path, press) in enumerate(stages(), start=1):  # noqa: B007
        for scheme, size in views:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size(size)
            page.goto(path)
            if press:
                page.locator("input[value=all]").check()
                reader.press(reader.words(press))
                page.locator("input[name=agreed]").wait_for(state="attached")
            grave = [barrier for barrier in barriers(page) if barrier[1] in ("serious", "critical")]
            found += [(name, scheme, size["width"], *barrier) for barrier in grave]
            found += [(name, size["width"], wider) for wider in [page.evaluate(OVERFLOW)] if wider > 0]
        page.goto("about:blank")
    assert found == []
    assert number == 8


def test_a_message_that_did_not_arrive_is_sent_again(page: Any, live_server: Any) -> None:
    reader, delivery = Reader(page, live_server), under_way()
    address = DeliveryLog.objects.filter(status=S.IN_DOUBT).latest("profile").address
    reader.open(delivery)
    reader.follow("See them, and say what became of them")
    page.get_by_label(f"Choose {address}").check()
    reader.press("It did not arrive: send it again…")
    reader.reads("Send 1 message again?")
    assert DeliveryLog.objects.filter(status=S.IN_DOUBT).count() == 2
    reader.press("Send 1 message again")
    reader.reads("1 message is sent again.")
    assert DeliveryLog.objects.get(status=S.RETRY, not_before=None).address == address


def test_the_page_follows_by_itself_and_stops_at_the_end(page: Any, live_server: Any) -> None:
    reader, delivery = Reader(page, live_server), under_way()
    reader.open(delivery)
    RunDomain.objects.create(run=delivery.current_run, domain="new.example", failed=99, trouble=99, answer="550 no")
    page.get_by_text("new.example").wait_for()  # fetched by itself
    DeliveryLog.objects.filter(status__in=[S.RETRY, S.PENDING]).update(status=S.SENT)
    Lease.objects.update(sent=7, retry=0, pending=0)
    Delivery.objects.update(state=State.FINISHED, finished_at=timezone.now())
    page.locator("#progress").wait_for(state="detached")
    assert page.locator("#live").get_attribute("data-moving") is None
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2_500)
    assert asked == []


def test_without_scripts_a_link_refreshes_what_is_sent(browser: Any, live_server: Any) -> None:
    context = browser.new_context(base_url=live_server.url, locale="en-GB", java_script_enabled=False)
    context.set_default_timeout(10_000)
    reader, delivery = Reader(context.new_page(), live_server), under_way()
    reader.open(delivery)
    reader.reads("Sending: 3 sent, 4 to go, of 9.")
    DeliveryLog.objects.filter(status=S.PENDING).update(status=S.SENT)
    Lease.objects.update(sent=6, pending=0)
    reader.follow("Refresh")
    reader.reads("Sending: 6 sent, 1 to go, of 9.")
    context.close()
