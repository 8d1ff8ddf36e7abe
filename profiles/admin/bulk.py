"""Opt many profiles out at once, after a page that says how many, of what, and what will follow.

"All that match" may be millions: they are read by primary key and opted out in rounds, each round in batches of
short transactions. After a round the page says how far it got and asks to go on.
"""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import helpers
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from profiles import consent, twins
from profiles.blacklist import FLAGS
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Profile

ROUND = 20_000
SAMPLE = 5
EVERY = "every"


class OptOutForm(forms.Form):
    """Which channel, why, and where the last round stopped."""

    channel = forms.ChoiceField(
        label=gettext_lazy("No longer contact them"),
        choices=lambda: [(EVERY, _("by any channel")), *((c.slug, twins.flag_label(FLAGS[c])) for c in Channel)],
        initial=EVERY,
    )
    reason = forms.CharField(label=gettext_lazy("Why (kept with each event)"), required=False, max_length=500)
    after = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)
    done = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)


def no_longer_contact(model_admin: Any, request: HttpRequest, people: QuerySet[Profile]) -> HttpResponse | None:
    """Show the confirmation page, or act on it; return None once everybody chosen is opted out."""
    form = OptOutForm(request.POST if "confirm" in request.POST else None)
    if not (form.is_bound and form.is_valid()):
        return _page(model_admin, request, people, form)
    after, done = form.cleaned_data["after"] or 0, form.cleaned_data["done"] or 0
    ids = list(people.order_by("pk").filter(pk__gt=after).values_list("pk", flat=True)[: ROUND + 1])
    chosen = form.cleaned_data["channel"]
    channel = None if chosen == EVERY else Channel[chosen.upper()]
    evidence = Evidence.of_operator(request.user, reason=form.cleaned_data["reason"])
    done += len(consent.opt_out(ids[:ROUND], channel=channel, evidence=evidence, at=timezone.now()))
    if len(ids) > ROUND:
        form = OptOutForm({**form.cleaned_data, "after": ids[ROUND - 1], "done": done})
        return _page(model_admin, request, people, form, done=done)
    messages.success(request, _told(done))
    return None


def _page(
    model_admin: Any, request: HttpRequest, people: QuerySet[Profile], form: OptOutForm, done: int = 0
) -> HttpResponse:
    across = request.POST.get("select_across") == "1"
    number = None if across else len(request.POST.getlist(helpers.ACTION_CHECKBOX_NAME))
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("No longer contact…"),
        "form": form,
        "across": across,
        "number": number,
        "done": done,
        "sample": [(profile, twins.opted_out_of(profile)) for profile in people.order_by("-pk")[:SAMPLE]],
        "selected": request.POST.getlist(helpers.ACTION_CHECKBOX_NAME),
        "checkbox_name": helpers.ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/profiles/profile/no_longer_contact.html", context)


def _told(done: int) -> str:
    return ngettext(
        "%(n)d profile was opted out. Those who already were keep their date.",
        "%(n)d profiles were opted out. Those who already were keep their date.",
        done,
    ) % {"n": done}
