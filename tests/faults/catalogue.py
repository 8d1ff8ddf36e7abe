"""The faults F1 to F22, each as what it does to a delivery that is being sent.

Each strikes at a drawn instant, and says how many connections it has killed: so many messages may be in doubt.
"""

import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from celery import current_app
from django.db import connection

from deliveries import sending
from deliveries.models import Delivery
from tests.faults.proxy import Moment
from tests.faults.scene import Scene
from tests.faults.site import CONNECTIONS
from tests.mailsink import Rule

EXIT_SECONDS = 30
VERBS = ("MAIL", "RCPT", "DATA", "END")
ANSWERS = (
    "421 4.3.2 Closing", "450 4.2.1 Busy", "452 4.2.2 Full", "451 4.7.1 First line\nsecond line\nthird line",
    "550 5.1.1 Unknown", "552 5.2.2 Full", "554 5.7.1 No", "550 5.7.1 First line\nsecond line",
)  # fmt: skip
MALFORMED = ("What?\r\n", "2\r\n", "999\r\n", "\r\n", "25x OK\r\n", "250-Never ends\r\n", "\x00\x07\u00ff\r\n")
# PostgreSQL's own codes: disk full; deadlock, serialization failure.
DISK_FULL, LOCKED = ("53100",), ("40P01", "40001")


@dataclass(frozen=True)
class Fault:
    """One fault: what it is called, how often it may strike within one delivery, to how many people that goes."""

    code: str
    name: str
    play: Callable[[Scene], None]
    at_once: int = 1
    people: int = 40


def killed_at_hand_off(scene: Scene) -> None:
    _killed_inside(scene, "hand_off", 8)


def killed_before_the_acknowledgement(scene: Scene) -> None:
    # The task has written everything and given its leases back: nothing may be in doubt.
    _killed_inside(scene, "returned", 2, connections=0)


def _killed_inside(scene: Scene, point: str, most: int, *, connections: int = CONNECTIONS) -> None:
    scene.site.end_workers()
    scene.start()
    while scene.struck < scene.times:
        settings = {"FAULT_KILL": f"{point}:{scene.chance.randint(1, most)}", "FAULT_BUDGET": "1"}
        worker = scene.worker(settings)
        if not scene.wait(lambda worker=worker: not worker.runs):  # type: ignore[misc]
            break
        scene.strike(killed=connections)
    scene.site.end_workers()
    scene.worker()


def killed_after_mail(scene: Scene) -> None:
    _killed_in_the_dialogue(scene, "mail")


def killed_in_the_body(scene: Scene) -> None:
    _killed_in_the_dialogue(scene, "body")


def killed_after_the_answer(scene: Scene) -> None:
    _killed_in_the_dialogue(scene, "accepted", "answered")


def _killed_in_the_dialogue(scene: Scene, *names: str) -> None:
    scene.start()
    while scene.struck < scene.times:
        worker = scene.worker()
        moment = Moment(scene.chance.choice(names), scene.chance.randint(1, 8), worker.kill)
        scene.site.to_sink.moment = moment
        if not scene.wait(lambda worker=worker: not worker.runs):  # type: ignore[misc]
            break
        scene.strike_of_a_worker()
    scene.site.to_sink.moment = None
    scene.worker()


def asked_to_end(scene: Scene) -> None:
    scene.start()
    while scene.struck < scene.times:
        worker = scene.worker()
        if not scene.wait_for_some():
            break
        took = worker.end(EXIT_SECONDS)
        scene.strike()
        if scene.leaving():
            scene.remarks.append(f"{scene.leaving()} rows were leaving after the end of the worker")
        scene.remarks.append(f"ended in {took:.1f} s")
    scene.worker()


def database_restarted(scene: Scene) -> None:
    scene.worker()
    scene.start()
    while scene.struck < scene.times and scene.wait_for_some():
        scene.site.postgres.stop(signal.SIGQUIT)  # what `pg_ctl stop -m immediate` sends
        time.sleep(scene.chance.uniform(0, 1))
        scene.site.postgres.start()
        scene.strike(killed=CONNECTIONS)


def line_to_the_database_cut(scene: Scene) -> None:
    scene.worker()
    scene.start()
    while scene.struck < scene.times and scene.wait_for_some():
        scene.chance.choice((scene.site.to_database.cut, scene.site.to_database.hold))()
        time.sleep(scene.chance.uniform(0.1, 2))
        scene.site.to_database.cut()
        scene.site.to_database.mend()
        scene.strike(killed=CONNECTIONS)


def broker_emptied(scene: Scene) -> None:
    scene.worker()
    scene.start()
    while scene.struck < scene.times and scene.wait_for_some():
        scene.site.valkey.stop(signal.SIGKILL)
        time.sleep(scene.chance.uniform(0, 1))
        scene.site.valkey.start()
        scene.strike()


