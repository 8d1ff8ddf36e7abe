"""Events of Amazon SES, which come through a topic of SNS.

django-anymail's view wants Amazon's own library, a hundred megabytes, only to confirm subscriptions by itself. Nothing
is confirmed by itself here: a request to do so is kept with the reports, and a person opens the address that it holds.
"""

from typing import Any

from anymail.exceptions import AnymailAPIError, AnymailWebhookValidationFailure
from anymail.webhooks.amazon_ses import AmazonSESTrackingWebhookView
from anymail.webhooks.base import AnymailBaseWebhookView
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from deliveries import reported


class SesView(AmazonSESTrackingWebhookView):  # type: ignore[misc]
    """Takes what is posted with our password, and from our topics only."""

    def __init__(self, **kwargs: Any) -> None:
        AnymailBaseWebhookView.__init__(self, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response: HttpResponse = super().post(request, *args, **kwargs)
            return response
        except AnymailAPIError:
            raise AnymailWebhookValidationFailure("No message of SNS.") from None

    def validate_request(self, request: HttpRequest) -> None:
        """Refuse topics that are not ours; the password and the shape are checked by the classes above."""
        topic = self._parse_sns_message(request).get("TopicArn")
        if topic not in settings.ESP_SNS_TOPICS:
            raise AnymailWebhookValidationFailure("A message of a topic that is not in ESP_SNS_TOPICS.")

    def auto_confirm_sns_subscription(self, sns_message: Any) -> None:
        """Keep a request to confirm for a person: whoever opens an address that was sent in serves the sender."""
        reported.keep_aside(self.request.body, source="amazon_ses", at=timezone.now())
