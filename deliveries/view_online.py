"""The link to a message as a page: `online_page` shows what it leads to."""

from django.urls import reverse

from profiles.models import Brand
from profiles.tokens import Purpose, seal

from .models import DeliveryContent

ROW, PROOF, SPECIMEN = b"r", b"p", b"s"
FIELD = "view_online_url"


def url(content: DeliveryContent, brand: Brand, kind: bytes, number: int) -> str:
    """Return the signed address of a message as a page; empty where the content does not ask for it."""
    if FIELD not in content.html and FIELD not in content.text:
        return ""
    token = seal(Purpose.VIEW_ONLINE, kind + number.to_bytes(8, "big"))
    return brand.public_url + reverse("landing:view_online", args=[token])
