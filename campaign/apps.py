from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CampaignConfig(AppConfig):
    name = "campaign"
    verbose_name = _("Back-office")

    def ready(self) -> None:
        from . import checks  # noqa: F401
