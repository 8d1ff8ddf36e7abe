from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class QuarantineConfig(AppConfig):
    name = "quarantine"
    verbose_name = _("Addresses left out")

    def ready(self) -> None:
        from profiles import left_out

        from . import checks  # noqa: F401
        from .blocking import blocked_digests

        left_out.decided_by(blocked_digests)
