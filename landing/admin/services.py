"""What public pages add to the page of a service: their addresses, and the pages made with a new service."""

from collections.abc import Sequence

from django.http import HttpRequest
from django.utils import timezone

from landing import publishing
from landing.models import PageState
from profiles.admin import hooks
from profiles.models import Service


def links_of(service: Service) -> Sequence[tuple[str, str]]:
    """Return the published pages of a service, for its own page."""
    pages = service.pages.filter(state=PageState.PUBLISHED).select_related("brand").order_by("kind")
    return [(page.get_kind_display(), page.public_address) for page in pages]


def make_pages(request: HttpRequest, service: Service) -> None:
    """Give a new service its pages, so that people can subscribe and leave from the first day."""
    publishing.default_pages(service, by=request.user.get_username(), at=timezone.now())


hooks.public_links.append(links_of)
hooks.service_added.append(make_pages)
