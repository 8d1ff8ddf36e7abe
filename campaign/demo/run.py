"""One run of the demonstration, from an empty folder to pages that answer."""

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.urls import reverse
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from campaign.celery import app
from campaign.models import User
from deliveries.models import Delivery
from landing.models import Kind, LandingPage
from profiles.models import ImportJob, Profile, Service

from . import catcher, caught, data, provider, story, supervisor
from .console import Console
from .people import ZOE
from .supervisor import DemoFailed, Supervisor

MAIL_PORT = 1025
ZOE_S_PAGE = (
    "   Zoé has two profiles, and shares an address with Marc. On her page, tick “By any channel” under\n"
    "   “No longer contact”: {page}"
)


def run(console: Console, *, port: int, serve: bool) -> None:
    """Set up, do the main job, serve until Ctrl-C; raise DemoFailed with a plain reason."""
    begun = time.monotonic()
    if settings.ENVIRONMENT != "local":
        raise DemoFailed("The demonstration makes accounts and people, so it runs only where CAMPAIGN_ENV is local.")
    supervisor.require_port(port)
    _require_broker()
    console.say("Campaign on this machine only: the people are made up, and no message leaves.")
    password = _set_up(console)
    first = not data.ready()
    if not first:
        console.say(f"\nThe people of an earlier run are kept: {Profile.objects.count():,} profiles.")
        if data.stop_interrupted():
            console.say("It was interrupted in a delivery: what was left of that one is cancelled.")
    else:
        _bring_people_in(console)
    mail_port = supervisor.free_port(MAIL_PORT)
    with _terminating(), Supervisor(_logs(), _environment(port, mail_port)) as processes:
        _start(console, processes, port, mail_port, outage=first)
        _say_accounts(console, port, password)
        delivery, messages = _main_job(story.Teller(console, processes, outage=first))
        _suggest(console, port, delivery, messages)
        _say_accounts(console, port, password)
        console.say(f"\nThis took {time.monotonic() - begun:.0f} s in all.")
        if serve:
            console.say(
                "Everything keeps running until you press Ctrl-C. Nothing is removed then: the next run goes on."
            )
            _serve(processes)
        console.say("Stopping ...")
    console.say("Everything has stopped.")


def _set_up(console: Console) -> str:
    """Prepare the database and the accounts; return their password."""
    with console.step("Preparing the database", f"{_database()}: its tables are made, or kept and brought up to date."):
        try:
            call_command("migrate", verbosity=0)
            call_command("createcachetable", verbosity=0)
        except (DatabaseError, CommandError, OSError) as error:
            raise DemoFailed(f"The database cannot be prepared: {error}\n{_remedy()}") from error
        return data.accounts()


def _remedy() -> str:
    """Return what to do about a database that cannot be prepared."""
    if connection.vendor == "sqlite":
        return f"May {_database_name()} be written to? To begin anew: DATA_DIR=/tmp/another-folder make demo"
    return (
        f"Is its server running, and does the database {_database_name()} exist? DATABASE_URL names it; "
        "without one, a file is used."
    )


def _require_broker() -> None:
    """Raise DemoFailed, with the remedy, when the broker does not answer."""
    with app.connection_for_write() as link:
        try:
            link.ensure_connection(max_retries=1, timeout=5)
        except BrokerError as error:
            raise DemoFailed(
                f"The broker {link.as_uri()} does not answer: {error}\nCELERY_BROKER_URL names it; without one, "
                "files are used."
            ) from error


def _bring_people_in(console: Console) -> None:
    """Import the made-up people, and do to some of them what happens to real ones."""
    with console.step(
        "Importing about 3,000 people, subscribers of “Garden news” and “Workshops”",
        "Each address is read, put into the form in which it is compared, and looked for; each change of\n"
        "consent is written to the ledger. The files are in campaign/demo/data/.",
    ):
        news, workshops = data.services()
        for name, service in (("people.csv", news), ("workshops.csv", workshops)):
            job, _printed = data.import_people(name, service, keep_invalid=True)
            console.lines(_import_line(job))
    with console.step("Doing what happens to real addresses", "Two people share one; some came back, some complained."):
        console.lines(f"{data.share_addresses()} people now share an address with somebody.")
        console.lines(f"{data.leave_out()} addresses are left out: returned, complained, asked for, known as dead.")
        console.lines(f"{data.opt_out_by_hand()} people were opted out by an operator, who wrote down why.")
    console.say("\nImporting a file with mistakes, to show what is said about them:")
    _job, printed = data.import_people("people_with_errors.csv", None)
    console.lines(printed)


def _start(console: Console, processes: Supervisor, port: int, mail_port: int, *, outage: bool) -> None:
    with console.step("Starting four processes: mail catcher, worker, scheduler, web server", _why_four(mail_port)):
        # WhiteNoise warns about a folder of collected files that is missing.
        Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
        command = [supervisor.PYTHON, "-m", catcher.__name__, str(mail_port), str(caught.folder())]
        processes.start("mail catcher", [*command, "--outage"] if outage else command)
        worker = supervisor.celery_command(
            "worker", "-P", "threads", "-c", "2", "--loglevel", "INFO", "--without-gossip"
        )
        processes.start("worker", [*worker, "--without-mingle"])
        processes.start("scheduler", supervisor.celery_command("beat", "--loglevel", "INFO"))
        processes.start("web server", supervisor.web_command(port))
        supervisor.wait_for_port(processes, mail_port)
        supervisor.wait_for_page(processes, f"{_base(port)}{reverse('admin:login')}")


