"""The demonstration: its shipped people, the mail server that keeps everything, its processes, and a whole run."""

import csv
import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from campaign.demo import catcher, caught, oracle, people, supervisor
from campaign.demo.supervisor import DemoFailed, Supervisor
from deliveries import analysis
from deliveries.models import DeliveryLog, LogStatus
from profiles import consent
from profiles.addresses import Validity, read
from profiles.channels import Channel
from profiles.consent import Evidence
from quarantine.models import Status
from tests.factories import (
    DeliveryFactory,
    ProfileFactory,
    QuarantinedAddressFactory,
    ServiceFactory,
    UserFactory,
)
from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
# RFC 2606: nobody can register these.
RESERVED = re.compile(r"(.+\.)?(example|example\.(com|net|org))")
# Numbers kept for fiction in France and Great Britain, prefixes given to no operator in Belgium and Switzerland.
FICTION = re.compile(r"\+(33639980|336399[89]|447700900|32450|4173)\d+")


# -- the shipped people -------------------------------------------------------------------------------------


def test_the_shipped_people_are_those_that_the_maker_makes(tmp_path: Path) -> None:
    made = {path.name: path.read_bytes() for path in people.write(tmp_path)}
    assert made == {path.name: path.read_bytes() for path in people.DATA.glob("*.csv")}


def test_no_shipped_address_can_reach_anybody() -> None:
    """Nor any in the texts of the message."""
    found = []
    for path in people.DATA.iterdir():
        found += re.findall(r"[^\s,;<>\"'()]+@[^\s,;<>\"'()]+", path.read_text("utf-8"))
    domains = [known.key.rpartition("@")[2] for known in (read(Channel.EMAIL, address) for address in found)
               if known.validity == Validity.VALID]  # fmt: skip
    assert len(domains) > 3_000
    assert [domain for domain in domains if not RESERVED.fullmatch(domain)] == []


def test_no_shipped_number_can_ring_anywhere() -> None:
    found = [(row["mobile_phone"], row["country"]) for row in rows("people.csv") if row["mobile_phone"]]
    keys = [read(Channel.SMS, number, country=country).key for number, country in found]
    assert len(keys) > 1_000
    assert [key for key in keys if not FICTION.fullmatch(key)] == []


def test_the_shipped_people_have_what_real_files_have() -> None:
    everybody = rows("people.csv")
    emails = [row["email"] for row in everybody]
    assert len(everybody) > 3_000
    assert {row["language"] for row in everybody} == {"fr", "en", ""}
    assert {row["country"] for row in everybody} == {"FR", "BE", "CH", "GB"}
    assert any(email.partition("@")[2].isascii() is False for email in emails), "a domain with accents"
    assert any(email.partition("@")[0].isascii() is False for email in emails), "a mailbox with accents"
    assert any(email != email.lower() for email in emails), "an address in mixed case"
    assert emails.count("") > 50, "people without an address"
    assert sum(read(Channel.EMAIL, email).validity == Validity.INVALID for email in emails if email) > 20
    assert {row[flag] for row in everybody for flag in ("blacklisted", "blacklisted_email")} == {"yes", ""}
    named = [(row["first_name"], row["last_name"], row["birth_date"]) for row in everybody if row["birth_date"]]
    assert len(named) - len(set(named)) > 30, "people who are listed twice"


