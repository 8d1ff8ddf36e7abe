"""The menu of the back-office, in plain words. Pages that the user may not open are not shown."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

PEOPLE = gettext_lazy("People")
LEFT_OUT = gettext_lazy("Addresses left out")
# Group → (model, icon, title). A title of None is the plural name of the model.
GROUPS: tuple[tuple[Promise, tuple[tuple[str, str, Promise | None], ...]], ...] = (
    (
        PEOPLE,
        (
            ("profiles.Profile", "person", None),
            ("profiles.ImportJob", "upload_file", None),
            ("profiles.CustomField", "edit_attributes", None),
            ("profiles.ConsentEvent", "history", gettext_lazy("Consent, event by event")),
        ),
    ),
    (
        gettext_lazy("Deliveries"),
        (
            ("deliveries.Delivery", "send", None),
            ("deliveries.Audience", "group", None),
            ("deliveries.PeopleList", "list_alt", None),
            ("deliveries.Typology", "rule", None),
        ),
    ),
    (
        gettext_lazy("Public pages"),
        (
            ("landing.LandingPage", "web", None),
            ("landing.PendingOptIn", "pending_actions", None),
            ("landing.OptOutBurst", "smart_toy", None),
            ("landing.MetTwins", "group", None),
            ("profiles.Service", "newspaper", None),
            ("profiles.Brand", "palette", None),
            ("profiles.Wording", "format_quote", None),
        ),
    ),
    (
        LEFT_OUT,
        (
            ("quarantine.QuarantinedAddress", "block", None),
            ("quarantine.Outage", "undo", gettext_lazy("Releases after outages")),
            ("quarantine.BlockedDomain", "domain_disabled", None),
            ("quarantine.Report", "mark_email_unread", gettext_lazy("Reports waiting")),
            ("quarantine.AnswerRule", "rule_settings", None),
            ("deliveries.MailDomain", "speed", None),
        ),
    ),
    (
        gettext_lazy("Administration"),
        (
            ("campaign.User", "manage_accounts", None),
            ("auth.Group", "badge", gettext_lazy("Roles")),
            ("profiles.AuditEvent", "policy", None),
        ),
    ),
)


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups of the menu with the pages that this user may open."""
    home = {"title": _("Home"), "icon": "home", "link": reverse("admin:index"), "permission": None}
    first = [home, *([_caught_mail()] if settings.ENVIRONMENT == "local" else [])]
    groups: list[dict[str, Any]] = [{"items": first}]
    registered = {a.opts.label: a for a in admin.site._registry.values()}
    for title, models in GROUPS:
        items = [
            _item(registered[label], icon, name)
            for label, icon, name in models
            if label in registered and registered[label].has_view_permission(request)
        ]
        if title == LEFT_OUT and request.user.has_perm("quarantine.view_report"):
            link = reverse("admin:what_it_says")
            items.append({"title": _("What does this report say?"), "icon": "troubleshoot", "link": link})
        if title == PEOPLE and request.user.has_perm("profiles.view_profile"):
            items.append({"title": _("Why did they (not) get it?"), "icon": "help", "link": reverse("admin:why")})
        if items:
            groups.append({"title": str(title), "items": items})
    return groups


def _caught_mail() -> dict[str, Any]:
    return {"title": _("Caught mail"), "icon": "mail", "link": reverse("admin:caught_mail"), "permission": None}


def environment(request: HttpRequest) -> list[str] | None:
    """Say on every page that this is not the real thing, when it is not."""
    return [_("On this machine"), "info"] if settings.ENVIRONMENT == "local" else None


def style_sheet(request: HttpRequest) -> str:
    return static("campaign/admin.css")


def _item(model_admin: Any, icon: str, name: Promise | None) -> dict[str, Any]:
    opts = model_admin.opts
    title = str(name or opts.verbose_name_plural)
    link = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")
    return {"title": title[:1].upper() + title[1:], "icon": icon, "link": link}
