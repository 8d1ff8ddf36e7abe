"""What production refuses to start with."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

from deliveries.checks import sending_errors
from profiles.addresses import read
from profiles.channels import Channel


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
    if settings.BURST_MIN < 1 or not 0 < settings.BURST_SHARE <= 1:
        told = "BURST_MIN must be 1 or more, and BURST_SHARE a part of the whole such as 0.5."
        errors.append(Error(told, id="campaign.E018"))
    if settings.ENVIRONMENT not in ("local", "production"):
        errors.append(Error("CAMPAIGN_ENV must be local or production.", id="campaign.E012"))
    return errors


def refuse_unsafe_start() -> None:
    """Raise ImproperlyConfigured when production would run on values that only suit one machine.

    Commands of manage.py run the checks by themselves; web servers and workers do not.
    """
    if settings.ENVIRONMENT == "production" and (errors := [*_production_errors(), *_ring_errors(), *sending_errors()]):
        raise ImproperlyConfigured("Campaign does not start: " + " ".join(str(error.msg) for error in errors))


def _demonstration_servers() -> Iterator[Error]:
    """Refuse what is there so that a demonstration needs nothing installed."""
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        yield Error("DATABASE_URL must name a PostgreSQL database in production.", id="campaign.E006")
    if not settings.CELERY_BROKER_URL.startswith(("redis", "amqp")):
        yield Error("CELERY_BROKER_URL must name a Redis (or AMQP) broker in production.", id="campaign.E007")
    if "redis" not in settings.CACHES["default"]["BACKEND"].lower():
        yield Error(
            "CACHE_URL must name a Redis cache in production: limits are shared through it.", id="campaign.E008"
        )
    if not settings.EMAIL_URL_IS_SET:
        yield Error("EMAIL_URL must name the mail server in production.", id="campaign.E009")
    elif not settings.EMAIL_BACKEND.endswith("smtp.EmailBackend"):
        told = "EMAIL_URL must begin with smtp in production: anything else delivers nothing."
        yield Error(told, id="campaign.E021")


@register()
def check_mail(**_: Any) -> list[CheckMessage]:
    """Refuse a way to send messages that gives no answer to believe."""
    from deliveries.transports import MAIL_BACKENDS  # needs the models; web servers import this module before them

    if settings.EMAIL_BACKEND in MAIL_BACKENDS:
        return []
    told = f"EMAIL_URL chooses {settings.EMAIL_BACKEND}, which cannot send messages."
    return [Error(told, hint="Let it begin with smtp, or with consolemail to look at messages.", id="campaign.E020")]


@register()
def check_captcha(**_: Any) -> list[CheckMessage]:
    """Refuse a sum against robots that cannot be made."""
    if settings.CAPTCHA not in ("", "altcha"):
        return [Error("CAPTCHA must be empty or altcha.", id="campaign.E018")]
    if settings.CAPTCHA and find_spec("altcha") is None:
        hint = "Install it: pip install --require-hashes -r requirements/captcha.txt"
        return [Error("CAPTCHA is altcha, whose package is missing.", hint=hint, id="campaign.E019")]
    return []


@register()
def check_esp(**_: Any) -> list[CheckMessage]:
    """Refuse webhooks of mail providers that could take no event."""
    from landing.hooks import PASSWORD, PROVIDERS  # needs the models

    if settings.ESP and find_spec("anymail") is None:
        hint = "Install it: pip install --require-hashes -r requirements/esp.txt"
        return [Error("ESP is set, and the package of its webhooks is missing.", hint=hint, id="campaign.E026")]
    errors: list[CheckMessage] = []
    if unknown := sorted(set(settings.ESP) - set(PROVIDERS)):
        hint = f"Write some of {', '.join(sorted(PROVIDERS))}."
        errors.append(
            Error(f"ESP names what is no mail provider: {', '.join(unknown)}.", hint=hint, id="campaign.E022")
        )
    wanted = {PROVIDERS[name].secret for name in settings.ESP if name in PROVIDERS}
    if missing := sorted(name for name in wanted if not settings.ANYMAIL.get(name)):
        told = f"ESP needs {', '.join(f'ANYMAIL_{name}' for name in missing)}: events that nobody signs are not taken."
        errors.append(Error(told, id="campaign.E023"))
    name, colon, password = settings.ANYMAIL.get(PASSWORD, "").partition(":")
    if PASSWORD in wanted - set(missing) and not (name and colon and len(password) >= 16):
        told = "ANYMAIL_WEBHOOK_SECRET must be a name, a colon and a password of 16 characters or more."
        errors.append(Error(told, id="campaign.E024"))
    if "amazon_ses" in settings.ESP and not settings.ESP_SNS_TOPICS:
        errors.append(Error("ESP_SNS_TOPICS must name the topics (ARN) of amazon_ses.", id="campaign.E025"))
    return errors


@register()
def check_links(**_: Any) -> list[CheckMessage]:
    """Refuse a ring of link keys that would fail when the first link is made or opened."""
    errors: list[CheckMessage] = list(_ring_errors())
    if settings.UNSUBSCRIBE_MAILBOX and (flaw := read(Channel.EMAIL, settings.UNSUBSCRIBE_MAILBOX).flaw):
        told = "UNSUBSCRIBE_MAILBOX is no email address."
        errors.append(Error(told, hint=str(flaw.remedy), id="campaign.E014"))
    return errors


def _ring_errors() -> Iterator[Error]:
    ids = []
    for entry in settings.LINK_KEYS:
        key_id, separator, secret = entry.partition(":")
        if separator and key_id.isdecimal() and int(key_id) < 256 and len(secret) >= 16:
            ids.append(int(key_id))
        else:
            hint = "Write LINK_KEYS as id:secret pairs, ids from 0 to 255, secrets of 16 characters or more."
            yield Error("LINK_KEYS has an entry that is no key.", hint=hint, id="campaign.E013")
    if len(set(ids)) < len(ids):
        hint = "Give the new key an id that was never used: links made with one of the two would not open."
        yield Error("LINK_KEYS has two keys of one id.", hint=hint, id="campaign.E015")
    if set(settings.LINK_KEYS_REVOKED) & set(ids[:1] if settings.LINK_KEYS else [0]):
        hint = "Put a new key first, and keep the id in LINK_KEYS_REVOKED: no link made now would open."
        yield Error("The key that signs links is in LINK_KEYS_REVOKED.", hint=hint, id="campaign.E016")


def _production_errors() -> Iterator[Error]:
    if settings.DEBUG:
        yield Error("DEBUG must be off in production.", id="campaign.E001")
    for number, name in enumerate(("SECRET_KEY", "SUPPRESSION_KEY"), start=2):
        value = getattr(settings, name)
        if value.startswith(settings.LOCAL_KEY_PREFIX) or len(value) < 32:
            yield Error(f"{name} must be set to at least 32 random characters.", id=f"campaign.E{number:03}")
    yield from _demonstration_servers()
    if not settings.ALLOWED_HOSTS or "*" in settings.ALLOWED_HOSTS:
        yield Error("ALLOWED_HOSTS must list the names under which Campaign is reached.", id="campaign.E004")
    if not settings.PUBLIC_URL.startswith("https://"):
        yield Error("PUBLIC_URL must be the https address of the public pages.", id="campaign.E005")
    if not settings.LINK_KEYS:
        hint = "Without it links are signed with SECRET_KEY, and a new SECRET_KEY would break those already sent."
        yield Error("LINK_KEYS must hold the key of the links in messages.", hint=hint, id="campaign.E017")
