"""Sets of sending rules: the rules of a set in order on one page, and the set that is the usual one."""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from unfold.decorators import display

from deliveries.models import RuleKind, Typology, TypologyRule
from profiles import audit

from . import rule_words
from .archive import ArchivableAdmin
from .built_in import BuiltInNameForm
from .typology_rule import STEP


@admin.register(Typology)
class TypologyAdmin(ArchivableAdmin):
    form = BuiltInNameForm
    used_by = "typology"
    list_display = ("__str__", "description", "usual")
    list_before_template = "admin/deliveries/typology/always.html"
    search_fields = ("name", "description")
    fields = ("name", "description")
    change_form_outer_before_template = "admin/deliveries/typology/before.html"
    change_form_outer_after_template = "admin/deliveries/typology/rules.html"

    @display(description=gettext_lazy("use"), label={"usual": "success"})
    def usual(self, typology: Typology) -> tuple[str, str] | str:
        return ("usual", _("The usual ones")) if typology.is_default else "—"

    def use_q(self, obj: Typology) -> Q:
        """Say which deliveries obey a set: those that name no other obey the usual one."""
        return Q(typology=obj) | Q(typology=None) if obj.is_default else Q(typology=obj)

    def may_archive(self, obj: Typology) -> bool:
        return not obj.is_default

    def has_delete_permission(self, request: HttpRequest, obj: Typology | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not (obj and obj.is_default)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/usual/", wrap(require_POST(self.usual_view)), name="deliveries_typology_usual"),
            path("<int:pk>/move/", wrap(require_POST(self.move_view)), name="deliveries_typology_move"),
            *super().get_urls(),
        ]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        if (obj := kwargs.get("obj")) is not None:
            context["kinds"] = _kinds(obj)
            context["may_change_rules"] = request.user.has_perm("deliveries.change_typologyrule")
            context["may_add_rules"] = request.user.has_perm("deliveries.add_typologyrule")
            context["may_make_usual"] = (
                self.has_change_permission(request, obj) and not obj.is_default and obj.archived_at is None
            )
        return super().render_change_form(request, context, *args, **kwargs)

    def usual_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Make a set the one that deliveries obey when they name no other."""
        obj = self.changeable(request, pk)
        with transaction.atomic():
            former = Typology.objects.select_for_update().filter(is_default=True).exclude(pk=pk).first()
            Typology.objects.filter(is_default=True).exclude(pk=pk).update(is_default=False)
            # Whoever archived it meanwhile was first.
            made = Typology.objects.filter(pk=pk, archived_at=None).update(is_default=True)
            if not made:
                transaction.set_rollback(True)
            elif former != obj:
                at, before = timezone.now(), {"usual": str(former) if former else None}
                after = {"usual": str(obj)}
                audit.record(audit.Action.CHANGED, request.user, obj, at=at, before=before, after=after)
        if made:
            messages.success(request, _("These are the usual rules now: deliveries that name no other obey them."))
        else:
            messages.error(request, _("It is archived: open it again first."))
        return self.back(obj)

    def move_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Let a rule change places with the one before or after it; the places are numbered anew."""
        obj, rule = self.changeable(request, pk), request.POST.get("rule", "")
        with transaction.atomic():
            moved = get_object_or_404(TypologyRule, typology=obj, pk=rule if rule.isdecimal() else None)
            same = TypologyRule.objects.select_for_update().filter(typology=obj, kind=moved.kind)
            order = list(same.order_by("place", "pk"))
            at = order.index(moved)
            to = at - 1 if request.POST.get("to") == "up" else at + 1
            if 0 <= to < len(order):
                before = [str(one) for one in order]
                order[at], order[to] = order[to], order[at]
                for number, one in enumerate(order, 1):
                    TypologyRule.objects.filter(pk=one.pk).update(place=number * STEP)
                after = {"order": [str(one) for one in order]}
                now = timezone.now()
                audit.record(audit.Action.CHANGED, request.user, obj, at=now, before={"order": before}, after=after)
        return self.back(obj)


def _kinds(typology: Typology) -> list[dict[str, Any]]:
    """Return the rules of a set, by their kinds, with what each does in words."""
    found = typology.rules.select_related("most_field", "only_service", "only_brand").order_by("place", "pk")
    rules: list[TypologyRule] = list(found)
    told = rule_words.told(rules)
    helps = {
        RuleKind.FILTERING: _("The first rule that applies is named as the reason."),
        RuleKind.FATIGUE: _("How many messages a person gets at most in some time."),
        RuleKind.CONTROL: _("How severe a check of the message is. Without a rule it is as severe as usual."),
    }
    add = reverse("admin:deliveries_typologyrule_add")
    return [
        {
            "kind": kind,
            "title": kind.label,
            "help": helps[kind],
            "add_url": f"{add}?typology={typology.pk}&kind={kind.value}",
            "rules": [
                {
                    "rule": rule,
                    "words": told[rule.pk],
                    "limits": rule_words.limits(rule),
                    "url": reverse("admin:deliveries_typologyrule_change", args=[rule.pk]),
                }
                for rule in rules
                if rule.kind == kind
            ],
        }
        for kind in RuleKind
    ]
