"""Bring the made-up people into the database, through the same doors as anybody's: the import, the ledger's writers.

Every function may be called again: an interrupted set-up goes on where it was, and a kept database stays as its
visitors left it (see `ready`).
"""

import secrets
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.utils import timezone

from campaign.models import User
from deliveries import analysis, sending
from deliveries.models import Delivery, DeliveryContent, State, Target
from landing import publishing
from landing.models import Kind, LandingPage
from profiles import address_book, consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Address, Brand, ImportJob, Profile, Service, Source
from quarantine import escalation, failures
from quarantine.models import Cause
from quarantine.models import Reason as Fault

from . import people
from .people import ByHand, LeftOut, SecondProfile

BRAND = "Les Jardins d’Émilie"
LABEL = "Spring at last"
NEWS, WORKSHOPS = "garden-news", "workshops"
ACCOUNTS = ("admin", "operator", "marketer")
SUBJECTS = {"en": "Spring at last, {{ profile.first_name }}", "fr": "Enfin le printemps, {{ profile.first_name }}"}
# Letters and digits that nobody takes for one another.
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


def accounts() -> str:
    """Make the three accounts if they are missing, give them one new password, and return it."""
    password = "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))
    hashed = make_password(password)
    for name in ACCOUNTS:
        user, _created = User.objects.get_or_create(username=name)
        user.password, user.is_staff, user.is_active, user.is_superuser = hashed, True, True, name == "admin"
        # Tests of a message go to the account of whoever asks for one.
        user.email = user.email or f"{name}@jardins.example"
        user.email = user.email or f"{name}@jardins-emilie.example"  # where "Send a test to me" goes
        user.save()
        if group := Group.objects.filter(name=name).first():
            user.groups.add(group)
    return password


def ready() -> bool:
    """Say whether an earlier run has brought everything in."""
    return Delivery.objects.filter(label__startswith=LABEL).exists()


def brand() -> Brand:
    """Return the brand of the demonstration; the stand-in that a new database begins with becomes it."""
    fields = {
        "name": BRAND,
        "sender_name": BRAND,
        "sender_email": "bonjour@jardins-emilie.example",
        "reply_to": "",
        "postal_address": "8 quai des Jardins, 69009 Lyon, France",
        "contact": "bonjour@jardins-emilie.example",
        "color": "#1f6f5c",
    }
    found = Brand.objects.filter(name=BRAND).first() or Brand.objects.filter(postal_address="").first() or Brand()
    for name, value in fields.items():
        setattr(found, name, value)
    found.save()
    return found


def services() -> tuple[Service, Service]:
    """Return the two services that people subscribe to, with their published pages."""
    news = _service(
        NEWS, {"en": "Garden news", "fr": "Nouvelles du jardin"},
        {"en": "What grows, what to sow, once a month.", "fr": "Ce qui pousse, ce qui se sème, une fois par mois."},
    )  # fmt: skip
    workshops = _service(
        WORKSHOPS, {"en": "Workshops", "fr": "Ateliers"},
        {"en": "Dates and free places of our Saturdays.", "fr": "Les dates et les places libres de nos samedis."},
    )  # fmt: skip
    return news, workshops


def import_people(name: str, service: Service | None, *, keep_invalid: bool = False) -> tuple[ImportJob, str]:
    """Import a shipped file with the command that anybody would use; return its job and what it printed."""
    printed = StringIO()
    options: dict[str, Any] = {"service": service.name} if service else {}
    call_command(
        "import_profiles", str(people.DATA / name), source="The till of the shop, where people signed the card",
        basis="Consent, on the card", keep_invalid=keep_invalid, stdout=printed, stderr=printed, **options,
    )  # fmt: skip
    return ImportJob.objects.order_by("-pk")[0], printed.getvalue()


def share_addresses() -> int:
    """Give some people the address of another person, as households have; return how many."""
    at, given = timezone.now(), 0
    for line in people.read(SecondProfile, "second_profiles.csv"):
        profile = Profile.objects.get(external_id=line.external_id)
        if not profile.addresses.filter(channel=Channel.EMAIL).exists():
            address_book.change(profile, saved=[Address.make(Channel.EMAIL, line.email)], at=at)
            given += 1
    return given


