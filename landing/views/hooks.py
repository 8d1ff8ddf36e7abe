"""The address that a mail provider posts its events to."""

import logging
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ImproperlyConfigured, RequestDataTooBig, SuspiciousOperation
from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from landing import hooks, limits
from landing.limits import Room

from .base import client_ip, not_found, public

logger = logging.getLogger(__name__)
# What django-anymail raises for a body of another shape than the provider's, whoever sent it.
_MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError, RecursionError)


@dataclass(slots=True)
class _Events:
    """The events of one request, and the provider's name as django-anymail writes it."""

    found: list[Any] = field(default_factory=list)
    esp: str = ""


def _collecting(view: Any, events: _Events) -> Any:
    """Return a view of django-anymail that keeps its events for us: all of a request are acted on together."""

    def parse_events(self: Any, request: HttpRequest) -> list[Any]:
        events.found, events.esp = list(view.parse_events(self, request)), self.esp_name
        return []  # to send to nobody else

    return type(view.__name__, (view,), {"parse_events": parse_events})


@public()
def receive(request: HttpRequest, provider: str) -> HttpResponse:
    """Take the events of a provider; answer 2xx only once they are committed, so that it tells others again.

    4xx: not signed, not its shape, too large, or too many of these from one network. 5xx: try again later.
    """
    if not hooks.is_open(provider):
        return not_found(request)
    if int(request.META.get("CONTENT_LENGTH") or 0) > hooks.LIMIT:
        return _answer(413, "Too large.")
    ip, at, events = client_ip(request), timezone.now(), _Events()
    if limits.room_for_strangers(ip=ip, at=at) != Room.TAKE:
        return _answer(429, "Too many.")
    try:
        view = _collecting(hooks.view_of(provider), events)
        response: HttpResponse = view.as_view()(request)
        if response.status_code == 200 and events.found:
            done = hooks.act(events.found, provider, events.esp, at=at)
            logger.info("%s: %d events, %d about addresses.", provider, done.events, done.reports)
    except (SuspiciousOperation, RequestDataTooBig) as error:
        return _refuse(provider, error, ip)
    except ImproperlyConfigured:
        logger.error("The webhook of %s is not set up: a package or a setting is missing.", provider)
        return _answer(503, "Not ready.")
    except Error as error:
        logger.error("The events of %s could not be written: %s.", provider, type(error).__name__)
        return _answer(503, "Try again later.")
    except _MALFORMED as error:
        return _refuse(provider, error, ip)
    if response.status_code >= 400 and response.status_code != 401:  # Amazon asks first whether a password is wanted
        limits.note_stranger(ip=ip, at=at)
    return response


def _refuse(provider: str, error: Exception, ip: str) -> HttpResponse:
    """Answer what nobody has signed, or nobody can read. Its words may hold anything, so only their kind is logged."""
    limits.note_stranger(ip=ip, at=timezone.now())
    logger.warning("A request to the webhook of %s was refused: %s.", provider, type(error).__name__)
    return _answer(400, "Refused.")


def _answer(status: int, text: str) -> HttpResponse:
    return HttpResponse(f"{text}\n", content_type="text/plain; charset=utf-8", status=status)
