"""The race: people opt out while their message is about to leave, and PostgreSQL says which of the two came first.

    make race                                     100,000 people, 2 senders of 4 connections, 4 clients who suppress
    make race ARGS="--people 2000"                smaller
    make race ARGS="--mutation without-locks"     claims broken on purpose: must find violations, or the race is blind
    make race ARGS="--mutation one-statement"

A violation is a claim that committed after a suppression that forbids it. The order is that of the commits, as
PostgreSQL keeps them (`track_commit_timestamp`), and not of any clock of ours. The receiving side takes up to 50 ms for
each message. What also comes out is how long after the commit of an opt-out a message that was already leaving arrived.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from statistics import quantiles

import psycopg

from tests.benchmarks.servers import ROOT, Place, place
from tests.faults.verdict import VERDICT
from tests.mailsink import MailSink, Rule

SENDERS, CONNECTIONS, CLIENTS = 2, 4, 4
MUTATIONS = ("without-locks", "one-statement")
BOARD = ROOT / "var" / "race.jsonl"


@dataclass
class Found:
    """What a race found. Times in milliseconds after the commit of the suppression."""

    people: int
    mutation: str
    seconds: float = 0.0
    accepted: int = 0
    claims: int = 0
    suppressions: dict[str, int] = field(default_factory=dict)
    acts: dict[str, int] = field(default_factory=dict)
    met: int = 0  # claims of somebody who was suppressed before or after
    violations: int = 0
    ties: int = 0
    in_flight: int = 0  # accepted after the commit of the suppression, all claimed before it
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)


def race(people: int, *, mutation: str = "", group: int = 1) -> Found:
    """Run a race on servers of its own; return what it found."""
    found = Found(people, mutation)
    rules = (Rule("END", delay=(0, 50)),)
    with place(tuned={"track_commit_timestamp": "on", "fsync": "off"}) as campaign, MailSink(*rules) as sink:
        campaign.environment.update({
            "EMAIL_URL": sink.url, "RACE_MUTATION": mutation, "HAND_OFF_GROUP": str(group), "LEASE_SIZE": "500",
        })  # fmt: skip
        campaign.manage("-m", "tests.faults.racing", "make", str(people))
        began = time.monotonic()
        senders = [_start(campaign, "send", str(CONNECTIONS)) for _n in range(SENDERS)]
        clients = [_start(campaign, "suppress", f"{mutation}{n}") for n in range(CLIENTS)]
        for process in (*senders, *clients):
            told, problem = process.communicate()
            if process.returncode:
                raise RuntimeError(f"{process.args} failed:\n{problem}")
            for name, number in (pair.split("=") for pair in told.split()):
                found.acts[name] = found.acts.get(name, 0) + int(number)
        found.seconds = time.monotonic() - began
        _judge(campaign.environment["DATABASE_URL"], sink, found)
    return found


def _start(campaign: Place, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.racing", *arguments], cwd=ROOT, env=campaign.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def _judge(database: str, sink: MailSink, found: Found) -> None:
    arrived = {one.recipient: one.at_ns / 1e9 for one in sink.accepted()}
    late = []
    with psycopg.connect(database) as base:
        for _kind, _log, address, suppressed_at, claimed_at in base.execute(VERDICT):
            found.met += 1
            found.violations += suppressed_at <= claimed_at
            found.ties += suppressed_at == claimed_at
            after = arrived.get(address, 0.0) - suppressed_at.timestamp()
            if claimed_at < suppressed_at and after > 0:
                late.append(1_000 * after)
        found.suppressions = dict(base.execute("SELECT kind, count(*) FROM race_suppression GROUP BY kind").fetchall())
        [(found.claims,)] = base.execute("SELECT count(*) FROM race_claim").fetchall()
        statuses = base.execute("SELECT status, count(*) FROM deliveries_deliverylog GROUP BY status")
        found.statuses = {str(status): number for status, number in statuses}
    found.accepted, found.in_flight = len(arrived), len(late)
    if len(late) > 1:
        cuts = quantiles(late, n=100)
        found.p50_ms, found.p99_ms, found.max_ms = cuts[49], cuts[98], max(late)


def main() -> None:
    parser = argparse.ArgumentParser(description="Race opt-outs against the messages that are about to leave.")
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--mutation", choices=MUTATIONS, default="")
    parser.add_argument("--group", type=int, default=1, help="HAND_OFF_GROUP")
    given = parser.parse_args()
    found = race(given.people, mutation=given.mutation, group=given.group)
    told = asdict(found)
    for name, value in told.items():
        sys.stdout.write(f"  {name:<14} {value:,.1f}\n" if isinstance(value, float) else f"  {name:<14} {value}\n")
    BOARD.parent.mkdir(exist_ok=True)
    with BOARD.open("a") as board:
        board.write(json.dumps({"at": time.strftime("%Y-%m-%d %H:%M"), "group": given.group, **told}) + "\n")
    if bool(found.violations) != bool(given.mutation):
        sys.exit("The race found violations." if found.violations else "The race is blind: the mutation was not found.")


if __name__ == "__main__":
    main()