def rows(name: str) -> list[dict[str, str]]:
    with (people.DATA / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


# -- the mail server that keeps everything ------------------------------------------------------------------


@contextmanager
def running_catcher(logs: Path, where: Path) -> Iterator[int]:
    """Run the catcher as the demonstration does, and yield its port."""
    port = free_port()
    with Supervisor(logs, {}) as processes:
        processes.start("mail catcher", [sys.executable, "-m", catcher.__name__, str(port), str(where)])
        supervisor.wait_for_port(processes, port)
        yield port


def message(subject: str = "Spring", to: str = "somebody@example.org") -> EmailMessage:
    mail = EmailMessage(policy=SMTPUTF8)
    mail["From"], mail["To"], mail["Subject"] = "news@jardins.example", to, subject
    mail.set_content("Soon.\n")
    return mail


def test_the_catcher_keeps_the_envelope_whatever_the_headers_say(tmp_path: Path) -> None:
    where = tmp_path / "caught"
    with running_catcher(tmp_path, where) as port, smtplib.SMTP("127.0.0.1", port, timeout=10) as connection:
        connection.sendmail("return@jardins.example", ["zoe@example.org", "marc@example.org"], message().as_bytes())
        connection.sendmail(
            "return@jardins.example", ["zoé@example.org"], message(to="zoé@example.org").as_bytes(),
            mail_options=["SMTPUTF8", "BODY=8BITMIME"],
        )  # fmt: skip
    first, second = caught.since(where, "")
    assert (first.sender, first.recipients) == ("return@jardins.example", ("zoe@example.org", "marc@example.org"))
    assert first.headers["To"] == "somebody@example.org"
    assert first.message.get_content() == "Soon.\r\n"
    assert (second.recipients, second.headers["To"]) == (("zoé@example.org",), "zoé@example.org")


def test_caught_messages_are_told_apart_by_their_time(tmp_path: Path) -> None:
    kept = [caught.keep(tmp_path, sender="a@example.org", recipients=[], body=b"\r\n") for _ in range(3)]
    assert caught.names(tmp_path) == kept[::-1]
    assert [found.name for found in caught.since(tmp_path, kept[0])] == kept[1:]
    assert caught.names(tmp_path / "missing") == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "campaign.sqlite3", "1-000001.eml", ""])
def test_no_other_file_can_be_read_as_a_message(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        caught.read(tmp_path, name)


# -- the pages that show it ---------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path: Path, settings) -> str:
    """Return the name of a caught message with everything that a hostile or a good one may hold."""
    settings.DATA_DIR = tmp_path
    caught.folder().mkdir()
    mail = message("Spring <b>at last</b>")
    mail["List-Unsubscribe"] = "<http://127.0.0.1:8000/u/token>"
    mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content("Stop: http://127.0.0.1:8000/o/token.\n")
    html = (
        '<head></head><script>alert(1)</script><a href="http://127.0.0.1:8000/o/html/">Stop</a><a href="javascript:1">x'
    )
    mail.add_alternative(html, subtype="html")
    return caught.keep(
        caught.folder(), sender="news@jardins.example", recipients=["zoé@example.org"], body=mail.as_bytes()
    )


@pytest.fixture
def staff(client, db):
    client.force_login(UserFactory())
    return client


def test_a_caught_message_is_shown_with_its_envelope_parts_and_links(staff, kept: str) -> None:
    assert "zoé@example.org" in staff.get(reverse("admin:caught_mail")).text
    page = staff.get(reverse("admin:caught_mail_message", args=[kept])).text
    assert "Handed over for" in page and "zoé@example.org" in page
    assert 'href="http://127.0.0.1:8000/o/token"' in page and 'href="http://127.0.0.1:8000/o/html/"' in page
    assert 'action="http://127.0.0.1:8000/u/token"' in page
    assert "javascript:" not in page and "<b>at last" not in page
    assert page.count('<span class="c-tag">Opt-out</span>') == 1, "a link is marked by what it is for"
    assert re.search(r"<p>Stop <span", page), "and has the words that are pressed"
    assert "<dt>Return path</dt><dd>news@jardins.example</dd>" in page
    headers = dict(re.findall(r'<tr><th scope="row">([^<]*)</th><td class="c-code">([^<]*)</td></tr>', page))
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_the_frame_of_a_message_runs_no_script_and_sends_no_form(staff, kept: str) -> None:
    page = staff.get(reverse("admin:caught_mail_message", args=[kept])).text
    [sandbox] = re.findall(r'sandbox="([^"]*)"', page)
    part = staff.get(reverse("admin:caught_mail_html", args=[kept]))
    for policy in (sandbox, part["Content-Security-Policy"]):
        assert not {"allow-scripts", "allow-same-origin", "allow-forms"} & set(policy.replace(";", " ").split())
    assert "sandbox" in part["Content-Security-Policy"]
    assert "default-src 'none'" in part["Content-Security-Policy"]


@pytest.mark.parametrize("name", ["caught_mail", "caught_mail_message", "caught_mail_html"])
def test_caught_mail_is_for_staff_and_for_one_machine_only(client, staff, kept: str, settings, name: str) -> None:
    address = reverse(f"admin:{name}", args=[] if name == "caught_mail" else [kept])
    assert staff.get(address).status_code == 200
    settings.ENVIRONMENT = "production"
    assert staff.get(address).status_code == 404
    settings.ENVIRONMENT = "local"
    client.logout()
    assert client.get(address).status_code == 302


def test_the_search_for_a_message_puts_no_address_into_the_page_address(staff, kept: str) -> None:
    answer = staff.post(reverse("admin:caught_mail"), {"q": "ZOE@example"})
    assert answer.status_code == 302 and "example" not in answer.url
    assert kept in staff.get(answer.url).text
    nothing = staff.post(reverse("admin:caught_mail"), {"q": "marc@example"})
    assert "No message matches." in staff.get(nothing.url).text


# -- its processes ------------------------------------------------------------------------------------------

WAIT_FOR_EVER = "import time; print('ready', flush=True); time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT_FOR_EVER}"


def test_a_port_in_use_is_named_with_the_remedy(db) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"Port {port} is in use.*--port {port + 1}"):
            call_command("demo", port=port, no_serve=True)


