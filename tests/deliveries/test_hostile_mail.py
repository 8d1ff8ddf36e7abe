"""A thousand people with the worst of names are written to over a real SMTP dialogue, each once and alone.

The template puts the names where it can: into the subject, into both bodies, beside the link to leave.
"""

import os
import re
import time
from email.message import EmailMessage
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from deliveries import analysis, sending
from deliveries.mime import one_line
from deliveries.models import Delivery, DeliveryContent, DeliveryLog, LogStatus
from profiles.channels import Channel
from profiles.models import Address, Brand, Profile, Subscription
from profiles.tokens import OptOutLink, Purpose, open_token, verify_return_path
from tests.deliveries.signing import KINDS, Zone
from tests.factories import DeliveryFactory, ServiceFactory
from tests.sink import Caught, running_sink

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
# A thousand once; on PostgreSQL, where the bytes are the same, a fifth of them.
PEOPLE = 200 if os.environ.get("TEST_ENGINE") == "postgres" else 1_000
NAMES = [
    "Zoé", "🙂" * 30, "👩‍👩‍👧‍👦 Martin", "\u202eevil\u202c", "שלום עולם", "مرحبا، بالعالم", "e\u0301" * 40, "Z̸̧̛a̷͢lgo" * 5,
    '"Quoted" Name', "O'Brien", "<b>bold</b>", "<a@b.example>", "a@b.example, c@d.example", "Last, First; Title: x",
    "(comment)", "back\\slash\\", "\r\nBcc: victim@example.org", "a\nX-Evil: 1", "a\rX-Evil: 1", "\r\n\r\nbody first",
    "\x07bell\x1b[31m", "\u2028line", "\u2029paragraph", "\x85next", "\x0bvertical\x0c", "x" * 100, "é" * 100,
    "word " * 19, "To: someone@example.org", "Subject: free", "Content-Type: text/html", "MIME-Version: 2.0",
    "=?utf-8?q?fake?=", "=?utf-8?b?ZmFrZQ==?=", "=?iso-8859-1?q?=FC?=", "=?", "?=", "=?utf-8?q?unfinished",
    "{{ brand.postal_address }}", "{% for x in (1..9) %}x{% endfor %}", "{{ opt_out_url }}", "%s %n {0} $x ${y}",
    "--=_alternative", "--=_alternative--", ".", "..", "From me", "=20=0D=0ABcc: x", "&amp;lt;", "<!--", "]]>", "',\"`",
    "<script>alert(1)</script>", "</title></head>", "\ufeffbom", "\u200bzero\u200b", "名前" * 20, "ﷺ" * 30, "ß→SS İıſ",
    "NULL", "undefined", "../../etc/passwd", "'; DROP TABLE x; --", " leading", "trailing ", "\t tab \t", "",
    "-", "\\0", "<mailto:a@b.example>", "a\r\n b", "a\r\n\tb", "x" * 70 + " " + "y" * 29, "\U000e0041\U000e0042",
    "\ufffe", "\ud7ff",
]  # fmt: skip
MAILBOXES = [
    "n{}@example.org",
    "o'n+{}=a@Example.ORG",
    "{}.!#$%&*/?^_`|~-@sub.example.org",
    "n{}@jardins-émilie.example",
]
HTML = (
    '<p title="{{ profile.first_name }}">Dear {{ profile.first_name }} {{ profile.last_name }}</p>\n'
    "<p>{{ profile.attributes.story }}</p><p>{{ brand.postal_address }}</p>"
    '<p><a href="{{ opt_out_url }}">Leave</a></p>'
)
TEXT = (
    "Dear {{ profile.first_name }}\n{{ profile.last_name }}\n{{ profile.attributes.story }}\n"
    "{{ brand.postal_address }}\n{{ opt_out_url }}\n"
)


