from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class LandingConfig(AppConfig):
    name = "landing"
    verbose_name = _("Public pages")

    def ready(self) -> None:
        from . import checks  # noqa: F401
        from .publishing import make_defaults

        post_migrate.connect(make_defaults, sender=self)