def every_task_twice(scene: Scene) -> None:
    _repeated(scene, {"FAULT_TWICE": "1"})


def acknowledged_too_late(scene: Scene) -> None:
    _repeated(scene, {"FAULT_VISIBILITY": "1"})


def _repeated(scene: Scene, settings: dict[str, str]) -> None:
    """Send with two workers; it strikes when they have taken more tasks of the delivery than were wanted."""
    workers = [scene.worker({**settings, "WORKER": number}, tasks=3) for number in "12"]
    seen = [worker.log.stat().st_size if worker.log.exists() else 0 for worker in workers]
    scene.start()
    current_app.send_task("deliveries.tasks.send_delivery", [scene.delivery.pk])
    if "FAULT_TWICE" in settings:
        current_app.send_task("deliveries.tasks.send_delivery", [scene.delivery.pk])
    scene.wait_for_the_end()
    told = [worker.log.read_text()[start:] for worker, start in zip(workers, seen, strict=True)]
    taken = re.findall(r"Task deliveries\.tasks\.send_delivery\[(\S+)\] received", "".join(told))
    if len(taken) > (len(set(taken)) if "FAULT_VISIBILITY" in settings else 1):
        scene.strike()
    scene.remarks.append(f"{len(taken)} tasks, {len(set(taken))} different")


def two_beats(scene: Scene) -> None:
    scene.worker(tasks=3)
    second = scene.site.beat()
    scene.start()
    scene.wait_for_the_end()
    if second.runs:
        scene.strike()
    second.kill()


def answers(scene: Scene) -> None:
    rules = []
    for _time in range(scene.times):
        verb = scene.chance.choice(VERBS)
        if scene.chance.random() < 0.3:
            accepted = scene.chance.random() < 0.5
            rules.append(Rule(verb, raw=scene.chance.choice(MALFORMED), count=1, accept=accepted))
            scene.strike(killed=verb == "END")
        else:
            rules.append(Rule(verb, answer=scene.chance.choice(ANSWERS), count=1))
            scene.strike()
    scene.refusals = scene.times
    _misbehave(scene, rules)


def no_answer(scene: Scene) -> None:
    rules = []
    for _time in range(scene.times):
        verb = scene.chance.choice(("CONNECT", "EHLO", *VERBS))
        rules.append(Rule(verb, hang=True, count=1, accept=scene.chance.random() < 0.5))
        scene.strike(killed=verb == "END")
    _misbehave(scene, rules)


def line_to_the_sink_lost(scene: Scene) -> None:
    rules = []
    for _time in range(scene.times):
        how, accepted = scene.chance.choice(("before", "reset")), scene.chance.random() < 0.7
        rules.append(Rule("END", drop=how, probability=0.5, count=1, accept=accepted))
        scene.strike(killed=1)
    _misbehave(scene, rules)


def slow_and_greylisting(scene: Scene) -> None:
    verbs = scene.chance.sample(("MAIL", "RCPT", "END"), 2)
    slow = [Rule(verb, raw="250 \r\n", trickle=1, count=1) for verb in verbs]
    grey = [Rule("RCPT", recipient=f"[{scene.chance.randint(0, 4)}5]@", answer="451 4.7.1 Greylisted", count=8)]
    scene.strike(killed="END" in verbs)  # its answer comes too late to be waited for
    _misbehave(scene, [*slow, *grey])


def _misbehave(scene: Scene, rules: list[Rule]) -> None:
    scene.rules(*rules)
    scene.worker()
    scene.start()


def disk_full(scene: Scene) -> None:
    _failing_database(scene, DISK_FULL)


def deadlocks(scene: Scene) -> None:
    _failing_database(scene, LOCKED)


FAILING = """
DROP TABLE IF EXISTS fault_error; DROP SEQUENCE IF EXISTS fault_writes;
CREATE TABLE fault_error (write bigint, code text);
CREATE SEQUENCE fault_writes;
CREATE OR REPLACE FUNCTION fault_strikes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE found text; BEGIN
  SELECT code INTO found FROM fault_error WHERE write = (SELECT nextval('fault_writes'));
  IF found IS NOT NULL THEN RAISE EXCEPTION 'a fault on purpose' USING ERRCODE = found; END IF;
  RETURN NULL; END $$;
DROP TRIGGER IF EXISTS fault_at_once ON deliveries_deliverylog;
DROP TRIGGER IF EXISTS fault_at_commit ON deliveries_deliverylog;
DROP TRIGGER IF EXISTS fault_of_lease ON deliveries_lease;
CREATE TRIGGER fault_at_once AFTER UPDATE ON deliveries_deliverylog FOR EACH ROW EXECUTE FUNCTION fault_strikes();
CREATE CONSTRAINT TRIGGER fault_at_commit AFTER UPDATE ON deliveries_deliverylog
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fault_strikes();
CREATE TRIGGER fault_of_lease AFTER UPDATE ON deliveries_lease FOR EACH ROW EXECUTE FUNCTION fault_strikes();
"""


