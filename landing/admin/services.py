"""What public pages add to the page of a service: their addresses, and the pages made with a new service."""

from collections.abc import Sequence

from django.contrib import messages
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from landing import publishing
from landing.models import Kind, LandingPage
from profiles import brands
from profiles.admin import hooks
from profiles.admin.hooks import PublicLink
from profiles.models import Service


def links_of(service: Service) -> Sequence[PublicLink]:
    """Return the pages of a service that are open, for its own page."""
    pages = LandingPage.objects.open(timezone.now()).filter(service=service).select_related("brand").order_by("kind")
    return [
        PublicLink(f"{page.get_kind_display()} ({page.name})", page.public_address, page.kind == Kind.SUBSCRIPTION)
        for page in pages
    ]


def make_pages(request: HttpRequest, service: Service) -> None:
    """Give a new service its pages, so that people can subscribe and leave from the first day."""
    pages = publishing.default_pages(service, by=request.user.get_username(), at=timezone.now())
    if any(page.published_id is None for page in pages):
        told = _("The page to subscribe on is a draft: publish it once the brand is complete. %(problem)s")
        messages.warning(request, told % {"problem": brands.incomplete(service.brand)})


hooks.public_links.append(links_of)
hooks.service_added.append(make_pages)
