"""What production refuses to start with."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def check_production(**_: Any) -> list[CheckMessage]:
    """Refuse, in production, the values that only suit one machine."""
    return list(_production_errors()) if settings.ENVIRONMENT == "production" else []


@register()
def check_engines(**_: Any) -> list[CheckMessage]:
    """Refuse limits that would break a promise."""
    errors: list[CheckMessage] = []
    if settings.LEASE_TIME.total_seconds() <= settings.EMAIL_TIMEOUT:
        errors.append(
            Error(
                "LEASE_SECONDS must exceed EMAIL_TIMEOUT: a lease must outlive one SMTP conversation.",
                id="campaign.E010",
            )
        )
    if not 1 <= settings.IMPORT_BATCH <= 5_000:
        errors.append(
            Error("IMPORT_BATCH must be from 1 to 5,000: longer transactions block writers.", id="campaign.E011")
        )
    if settings.ENVIRONMENT not in ("local", "production"):
        errors.append(Error("CAMPAIGN_ENV must be local or production.", id="campaign.E012"))
    return errors


def _production_errors() -> Iterator[Error]:
    if settings.DEBUG:
        yield Error("DEBUG must be off in production.", id="campaign.E001")
    for number, name in enumerate(("SECRET_KEY", "SUPPRESSION_KEY"), start=2):
        value = getattr(settings, name)
        if value.startswith(settings.LOCAL_KEY_PREFIX) or len(value) < 32:
            yield Error(f"{name} must be set to at least 32 random characters.", id=f"campaign.E{number:03}")
    if not settings.ALLOWED_HOSTS or "*" in settings.ALLOWED_HOSTS:
        yield Error("ALLOWED_HOSTS must list the names under which Campaign is reached.", id="campaign.E004")
    if not settings.PUBLIC_URL.startswith("https://"):
        yield Error("PUBLIC_URL must be the https address of the public pages.", id="campaign.E005")
