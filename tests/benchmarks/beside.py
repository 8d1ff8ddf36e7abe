"""Opt-outs that commit while an analysis goes on: how long each takes, and whether one ever fails."""

import threading
import time
from collections.abc import Callable
from statistics import quantiles
from typing import Any

from django.db import close_old_connections, connection
from django.utils import timezone

from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Profile, Source

PER_SECOND = 50


def opt_outs_beside(work: Callable[[], object]) -> dict[str, Any]:
    """Opt fifty people a second out for as long as some work takes; return how long that took them, in milliseconds.

    Each opt-out is one transaction on a connection of its own; one that fails (a deadlock, a time limit) ends it all.
    """
    done, taken, problems = threading.Event(), list[float](), list[Exception]()

    def opt_out() -> None:
        try:
            ids = Profile.objects.filter(blacklisted_email=False).order_by("-pk").values_list("pk", flat=True)
            people = iter(list(ids[:20_000]))
            due = time.perf_counter()
            while not done.is_set():
                start = time.perf_counter()
                evidence = Evidence(source=Source.ONE_CLICK)
                consent.opt_out([next(people)], channel=Channel.EMAIL, evidence=evidence, at=timezone.now())
                taken.append(1_000 * (time.perf_counter() - start))
                due += 1 / PER_SECOND
                time.sleep(max(0.0, due - time.perf_counter()))
        except Exception as error:  # noqa: BLE001 (told by the thread that waits)
            problems.append(error)
        finally:
            connection.close()

    close_old_connections()
    thread = threading.Thread(target=opt_out)
    thread.start()
    try:
        work()
    finally:
        done.set()
        thread.join()
    if problems:
        raise problems[0]
    cuts = quantiles(taken, n=100) if len(taken) > 1 else taken * 99
    return {"opt_outs": len(taken), "p50_ms": cuts[49], "p99_ms": cuts[98], "max_ms": max(taken)}
