"""The message of a log row: the content in the person's language, their fields, and links that are theirs."""

from django.utils import timezone
from django.utils.translation import gettext as _

from profiles.models import Profile
from profiles.texts import supported
from profiles.tokens import OptOutLink

from . import messages, rendering, view_online
from .errors import AddressRefused, TemplateRefused
from .models import Delivery, DeliveryContent, DeliveryLog, MessageClass


class Composer:
    """Writes the messages of a delivery. Make one per worker: it keeps what they share. One query."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.contents = {content.language: content for content in delivery.contents.all()}
        self.is_marketing = delivery.message_class == MessageClass.MARKETING
        self._series: dict[str, messages.Series] = {}

    def compose(self, row: DeliveryLog, person: Profile | None) -> messages.Envelope:
        """Return the message of a log row in the person's language, else in another; raise TemplateRefused."""
        content = self.contents.get(supported(person.language if person else ""))
        content = content or next(iter(self.contents.values()), None)
        if content is None:
            raise TemplateRefused(_("Content"), None, _("Write the message in at least one language."))
        try:
            return self._compose(content, row, person)
        except AddressRefused as error:
            raise TemplateRefused(_("Address"), None, str(error)) from error

    def _compose(self, content: DeliveryContent, row: DeliveryLog, person: Profile | None) -> messages.Envelope:
        delivery, digest = self.delivery, bytes(row.digest or b"")
        link = OptOutLink(
            channel=delivery.channel, digest=digest, log=row.pk, delivery=delivery.pk, service=delivery.service_id or 0
        )
        urls = messages.opt_out_urls(delivery.brand, link)
        values = rendering.values_for(
            profile=person, address=row.address, brand=delivery.brand, service=delivery.service,
            opt_out_url=urls.page, language=content.language,
            view_online_url=view_online.url(content, delivery.brand, view_online.ROW, row.pk),
        )  # fmt: skip
        return self._in(content.language).compose(
            rendering.render(content, values), recipient=row.address,
            message_id=messages.message_id(delivery.brand, "row", row.pk), at=timezone.now(),
            urls=urls if self.is_marketing else None, return_path=messages.return_path(row.pk, digest),
        )  # fmt: skip

    def _in(self, language: str) -> messages.Series:
        if language not in self._series:
            brand = self.delivery.brand
            feedback_id = messages.feedback_id(brand.pk, self.delivery.pk)
            self._series[language] = messages.Series(brand, language, feedback_id=feedback_id)
        return self._series[language]
