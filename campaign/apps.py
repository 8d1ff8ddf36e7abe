from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class CampaignConfig(AppConfig):
    name = "campaign"
    verbose_name = _("Back-office")

    def ready(self) -> None:
        from . import checks  # noqa: F401
        from .roles import install_roles

        post_migrate.connect(install_roles, sender=self)
