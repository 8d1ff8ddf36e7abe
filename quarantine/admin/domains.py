"""Blocked domains: nothing is sent to any address there."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from profiles.admin_base import BaseAdmin
from quarantine import domains
from quarantine.domains import DomainRefused
from quarantine.models import BlockedDomain


class DomainForm(forms.ModelForm):
    class Meta:
        model = BlockedDomain
        fields = ("domain", "subdomains", "note")
        help_texts = {"domain": gettext_lazy("Such as example.org; *.example.org for it and all domains below it.")}
        error_messages = {
            "domain": {"unique": gettext_lazy("This domain is blocked already. Open it in the list to change it.")}
        }

    def clean_domain(self) -> str:
        """Take a domain as people write it; "*." in front means those below it too."""
        try:
            found = domains.read(self.cleaned_data["domain"])
        except DomainRefused as error:
            raise forms.ValidationError(str(error)) from error
        self.below = found.below
        return found.name

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if getattr(self, "below", False):
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

    def save_model(self, request: HttpRequest, obj: BlockedDomain, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        there = domains.anybody_there(obj.domain, below=obj.subdomains)
        if there:
            messages.warning(request, _("Some people have addresses there. Nothing is sent to these from now on."))
        elif there is False:
            messages.info(request, _("Nobody has an address there now. Whoever is given one is left out."))
