from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class ProfilesConfig(AppConfig):
    name = "profiles"
    verbose_name = _("People")

    def ready(self) -> None:
        from . import checks  # noqa: F401
        from .triggers import install_ledger_triggers

        post_migrate.connect(install_ledger_triggers, sender=self)