def _main_job(teller: story.Teller) -> tuple[Delivery, Sequence[caught.Caught]]:
    """Analyse a delivery, send it, and compare what was caught with what was analysed."""
    marketer = User.objects.get(username="marketer")
    delivery = data.delivery(Service.objects.get(name=data.NEWS))
    with teller.console.step(
        f"Analysing the delivery “{delivery}”",
        "A worker gives each subscriber one line: to send, or left out with the reason. Nothing is sent yet.",
    ):
        run = story.analyse(teller, delivery, by=marketer)
    expected, newest = story.to_send(run), caught.names(caught.folder())[:1]
    with teller.console.step(
        "Sending it",
        "Before each message its person and address are looked at once more, under a lock: an opt-out of\n"
        "this very moment counts. That is most of the work.",
    ):
        story.send(teller, delivery, run)
        messages = story.compare(teller, delivery, expected, mark=newest[0] if newest else "")
    with teller.console.step(
        "Taking back what comes back",
        "Some mail systems take a message first and return it later; some people complain, some programs answer.\n"
        "A report counts only with our own signature, for the very person that the message went to.",
    ):
        story.take_back(teller, delivery, run)
    following = data.delivery(Service.objects.get(name=data.NEWS))
    with teller.console.step(
        f"Analysing the next one, “{following}”, which is yours to send", "They are left out of it."
    ):
        story.analyse(teller, following, by=marketer)
    return delivery, messages


def _say_accounts(console: Console, port: int, password: str) -> None:
    console.say(f"\nThe back-office is at {_base(port)}{reverse('admin:index')}")
    console.say(f"  Accounts: {', '.join(data.ACCOUNTS)}. Password of all three, until the next run: {password}")


def _suggest(console: Console, port: int, delivery: Delivery, messages: Sequence[caught.Caught]) -> None:
    """Print four things to try, each with its links."""
    zoe = Profile.objects.filter(external_id=ZOE.external_id).first()
    message = next((m for m in messages if m.headers.get("Content-Language") == "en"), None) or next(
        iter(messages), None
    )

    def link(name: str, *arguments: Any) -> str:
        return _base(port) + reverse(name, args=arguments)

    console.say("\nFour things to try")
    console.lines("1. As operator, stop writing to somebody by hand.")
    if zoe:
        console.lines(ZOE_S_PAGE.format(page=link("admin:profiles_profile_change", zoe.pk)))
        console.lines(f"   What she gets now, and why: {link('admin:person', zoe.pk)}")
    console.lines("2. As marketer, see who was left out and why, line by line; then prepare another delivery.")
    console.lines(f"   This one: {link('admin:deliveries_delivery_workspace', delivery.pk)}")
    console.lines(f"   Another:  {link('admin:deliveries_delivery_add')}")
    console.lines("3. As subscriber, press the link of a message that stops them; then subscribe again, and confirm")
    console.lines("   from the message that this sends.")
    if message:
        console.lines(f"   For {message.recipients[0]}: {link('admin:caught_mail_message', message.name)}")
    page = LandingPage.objects.open(timezone.now()).filter(kind=Kind.SUBSCRIPTION).order_by("pk").first()
    if page:
        console.lines(f"   Public page: {link('landing:page', page.slug)}")
    console.lines(f"   All mail: {link('admin:caught_mail')}")
    console.lines(
        f"4. As admin, undo what the outage of {provider.OUTAGE_DOMAIN} has led to: release those addresses, and"
    )
    console.lines("   only them: the answer holds “does not answer”.")
    console.lines(f"   {link('admin:quarantine_outage_add')}?domain={provider.OUTAGE_DOMAIN}")


def _serve(processes: Supervisor) -> None:
    """Wait for Ctrl-C; raise DemoFailed when a process dies."""
    try:
        while True:
            time.sleep(0.5)
            processes.check()
            story.receive_returned()
    except KeyboardInterrupt:
        return


@contextmanager
def _terminating() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C, so that the children are stopped too; hear Ctrl-C also where a shell has muted it."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _environment(port: int, mail_port: int) -> Mapping[str, str]:
    """Return what the children get on top of ours: the mail catcher is their only way out."""
    return {
        "EMAIL_URL": f"smtp://{supervisor.HOST}:{mail_port}",
        "BOUNCE_DOMAIN": "returned.jardins-emilie.example",
        "PUBLIC_URL": _base(port),
        "PYTHONUNBUFFERED": "1",
    }


def _base(port: int) -> str:
    return f"http://{supervisor.HOST}:{port}"


def _logs() -> Path:
    return Path(settings.DATA_DIR) / "logs"


def _database() -> str:
    """Return what the database is, without its password."""
    if connection.vendor == "sqlite":
        return f"SQLite, {_database_name()}"
    return f"{connection.display_name}, {_database_name()} on {connection.settings_dict['HOST'] or 'this machine'}"


def _database_name() -> str:
    name = str(connection.settings_dict["NAME"])
    return data.shown_path(Path(name)) if connection.vendor == "sqlite" else name


def _why_four(mail_port: int) -> str:
    return (
        f"The catcher listens on port {mail_port} and keeps every message in {data.shown_path(caught.folder())};\n"
        f"the others know no other way out. What they write is in {data.shown_path(_logs())}."
    )


def _import_line(job: ImportJob) -> str:
    return (
        f"{job.file_name}: {job.total:,} lines, {job.created:,} new people, {job.updated:,} changed, "
        f"{job.subscribed:,} subscribed, {job.opted_out:,} opted out, {job.warnings:,} remarks"
    )