def _failing_database(scene: Scene, codes: tuple[str, ...]) -> None:
    """Fail drawn writes of rows and leases, when they are made or when they commit."""
    with connection.cursor() as cursor:
        cursor.execute(FAILING)
        for write in scene.chance.sample(range(5, 150), scene.times):
            cursor.execute("INSERT INTO fault_error VALUES (%s, %s)", [write, scene.chance.choice(codes)])
    scene.worker()
    scene.start()
    scene.wait_for_the_end()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM fault_error WHERE write <= (SELECT last_value FROM fault_writes)")
        scene.struck = cursor.fetchone()[0]
        cursor.execute("DELETE FROM fault_error")


def wrong_clock(scene: Scene) -> None:
    scene.site.end_workers()
    hour = scene.chance.choice((-3_600, 3_600))
    jump = f"{hour}:{scene.chance.uniform(3, 6):.2f}:{scene.chance.choice((0, 3))}"
    scene.worker()
    scene.site.worker({"FAULT_CLOCK": jump})
    time.sleep(scene.chance.uniform(2, 4))  # both have begun
    scene.start()
    scene.wait_for_the_end()
    scene.strike()


def child_killed(scene: Scene) -> None:
    scene.start()
    worker = scene.worker(pool="prefork")
    while scene.struck < scene.times and scene.wait_for_some():
        for child in worker.children():
            os.kill(child, signal.SIGKILL)
        scene.strike_of_a_worker()


def new_code(scene: Scene) -> None:
    scene.site.end_workers()
    old = scene.worker({"VERSION": str(scene.began)})
    scene.start()
    if not scene.wait_for_some():
        return
    migrating = scene.site.migrate()
    new = scene.worker({"VERSION": f"{scene.began} next"})
    took = old.end(EXIT_SECONDS)
    if problem := migrating():
        scene.remarks.append(f"migrate failed: {problem}")
    scene.strike()
    scene.remarks.append(f"ended in {took:.1f} s")
    if not new.runs:
        scene.remarks.append("the new worker has died")


def two_operators(scene: Scene) -> None:
    scene.worker(tasks=3)
    number = scene.delivery.pk

    def start() -> None:
        delivery = Delivery.objects.get(pk=number)
        from django.utils import timezone

        sending.start(delivery, at=timezone.now())
        current_app.send_task("deliveries.tasks.send_delivery", [number])

    refused = scene.beside(start, start)
    if refused != ["MoveRefused"]:
        scene.remarks.append(f"of two starts, these were refused: {refused}")
    scene.strike()


FAULTS = (
    Fault("F1", "worker killed between the claim and the connection", killed_at_hand_off, 5, 60),
    Fault("F2", "worker killed between MAIL and DATA", killed_after_mail, 5, 60),
    Fault("F3", "worker killed in mid-message", killed_in_the_body, 5, 60),
    Fault("F4", "worker killed between the acceptance and its recording", killed_after_the_answer, 5, 60),
    Fault(
        "F5", "worker killed between the recording and the end of its task", killed_before_the_acknowledgement, 2, 80
    ),
    Fault("F6", "worker asked to end (SIGTERM)", asked_to_end, 4, 60),
    Fault("F7", "PostgreSQL stopped at once and started again", database_restarted, 2, 50),
    Fault("F8", "line to the database cut or silent", line_to_the_database_cut, 2, 50),
    Fault("F9", "broker killed and emptied", broker_emptied, 3, 50),
    Fault("F10", "every task delivered twice, to two workers", every_task_twice),
    Fault("F11", "tasks given to another worker while they run", acknowledged_too_late),
    Fault("F12", "two beats", two_beats),
    Fault("F13", "refusals and unintelligible answers at each verb", answers, 5),
    Fault("F14", "no answer at each verb", no_answer, 3),
    Fault("F15", "line lost between the message and its acceptance", line_to_the_sink_lost, 3),
    Fault("F16", "disk full in the database (error 53100)", disk_full, 4),
    Fault("F17", "deadlocks and serialization failures", deadlocks, 4),
    Fault("F18", "clock of one of two workers an hour wrong", wrong_clock),
    Fault("F19", "one byte a second, and greylisting", slow_and_greylisting, 1, 24),
    Fault("F20", "child of a worker killed, as for want of memory", child_killed, 4, 60),
    Fault("F21", "migration and new workers in mid-send", new_code),
    Fault("F22", "started by two operators at once", two_operators),
)
