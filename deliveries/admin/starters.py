"""The message that a new delivery starts from, in each language."""

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import override

from deliveries.models import DeliveryContent
from profiles.channels import Channel

_HTML = """\
<div style="max-width: 600px; margin: 0 auto; padding: 24px; font: 16px/1.5 Arial, sans-serif; color: #222">
  <p>{hello}</p>
  <p>…</p>
  <hr style="border: 0; border-top: 1px solid #ccc; margin: 32px 0 16px">
  <p style="font-size: 13px; color: #555">
    {{{{ brand.name }}}}<br>{{{{ brand.postal_address | newline_to_br }}}}<br>
    <a href="{{{{ opt_out_url }}}}" style="color: #555">{leave}</a>
  </p>
</div>
"""
_TEXT = """\
{hello}

…

--
{{{{ brand.name }}}}
{{{{ brand.postal_address }}}}
{leave_colon} {{{{ opt_out_url }}}}
"""


def contents() -> list[DeliveryContent]:
    """Return one unsaved content per language: a greeting, the postal address and a way out, ready to be filled."""
    return [content(language) for language, _name in settings.LANGUAGES]


def content(language: str, channel: int = Channel.EMAIL) -> DeliveryContent:
    """Return what a message in a language starts from."""
    with override(language):
        words = {
            "hello": _("Hello {{ profile.first_name }},"),
            "leave": _("Unsubscribe"),
            "leave_colon": _("To unsubscribe:"),
        }
        sms = _("{{ brand.name }}: … Reply STOP to unsubscribe.")
    if channel != Channel.EMAIL:
        return DeliveryContent(language=language, text=sms)
    return DeliveryContent(language=language, html=_HTML.format(**words), text=_TEXT.format(**words))