def test_the_demonstration_refuses_a_production(db, settings) -> None:
    settings.ENVIRONMENT = "production"
    with pytest.raises(CommandError, match="only where CAMPAIGN_ENV is local"):
        call_command("demo", no_serve=True)


def test_a_process_that_dies_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"WORD": "goodbye"}) as processes:
        child = processes.start("worker", [sys.executable, "-c", "import os, sys; sys.exit(os.environ['WORD'])"])
        child.process.wait(10)
        with pytest.raises(DemoFailed, match=r"The worker has ended by itself \(code 1\)(?s:.*)goodbye"):
            processes.check()


def test_all_processes_end_with_the_block_even_a_deaf_one(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(supervisor, "PATIENCE", 0.5)
    with pytest.raises(KeyboardInterrupt), Supervisor(tmp_path, {}) as processes:
        started = [
            processes.start(str(n), [sys.executable, "-c", code]) for n, code in enumerate([WAIT_FOR_EVER, DEAF])
        ]
        until = time.monotonic() + 20
        while not all(child.log.read_text() for child in started) and time.monotonic() < until:
            time.sleep(0.05)
        raise KeyboardInterrupt
    assert [child.process.returncode for child in started] == [-signal.SIGTERM, -signal.SIGKILL]


# -- its own idea of who should get a message ---------------------------------------------------------------


def test_the_oracle_of_the_demonstration_agrees_with_the_analysis(db) -> None:
    service, at = ServiceFactory(), timezone.now()
    plain, twin, out, no_mail, gone, allowed = (
        ProfileFactory(services=[service], email=email)
        for email in ("A@example.org", "a@example.org", "b@example.org", "", "c@example.org", "d@example.org")
    )
    ProfileFactory(services=[service], email="not an address")
    ProfileFactory(email="stranger@example.org")
    QuarantinedAddressFactory(value="c@example.org")
    QuarantinedAddressFactory(value="d@example.org", status=Status.ALLOWLISTED)
    consent.opt_out([out.pk], channel=Channel.EMAIL, evidence=Evidence(source="import"), at=at)
    delivery = DeliveryFactory(service=service)
    run = analysis.start(delivery, at=timezone.now())
    assert not analysis.work(delivery.pk)
    kept = DeliveryLog.objects.filter(run=run, status=LogStatus.PENDING).values_list("profile_id", "address")
    assert sorted(kept) == [(plain.pk, "A@example.org"), (allowed.pk, "d@example.org")]
    wanted = oracle.expected(delivery, at=run.at)
    assert wanted == {read(Channel.EMAIL, address).key: 1 for _profile, address in kept}
    assert {twin.pk, no_mail.pk, gone.pk}.isdisjoint(dict(kept))


# -- a whole run --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run_of_its_own(tmp_path_factory) -> dict[str, str]:
    """Return the environment of a demonstration on a folder of its own; on PostgreSQL, on a database nobody uses."""
    environment = {**os.environ, "DATA_DIR": str(tmp_path_factory.mktemp("demo")), "PYTHONUNBUFFERED": "1"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    if "CACHE_URL" in environment:
        # Another numbered database of the same server: rings of other tests are not ours.
        other = environment["CACHE_URL"].rpartition("/")[0] + "/7"
        environment |= {"CACHE_URL": other, "CELERY_BROKER_URL": other}
    return environment


def command(port: int, *more: str) -> list[str]:
    return [sys.executable, "manage.py", "demo", "--port", str(port), *more]


def numbers(printed: str, first: str, last: str) -> list[int]:
    """Return the numbers of a printed table, from the line that begins with a word to the one with another."""
    lines = [line.strip() for line in printed.splitlines()]
    start = next(i for i, line in enumerate(lines) if line.startswith(first))
    end = next(i for i, line in enumerate(lines) if i > start and line.startswith(last))
    return [int(line.split()[-1].replace(",", "")) for line in lines[start : end + 1] if re.search(r"\d$", line)]


def refused_of(printed: str, to_send: int) -> int:
    """Return how many the mail server refused; all others of those to send to must have got the message."""
    [(refused, taken)] = re.findall(r"refused (\d+) addresses.*for exactly the\s+([\d,]+) others", printed, re.DOTALL)
    assert int(refused) + int(taken.replace(",", "")) == to_send
    return int(refused)


@pytest.fixture(scope="module")
def first_run(run_of_its_own) -> subprocess.CompletedProcess[str]:
    """Run the demonstration on its empty folder, once: tests come in any order."""
    return subprocess.run(
        command(free_port(), "--no-serve"), cwd=ROOT, env=run_of_its_own, capture_output=True, text=True, timeout=600
    )


@pytest.mark.slow
def test_a_first_run_does_the_main_job_and_stops_everything(first_run, run_of_its_own) -> None:
    done = first_run
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
    targeted, *reasons, to_send = numbers(done.stdout, "Targeted: subscribers", "To send")
    assert targeted > 3_000 and targeted == sum(reasons) + to_send
    outcome = done.stdout.partition("Sending it")[2]
    everybody, *statuses = numbers(outcome, "Targeted", "- Cancelled")
    assert everybody == targeted == sum(statuses)
    refused = refused_of(done.stdout, to_send)
    assert 5 < refused < 100
    assert len(caught.names(Path(run_of_its_own["DATA_DIR"]) / "caught")) >= to_send - refused
    came_back, bounced, complained, away = numbers(done.stdout, "Messages that came back", "- Automatic replies")
    assert complained and away and bounced >= came_back - complained - away > 20
    following = done.stdout.partition("Analysing the next one")[2]
    [left_out] = re.findall(r"- Address not in use: messages came back +(\d+)", following)
    assert int(left_out) >= bounced, "whoever came back is left out of the next delivery"
    assert supervisor.is_free(int(re.search(r"http://127\.0\.0\.1:(\d+)/admin/", done.stdout)[1]))


# What visitors may have done between two runs; it also leaves few messages to wait for.
MOST_PEOPLE_LEAVE = """
from django.utils import timezone
from profiles import consent
from profiles.models import Service, Subscription
news = Service.objects.get(name="garden-news")
people = Subscription.objects.filter(service=news).order_by("profile").values_list("profile_id", flat=True)
evidence = consent.Evidence(source="landing_page")
consent.unsubscribe(list(people[100:]), news, evidence=evidence, at=timezone.now())
"""


@pytest.mark.slow
def test_a_second_run_keeps_what_visitors_did_and_serves_until_it_is_told_to_stop(first_run, run_of_its_own) -> None:
    left = [sys.executable, "manage.py", "shell", "-c", MOST_PEOPLE_LEAVE]
    subprocess.run(left, cwd=ROOT, env=run_of_its_own, check=True, capture_output=True, timeout=60)
    port, said = free_port(), []
    serving = subprocess.Popen(
        command(port), cwd=ROOT, env=run_of_its_own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with serving:
        assert serving.stdout
        try:
            for line in serving.stdout:
                said.append(line)
                if "until you press Ctrl-C" in line:
                    break
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/admin/login/", timeout=30) as page:
                assert page.status == 200
        finally:
            serving.send_signal(signal.SIGTERM)
            said += serving.stdout.read().splitlines(keepends=True)
    printed = "".join(said)
    assert serving.returncode == 0, printed[-2_000:]
    assert "The people of an earlier run are kept" in printed
    assert "“Spring at last (2)”" in printed
    targeted, *reasons, to_send = numbers(printed, "Targeted: subscribers", "To send")
    assert targeted == 100 == sum(reasons) + to_send
    refused_of(printed, to_send)
    assert supervisor.is_free(port)
