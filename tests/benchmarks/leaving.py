"""Whether people can leave at once while a delivery goes out at full speed: 50 opt-outs a second, by one-click posts.

Each is answered by a web server of its own processes. It counts as honoured when the person has left in the database,
and their message was not claimed after the answer.
"""

import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from statistics import quantiles
from typing import Any

from tests.mailsink import MailSink

from .sending import TUNED
from .servers import ROOT, Place, place

MESSAGES = 50_000  # at scale 1
PER_SECOND = 50
CONNECTIONS, WORKERS, THREADS = 2, 2, 4  # connections: what a machine of two processors has by default
BODY = "List-Unsubscribe=One-Click"

LINKS = """
import django; django.setup()
import json, random, sys
from django.urls import reverse
from deliveries.models import DeliveryLog
from profiles.tokens import OptOutLink, Purpose, seal
rows = list(DeliveryLog.objects.order_by("profile").values_list("pk", "profile", "digest", "delivery"))
late = random.Random(1).sample(rows[len(rows) // 5 :], min(len(rows) // 2, int(sys.argv[1])))
links = [OptOutLink(channel=1, digest=bytes(d), log=pk, delivery=to, service=1) for pk, _person, d, to in late]
json.dump([[person, reverse("landing:one_click", args=[seal(Purpose.ONE_CLICK, link.pack())])]
           for (pk, person, d, to), link in zip(late, links)], sys.stdout)
"""
CHECK = """
import django; django.setup()
import json, sys
from datetime import UTC, datetime
from deliveries.models import DeliveryLog
from profiles.models import Subscription
answered = json.load(open(sys.argv[1]))
people = [person for person, _at in answered]
still = Subscription.objects.filter(profile__in=people).count()
rows = DeliveryLog.objects.filter(profile__in=people, claimed_at__isnull=False)
claimed = dict(rows.values_list("profile", "claimed_at"))
after = [p for p, at in answered if p in claimed and claimed[p] > datetime.fromtimestamp(at, tz=UTC)]
before = [p for p, at in answered if p in claimed]
sent = DeliveryLog.objects.filter(status=4).count()
json.dump({"still": still, "after": len(after), "before": len(before), "sent": sent}, sys.stdout)
"""


def run(*, scale: int, repeat: int, tell: Callable[[str], object]) -> dict[str, Any]:
    """Measure once, whatever `repeat` says; raise AssertionError when somebody who left was written to."""
    messages = MESSAGES * scale
    with place(tuned=TUNED) as campaign, MailSink() as sink:
        campaign.environment.update({"EMAIL_URL": sink.url, "PUBLIC_OPT_OUTS_PER_HOUR": "1000000"})
        tell(f"Making {messages:,} subscribers ...")
        campaign.manage("-m", "tests.benchmarks.sending_parts", "make", str(messages))
        links = json.loads(campaign.manage("-c", LINKS, str(messages)))
        with campaign.web(workers=WORKERS, threads=THREADS) as port:
            began = time.monotonic()
            sender = subprocess.Popen(
                [sys.executable, "-m", "tests.benchmarks.sending_parts", "send", str(CONNECTIONS)],
                cwd=ROOT, env=campaign.environment, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            waits, answered = _post_while(sender, port, links)
            seconds = time.monotonic() - began
            assert sender.returncode == 0
        found = _check(campaign, answered)
        assert found["sent"] == len(sink.accepted())
    assert found["still"] == 0, f"{found['still']} who were answered are subscribed still"
    assert found["after"] == 0, f"{found['after']} messages were claimed after the answer"
    cuts = quantiles(waits, n=100)
    tell(f"{len(answered):,} left while {found['sent']:,} messages went out in {seconds:.0f} s")
    return {
        "name": "leaving", "messages": found["sent"], "seconds": seconds, "per_second": found["sent"] / seconds,
        "opt_outs": len(answered), "too_late_for_the_message": found["before"], "p50_ms": cuts[49], "p99_ms": cuts[98],
        "max_ms": max(waits),
    }  # fmt: skip


def _post_while(
    sender: subprocess.Popen[bytes], port: int, links: list[tuple[int, str]]
) -> tuple[list[float], list[tuple[int, float]]]:
    """Post fifty a second until the sender ends; return what each took in milliseconds, and who was answered when."""
    waits: list[float] = []
    answered: list[tuple[int, float]] = []
    source, lock, start = iter(links), threading.Lock(), time.monotonic()
    number = 0

    def client() -> None:
        nonlocal number
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while sender.poll() is None:
            with lock:
                person, path = next(source, (0, ""))
                due = start + number / PER_SECOND
                number += 1
            if not path:
                return
            time.sleep(max(0.0, due - time.monotonic()))
            began = time.perf_counter()
            connection.request("POST", path, BODY, {"Content-Type": "application/x-www-form-urlencoded"})
            reply = connection.getresponse()
            reply.read()
            waits.append(1_000 * (time.perf_counter() - began))
            assert reply.status == 200, reply.status
            answered.append((person, time.time()))

    clients = [threading.Thread(target=client) for _n in range(8)]
    for one in clients:
        one.start()
    sender.wait()
    for one in clients:
        one.join()
    return waits, answered


def _check(campaign: Place, answered: list[tuple[int, float]]) -> dict[str, int]:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as kept:
        json.dump(answered, kept)
        kept.flush()
        found: dict[str, int] = json.loads(campaign.manage("-c", CHECK, kept.name))
    return found
