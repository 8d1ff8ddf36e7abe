"""One sending rule on its page, according to its kind."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
)

from deliveries.models import RuleKind, RuleSeverity, Typology, TypologyRule
from profiles.admin_base import BaseAdmin
from profiles.channels import Channel
from profiles.models import CustomField
from profiles.models.fields import FieldKind

from . import rule_words
from .built_in import BuiltInNameForm
from .criteria_field import CriteriaField, CriteriaForm

LONGEST = 366 * rule_words.DAY  # hours
STEP = 10  # between the places of two rules


class RuleForm(BuiltInNameForm, CriteriaForm):
    """What rules of every kind have. `of` is the set that a new one goes into."""

    named = "label"
    kind: RuleKind
    of: Typology | None = None

    class Meta:
        model = TypologyRule
        fields: tuple[str, ...] = ("label", "active", "place", "only_channel", "only_service", "only_brand")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance._state.adding and self.of:
            self.instance.kind, self.instance.typology = self.kind, self.of


class FilteringForm(RuleForm):
    kind = RuleKind.FILTERING
    criteria = CriteriaField(
        label=gettext_lazy("Who is left out"),
        empty_refused=gettext_lazy("Add a condition: without one, this rule would leave out everybody."),
    )

    class Meta(RuleForm.Meta):
        fields = (*RuleForm.Meta.fields, "criteria")


class FatigueForm(RuleForm):
    kind = RuleKind.FATIGUE
    period = forms.IntegerField(
        label=gettext_lazy("Within"), min_value=1, widget=UnfoldAdminIntegerFieldWidget,
        help_text=gettext_lazy("So long before the message and after it, as far as other deliveries are scheduled."),
    )  # fmt: skip
    unit = forms.TypedChoiceField(
        label=gettext_lazy("Unit"), choices=rule_words.UNITS, coerce=int, initial=rule_words.DAY,
        widget=UnfoldAdminSelectWidget,
    )  # fmt: skip
    channels = forms.TypedMultipleChoiceField(
        label=gettext_lazy("Channels counted"), choices=Channel.choices, coerce=int, required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=gettext_lazy("None: the messages of every channel count."),
    )  # fmt: skip

    class Meta(RuleForm.Meta):
        fields = (*RuleForm.Meta.fields, "most", "most_field", "channels")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.hours:
            self.initial["period"], self.initial["unit"] = rule_words.split(self.instance.hours)
        if most := self.fields.get("most"):
            most.required = True
            most.help_text = _("Whoever gets so many already is left out.")
        if own := self.fields.get("most_field"):
            own.queryset = CustomField.objects.filter(kind=FieldKind.NUMBER)  # type: ignore[attr-defined]
            own.help_text = _("Empty: the number above. Whoever has none in the field gets the number above.")

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if found.get("most") == 0:
            self.add_error("most", _("With 0, this rule would leave out everybody. Write 1 or more."))
        if found.get("period") and found.get("unit"):
            self.instance.hours = found["period"] * found["unit"]
            if self.instance.hours > LONGEST:
                self.add_error("period", _("Choose at most a year."))
        return found


class ControlForm(RuleForm):
    kind = RuleKind.CONTROL
    code = forms.ChoiceField(
        label=gettext_lazy("Check"), choices=rule_words.checks, widget=UnfoldAdminSelectWidget
    )  # fmt: skip
    severity = forms.ChoiceField(
        label=gettext_lazy("Severity"), choices=RuleSeverity.choices, widget=UnfoldAdminSelectWidget
    )

    class Meta(RuleForm.Meta):
        fields = (*RuleForm.Meta.fields, "code", "severity")


FORMS: dict[str, type[RuleForm]] = {form.kind.value: form for form in (FilteringForm, FatigueForm, ControlForm)}
# What a rule of a kind says, before what rules of every kind have.
OWN: dict[str, tuple[Any, ...]] = {
    RuleKind.FILTERING: ("criteria",),
    RuleKind.FATIGUE: ("most", "most_field", "period", "unit", "channels"),
    RuleKind.CONTROL: ("code", "severity"),
}


@admin.register(TypologyRule)
class TypologyRuleAdmin(BaseAdmin):
    audited = True
    list_display = ("__str__", "typology", "kind", "place", "active")
    list_filter = ("kind",)
    list_select_related = ("typology",)
    change_form_outer_before_template = "admin/deliveries/typology/rule_before.html"

    @admin.display(description=gettext_lazy("what it does"))
    def in_words(self, rule: TypologyRule) -> str:
        return rule_words.told([rule])[rule.pk]

    @admin.display(description=gettext_lazy("deliveries"))
    def limited_to(self, rule: TypologyRule) -> str:
        return rule_words.limits(rule)

    def get_fieldsets(self, request: HttpRequest, obj: TypologyRule | None = None) -> Any:
        if obj and not self.has_change_permission(request, obj):
            return ((None, {"fields": ("__str__", "in_words", "limited_to", "active")}),)
        only = {"fields": ("only_channel", "only_service", "only_brand"), "classes": ("collapse",)}
        return (
            (None, {"fields": ("label", *OWN[self._kind(request, obj)], ("active", "place"))}),
            (_("Only for some deliveries"), only),
        )

    def get_form(
        self, request: HttpRequest, obj: TypologyRule | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        base = FORMS[self._kind(request, obj)]
        own = type(base.__name__, (base,), {"of": None if obj else self._set(request), "__module__": __name__})
        return super().get_form(request, obj, change, **{**kwargs, "form": own})

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Put a new rule after the others of its kind."""
        rules = TypologyRule.objects.filter(typology=self._set(request), kind=self._kind(request, None))
        last = rules.order_by("place").last()
        return {"place": last.place + STEP if last else STEP}

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask for the set that the rule is for, and its kind: buttons of the set's page lead here with both."""
        found = self._set(request)
        if found is None or request.GET.get("kind") not in FORMS:
            messages.info(request, _("Open a set of sending rules, and add the rule there."))
            return HttpResponseRedirect(reverse("admin:deliveries_typology_changelist"))
        response: HttpResponse = super().add_view(request, form_url, {**(extra_context or {}), "set": found})
        return response

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        obj = kwargs.get("obj")
        context["set"] = obj.typology if obj else self._set(request)
        context["title"] = RuleKind(self._kind(request, obj)).label
        return super().render_change_form(request, context, *args, **kwargs)

    def response_add(self, request: HttpRequest, obj: TypologyRule, post_url_continue: Any = None) -> HttpResponse:
        return self._to_set(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: TypologyRule) -> HttpResponse:
        return self._to_set(request, obj) or super().response_change(request, obj)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Go back to the set of the rule that is gone."""
        rule = self.get_object(request, object_id)
        response = super().delete_view(request, object_id, extra_context)
        return _set_page(rule.typology_id) if rule and response.status_code == 302 else response

    def _to_set(self, request: HttpRequest, obj: TypologyRule) -> HttpResponse | None:
        if {"_addanother", "_continue", "_popup"} & set(request.POST):
            return None
        messages.success(request, _("Saved. Deliveries analysed before have to be analysed again."))
        return _set_page(obj.typology_id)

    def _kind(self, request: HttpRequest, obj: TypologyRule | None) -> str:
        kind = obj.kind if obj else request.GET.get("kind", "")
        return kind if kind in FORMS else RuleKind.FILTERING.value

    def _set(self, request: HttpRequest) -> Typology | None:
        pk = request.GET.get("typology", "")
        return Typology.objects.filter(pk=pk).first() if pk.isdecimal() and len(pk) < 19 else None


def _set_page(pk: int) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:deliveries_typology_change", args=[pk]))