def leave_out() -> int:
    """Quarantine the addresses that must not be written to; return how many."""
    now, operator = timezone.now(), User.objects.get(username="operator")
    left_out = 0
    for line in people.read(LeftOut, "left_out.csv"):
        address, cause = Address.make(Channel.EMAIL, line.email), Cause[line.cause]
        code, _blank, text = line.answer.partition(" ")
        left_out += escalation.quarantine(
            [escalation.Target(Channel.EMAIL, bytes(address.digest), address.value, address.key)],
            cause=cause,
            evidence=_evidence(cause, operator),
            at=now - timedelta(days=int(line.days_ago)),
            reason=failures.classify(int(code), text).reason if code else Fault.NOT_DEFINED,
            text=line.answer,
        )
    return left_out


def opt_out_by_hand() -> int:
    """Opt out those who asked an operator; return how many."""
    operator, opted_out = User.objects.get(username="operator"), 0
    for line in people.read(ByHand, "opted_out_by_hand.csv"):
        profile = Profile.objects.get(external_id=line.external_id)
        evidence = Evidence.of_operator(operator, reason=line.reason)
        opted_out += len(consent.opt_out([profile.pk], channel=None, evidence=evidence, at=timezone.now()))
    return opted_out


def stop_interrupted() -> int:
    """Stop what an earlier run was interrupted in, so that this one's worker has only this one's; return how many.

    A delivery that a visitor has paused stays paused.
    """
    stopped = 0
    for unfinished in Delivery.objects.filter(label__startswith=LABEL):
        if unfinished.state == State.SENDING:
            sending.stop(unfinished)  # the worker cancels what was left
            stopped += 1
        elif unfinished.state == State.ANALYSING:
            stopped += analysis.stop(unfinished, at=timezone.now())
    return stopped


def delivery(news: Service) -> Delivery:
    """Return a draft of the message of spring, or what an earlier run left analysed: each run sends one."""
    if unsent := Delivery.objects.filter(label__startswith=LABEL, state__in=[State.DRAFT, State.ANALYSED]).first():
        return unsent
    number = Delivery.objects.filter(label__startswith=LABEL).count() + 1
    made = Delivery.objects.create(
        label=LABEL if number == 1 else f"{LABEL} ({number})", brand=news.brand, service=news, target=Target.SERVICE,
        created_by=User.objects.get(username="marketer"),
    )  # fmt: skip
    for language, subject in SUBJECTS.items():
        html, text = ((people.DATA / f"spring.{language}.{kind}").read_text("utf-8") for kind in ("html", "txt"))
        DeliveryContent.objects.create(delivery=made, language=language, subject=subject, html=html, text=text)
    return made


def shown_path(path: Path) -> str:
    """Return a path as it is shortest to read from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _service(name: str, label: dict[str, str], description: dict[str, str]) -> Service:
    service, _created = Service.objects.get_or_create(
        name=name, defaults={"label": label, "description": description, "brand": brand()}
    )
    _subscription_page(service, label, description)
    publishing.default_pages(service, by="marketer", at=timezone.now())
    return service


def _subscription_page(service: Service, title: dict[str, str], introduction: dict[str, str]) -> None:
    """Make and publish the page on which people subscribe, with the words of this service."""
    if service.pages.filter(kind=Kind.SUBSCRIPTION).exists():
        return
    page = LandingPage.objects.create(
        name=f"{service.label['en']}: subscribe", slug=service.name, kind=Kind.SUBSCRIPTION, brand=service.brand,
        service=service, title=title, introduction=introduction,
    )  # fmt: skip
    publishing.publish(page, by="marketer", at=timezone.now())


def _evidence(cause: Cause, operator: User) -> Evidence:
    last_letter = "Winter letter"
    if cause == Cause.OPERATOR:
        return Evidence.of_operator(operator, reason="A letter to this address came back to the shop.")
    sources = {Cause.BOUNCE: Source.BOUNCE, Cause.COMPLAINT: Source.COMPLAINT, Cause.PERSON: Source.LANDING_PAGE}
    source = sources.get(cause, Source.IMPORT)
    return Evidence(source=source, delivery_name=last_letter if cause in (Cause.BOUNCE, Cause.COMPLAINT) else "")
