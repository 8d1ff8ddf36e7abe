"""A message as a page: the same content, with the same values, for whoever has the link of the message.

The link names a row of the log, or a test, and opens nothing else. What is no longer kept is not shown.
"""

from dataclasses import dataclass

from profiles.addresses import read
from profiles.channels import Channel
from profiles.digests import digest
from profiles.errors import TokenRefused
from profiles.models import Profile
from profiles.texts import supported
from profiles.tokens import OptOutLink, Purpose, open_token

from . import messages, rendering, specimens, view_online
from .errors import TemplateRefused
from .models import Delivery, DeliveryLog, LogStatus, Proof
from .view_online import PROOF, ROW

# What may have reached somebody; the link of anything else was never sent.
_MAY_HAVE_LEFT = (LogStatus.HANDING_OFF, LogStatus.RETRY, LogStatus.SENT, LogStatus.FAILED, LogStatus.IN_DOUBT)


@dataclass(frozen=True, slots=True)
class Page:
    """A whole document, made by a marketer: to be shown where it can run nothing."""

    html: str
    language: str


def page(token: str) -> Page | None:
    """Return the message that a link leads to; None when it is no longer kept. Raises TokenRefused."""
    payload = open_token(Purpose.VIEW_ONLINE, token)
    if len(payload) != 9:
        raise TokenRefused
    kind, number = payload[:1], int.from_bytes(payload[1:], "big")
    try:
        return {ROW: _of_row, PROOF: _of_proof}.get(kind, _of_nothing)(number)
    except TemplateRefused:  # a test of what has been rewritten since
        return None


def _of_row(number: int) -> Page | None:
    row = DeliveryLog.objects.filter(pk=number, status__in=_MAY_HAVE_LEFT).exclude(address="").first()
    delivery = _delivery(row.delivery_id) if row else None
    if row is None or delivery is None or row.run_id != delivery.current_run_id:
        return None
    person = Profile.objects.filter(pk=row.profile_id).first()
    link = OptOutLink(
        channel=delivery.channel, digest=bytes(row.digest or b""), log=row.pk, delivery=delivery.pk,
        service=delivery.service_id or 0,
    )  # fmt: skip
    return _drawn(delivery, supported(person.language if person else ""), person, row.address, link, ROW, row.pk)


def _of_proof(number: int) -> Page | None:
    proof = Proof.objects.filter(pk=number).first()
    delivery = _delivery(proof.delivery_id) if proof else None
    if proof is None or delivery is None:
        return None
    link = OptOutLink(
        channel=delivery.channel,
        digest=digest(Channel.EMAIL, read(Channel.EMAIL, proof.address).key),
        delivery=delivery.pk,
        service=delivery.service_id or 0,
    )
    return _drawn(
        delivery, proof.language, specimens.made_up_person(proof.language), proof.address, link, PROOF, proof.pk
    )


def _of_nothing(number: int) -> Page | None:
    return None


def _delivery(number: int) -> Delivery | None:
    return Delivery.objects.select_related("brand", "service").filter(pk=number).first()


def _drawn(
    delivery: Delivery, language: str, person: Profile | None, address: str, link: OptOutLink, kind: bytes, number: int
) -> Page | None:
    contents = {content.language: content for content in delivery.contents.all()}
    content = contents.get(language) or next(iter(contents.values()), None)
    if content is None or not content.html.strip():
        return None
    values = rendering.values_for(
        profile=person, address=address, brand=delivery.brand, service=delivery.service,
        opt_out_url=messages.opt_out_urls(delivery.brand, link).page, language=content.language,
        view_online_url=view_online.url(content, delivery.brand, kind, number),
    )  # fmt: skip
    rendered = rendering.render(content, values)
    return Page(messages.document(rendered.html, content.language, rendered.subject), content.language)