def crowd() -> Delivery:
    """Return an analysed delivery to a thousand people, each with a name of every kind beside one of another."""
    service = ServiceFactory.create()
    names = [name.replace("\x00", "") for name in NAMES]
    pairs = list(product(names, names))[:: len(names) ** 2 // PEOPLE][:PEOPLE]
    people = Profile.objects.bulk_create(
        Profile(first_name=first[:100], last_name=last[:100], attributes={"story": (last + "\n.\n" + first) * (n % 30)})
        for n, (first, last) in enumerate(pairs)
    )
    Address.objects.bulk_create(
        Address.make(Channel.EMAIL, MAILBOXES[n % len(MAILBOXES)].format(n), profile=person)
        for n, person in enumerate(people)
    )
    Subscription.objects.bulk_create(
        Subscription(service=service, profile=person, source="import") for person in people
    )
    delivery: Delivery = DeliveryFactory.create(service=service)
    subject = "{{ profile.first_name }}, for {{ profile.last_name }}"
    DeliveryContent.objects.filter(delivery=delivery).update(subject=subject, html=HTML, text=TEXT)
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    return delivery


def check(caught: Caught, row: DeliveryLog, person: Profile) -> EmailMessage:
    """Check a message that arrived: whole, without a defect, to one person, with the ways out of its own row."""
    message = caught.message
    names = [name.lower() for name in message if name.lower() != "dkim-signature"]
    assert len(names) == len(set(names))
    assert not {"bcc", "cc", "x-evil", "sender"} & set(names)
    for part in message.walk():
        assert part.defects == []
        assert all(not getattr(value, "defects", ()) for value in part.values())
    (recipient,) = message["To"].addresses
    assert recipient.addr_spec == caught.recipient
    assert recipient.username == row.address.rpartition("@")[0]
    assert message["Subject"] == one_line(f"{person.first_name}, for {person.last_name}")
    assert len(message["From"].addresses) == 1
    token = re.fullmatch(r"<https?://[^<>\s]+/u/([\w-]+)>", message["List-Unsubscribe"])
    assert token
    link = OptOutLink.unpack(open_token(Purpose.ONE_CLICK, token[1]))
    assert (link.log, link.digest) == (row.pk, bytes(row.digest or b""))
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    text, html = (part.get_content() for part in message.iter_parts())
    assert text.count("/o/") >= 1 <= html.count("/o/")
    assert "<script" not in html
    assert max(map(len, caught.body.split(b"\r\n"))) <= 998
    assert caught.body.count(b"\n") == caught.body.count(b"\r\n") == caught.body.count(b"\r")
    return message


def test_a_thousand_hostile_names_reach_a_thousand_people(settings: Any, tmp_path: Path) -> None:
    settings.BOUNCE_DOMAIN = "bounces.example.org"
    zone = Zone(tmp_path)
    for selector, make in KINDS.items():
        zone.add(selector, make())
    settings.DKIM_KEYS = zone.entries
    delivery = crowd()
    Brand.objects.filter(pk=delivery.brand_id).update(sender_name='Last, First <a@b.example> "x": é' * 3)
    with running_sink() as sink:
        sending.start(delivery, at=timezone.now())
        deadline = time.monotonic() + 300
        while sending.work(delivery.pk) and time.monotonic() < deadline:
            pass
    rows = {key_of(row.address): row for row in DeliveryLog.objects.filter(run=delivery.current_run)}
    assert {row.status for row in rows.values()} == {LogStatus.SENT}
    assert len(sink.caught) == len(rows) == PEOPLE
    people = Profile.objects.in_bulk()
    digests = {row.pk: bytes(row.digest or b"") for row in rows.values()}
    identifiers = set()
    for caught in sink.caught:
        row = rows.pop(key_of(caught.recipient))
        identifiers.add(check(caught, row, people[row.profile_id])["Message-ID"])
        local, _at, host = caught.sender.partition("@")
        assert (verify_return_path(local, digests.get), host) == (row.pk, "bounces.example.org")
        assert zone.verified(caught.body) == list(KINDS)
    assert not rows
    assert len(identifiers) == PEOPLE


def key_of(address: str) -> str:
    return Address.make(Channel.EMAIL, address).key
