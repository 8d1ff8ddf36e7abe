"""The four roles of the back-office, made again after every migration and flush.

A role holds exactly the permissions listed here, as patterns, and nothing that no pattern names; a pattern after "!"
takes away again. Whoever needs another mix makes a group of their own: a built-in one would be put back at the next
migration.
"""

from fnmatch import fnmatchcase
from typing import Any

from django.apps import apps
from django.contrib.auth.management import create_permissions

APPS = ("campaign", "landing", "deliveries", "quarantine", "profiles")
# Who did what in the back-office is for those who answer for it.
_VIEW = (*(f"{app}.view_*" for app in ("landing", "deliveries", "quarantine", "profiles")), "!profiles.view_auditevent")
# No role needs what only workers write, and no page of its own shows.
_NOBODY = ("!deliveries.*_domainslot", "!deliveries.*_rundomain")
ROLES: dict[str, tuple[str, ...]] = {
    "viewer": _VIEW,
    "operator": (
        *_VIEW,
        "profiles.add_profile", "profiles.change_profile", "profiles.lift_opt_out",
        "profiles.import_profile", "profiles.add_importjob", "profiles.change_importjob",
        "quarantine.add_quarantinedaddress", "quarantine.change_quarantinedaddress",
        "quarantine.export_quarantinedaddress", "quarantine.import_quarantinedaddress", "quarantine.accept_report",
        "landing.change_mettwins",
        "deliveries.add_maildomain", "deliveries.change_maildomain",
    ),
    "marketer": (
        *_VIEW,
        "deliveries.add_*", "deliveries.change_*", "!deliveries.add_maildomain", "!deliveries.change_maildomain",
        "deliveries.delete_deliverycontent", "deliveries.delete_proofrecipient",
        "deliveries.analyse_delivery", "deliveries.send_delivery",
        "landing.add_landingpage", "landing.change_landingpage", "landing.publish_*",
        "profiles.add_service", "profiles.change_service", "profiles.add_brand", "profiles.change_brand",
    ),
    "administrator": (*(f"{app}.*" for app in APPS), "auth.*_group"),
}  # fmt: skip


def install_roles(using: str = "default", **_: Any) -> None:
    """Make the roles and set their permissions (post_migrate). Idempotent."""
    # post_migrate goes through the applications in turn; those that come later have no permissions yet.
    for label in (*APPS, "auth"):
        create_permissions(apps.get_app_config(label), using=using, verbosity=0)
    group_model, permission_model = apps.get_model("auth.Group"), apps.get_model("auth.Permission")
    rows = permission_model.objects.using(using).values_list("pk", "content_type__app_label", "codename")
    known = {f"{app}.{codename}": pk for pk, app, codename in rows}
    for name, patterns in ROLES.items():
        group, _created = group_model.objects.using(using).get_or_create(name=name)
        group.permissions.set([pk for full, pk in known.items() if _grants((*patterns, *_NOBODY), full)])


def _grants(patterns: tuple[str, ...], permission: str) -> bool:
    given = any(fnmatchcase(permission, pattern) for pattern in patterns)
    return given and not any(pattern[0] == "!" and fnmatchcase(permission, pattern[1:]) for pattern in patterns)
