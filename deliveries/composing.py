"""The message of a log row: the content in the person's language, their fields, and links that are theirs."""

from django.utils import timezone

from profiles.models import Profile
from profiles.tokens import OptOutLink

from . import messages, rendering, view_online
from .models import Delivery, DeliveryContent, DeliveryLog, MessageClass


def compose_row(
    delivery: Delivery, content: DeliveryContent, row: DeliveryLog, person: Profile | None
) -> messages.Envelope:
    """Return the message of a log row; raise TemplateRefused."""
    link = OptOutLink(
        channel=delivery.channel, digest=bytes(row.digest or b""), log=row.pk, delivery=delivery.pk,
        service=delivery.service_id or 0,
    )  # fmt: skip
    urls = messages.opt_out_urls(delivery.brand, link)
    values = rendering.values_for(
        profile=person, address=row.address, brand=delivery.brand, service=delivery.service,
        opt_out_url=urls.page, language=content.language,
        view_online_url=view_online.url(content, delivery.brand, view_online.ROW, row.pk),
    )  # fmt: skip
    return messages.compose(
        rendering.render(content, values), brand=delivery.brand, recipient=row.address, language=content.language,
        message_id=messages.message_id(delivery.brand, "row", row.pk), at=timezone.now(),
        urls=urls if delivery.message_class == MessageClass.MARKETING else None,
        feedback_id=f"{delivery.pk}:{delivery.brand_id}:campaign",
    )  # fmt: skip
