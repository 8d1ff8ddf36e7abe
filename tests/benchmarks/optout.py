"""How many opt-outs a second the address takes that mail programs post to (RFC 8058), and how long each waits.

The baseline, in turn with it: the style sheet of a brand, the lightest page there is (no database). So the ratio says
what an opt-out costs above answering at all, and stays comparable from one machine to another.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any

from .servers import ROOT, Place, place

PEOPLE = 4_000  # per round, at scale 1
CONNECTIONS = 8
WORKERS, THREADS = 2, 4
BODY = "List-Unsubscribe=One-Click"

MAKE = """
import django; django.setup()
import json, sys
from django.urls import reverse
from django.utils import timezone
from deliveries.models import Delivery, Target
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Address, Brand, Profile, Service, Source
from profiles.tokens import OptOutLink, Purpose, seal
count = int(sys.argv[1])
brand, now = Brand.objects.first(), timezone.now()
service = Service.objects.create(name="news", label={"en": "News"}, brand=brand)
delivery = Delivery.objects.create(label="News of May", brand=brand, service=service, target=Target.SERVICE)
people = Profile.objects.bulk_create([Profile(last_name=f"P{n}") for n in range(count)], batch_size=2000)
addresses = [Address.make(Channel.EMAIL, f"p{p.pk}@example.org", profile=p, position=1) for p in people]
Address.objects.bulk_create(addresses, batch_size=2000)
consent.subscribe([p.pk for p in people], service, evidence=Evidence(source=Source.IMPORT), at=now)
paths = []
for n, address in enumerate(addresses):
    link = OptOutLink(channel=1, digest=bytes(address.digest), log=n + 1, delivery=delivery.pk, service=service.pk)
    paths.append(reverse("landing:one_click", args=[seal(Purpose.ONE_CLICK, link.pack())]))
from django.db import connection
connection.cursor().execute("ANALYZE")
json.dump(paths, sys.stdout)
"""
COUNT = """
import django; django.setup()
from profiles.models import ConsentEvent, Subscription
print(Subscription.objects.count(), ConsentEvent.objects.filter(act="unsubscribe", source="one_click").count())
"""


def run(*, scale: int, repeat: int, tell: Callable[[str], object]) -> dict[str, Any]:
    """Measure; raise AssertionError when an answer or what it left in the database is wrong."""
    people = PEOPLE * scale
    rates, lightest, waits = [], [], []
    with place() as campaign:
        tell(f"Making {people * repeat:,} subscribers ...")
        paths = json.loads(campaign.manage("-c", MAKE, str(people * repeat)))
        with campaign.web(workers=WORKERS, threads=THREADS) as port:
            _send(port, ["GET /accent/1f6f5c.css HTTP/1.1\r\nHost: localhost\r\n\r\n"] * 200)
            for number in range(repeat):
                mine = paths[number * people : (number + 1) * people]
                seconds, _times = _send(port, ["GET /accent/1f6f5c.css HTTP/1.1\r\nHost: localhost\r\n\r\n"] * people)
                lightest.append(people / seconds)
                seconds, times = _send(port, [_post(path) for path in mine])
                rates.append(people / seconds)
                waits += times
                _check(campaign, left=people * (number + 1), of=len(paths))
                tell(f"{rates[-1]:,.0f} opt-outs/s; the lightest page {lightest[-1]:,.0f}/s")
    cuts = quantiles(waits, n=1000)
    return {
        "name": "optout", "people": people, "repeat": repeat, "workers": WORKERS, "connections": CONNECTIONS,
        "opt_outs_per_second": median(rates), "lightest_page_per_second": median(lightest),
        "ratio_to_lightest": median(a / b for a, b in zip(rates, lightest, strict=True)),
        "p50_ms": 1000 * cuts[499], "p99_ms": 1000 * cuts[989], "max_ms": 1000 * max(waits),
    }  # fmt: skip


def _post(path: str) -> str:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Mail program\r\nContent-Length: {len(BODY)}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\n\r\n{BODY}"
    )


def _send(port: int, requests: list[str]) -> tuple[float, list[float]]:
    """Return how long all of the requests took, and each; all must be answered with 200."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.load", str(port), str(CONNECTIONS)],
        cwd=ROOT, input=json.dumps(requests), capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert len(found["answers"]) == len(requests)
    assert {status for status, _seconds in found["answers"]} == {200}
    return found["seconds"], [seconds for _status, seconds in found["answers"]]


def _check(campaign: Place, *, left: int, of: int) -> None:
    """Everybody who was answered has left, once, and nobody else has."""
    subscribed, events = map(int, campaign.manage("-c", COUNT).split())
    assert (subscribed, events) == (of - left, left), (subscribed, events, left)
