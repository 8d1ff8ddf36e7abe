"""Mail domains to which nothing is sent."""

from typing import Any

from django import forms
from django.contrib import admin
from django.utils.translation import gettext_lazy

from profiles.admin_base import BaseAdmin
from quarantine import domains
from quarantine.models import BlockedDomain


class DomainForm(forms.ModelForm):
    class Meta:
        model = BlockedDomain
        fields = ("domain", "subdomains", "note")
        error_messages = {
            "domain": {"unique": gettext_lazy("This domain is blocked already. Open it in the list to change it.")}
        }

    def clean_domain(self) -> str:
        try:
            self.read = domains.read(self.cleaned_data["domain"])
        except domains.DomainRefused as error:
            raise forms.ValidationError(str(error)) from error
        return self.read.name

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if "domain" in found and self.read.below:
            found["subdomains"] = True
        return found


@admin.register(BlockedDomain)
class BlockedDomainAdmin(BaseAdmin):
    form = DomainForm
    audited = True
    list_display = ("shown", "subdomains", "note", "created_at")
    search_fields = ("domain", "note")
    fields = ("domain", "subdomains", "note")

    @admin.display(description=gettext_lazy("domain"))
    def shown(self, blocked: BlockedDomain) -> str:
        return domains.shown(blocked.domain)

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "domain":
            field.help_text = gettext_lazy(
                "Such as example.org. *.example.org stands for it and all domains below it. Nothing is sent to "
                "addresses of a blocked domain, whoever has them."
            )
        return field
