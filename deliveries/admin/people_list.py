"""Lists of people: named by pasting or by a file, shown by the page, taken off by ticking."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from deliveries import people_lists
from deliveries.models import PeopleList
from profiles import audit
from profiles.errors import ImportRefused

from .archive import ArchivableAdmin

PASTED = 10_000
MOST_LINES = 100_000
MOST_BYTES = 5 << 20
PER_PAGE = 50


class NamesForm(forms.Form):
    """People named line by line; `lines` once it is valid."""

    pasted = forms.CharField(
        label=gettext_lazy("Paste them here, one per line"), required=False, strip=False,
        widget=forms.Textarea(attrs={"rows": 8, "class": "c-input", "autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy("Email addresses, phone numbers, or identifiers elsewhere. At most 10,000 lines."),
    )  # fmt: skip
    file = forms.FileField(
        label=gettext_lazy("Or choose a text or CSV file"), required=False, max_length=200,
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,text/csv,text/plain", "class": "c-input"}),
        help_text=gettext_lazy(
            "The column email, phone or id is read, else the first one. At most 100,000 lines and 5 MB."
        ),
    )  # fmt: skip
    how = forms.ChoiceField(
        label=gettext_lazy("What becomes of those who are on the list"), initial="add", widget=forms.RadioSelect,
        choices=[
            ("add", gettext_lazy("They stay, and these are added")),
            ("replace", gettext_lazy("They go, and only these are on it")),
        ],
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        pasted, file = found.get("pasted") or "", found.get("file")
        self.lines: list[str] = []
        if file and pasted.strip():
            self.add_error("file", _("Paste or choose a file, not both."))
        elif file:
            self._read_file(file)
        elif "file" not in self.errors:
            self._take("pasted", pasted, PASTED)
        return found

    def _read_file(self, file: Any) -> None:
        if file.size > MOST_BYTES:
            self.add_error("file", _("The file is larger than 5 MB. Split it, or import these people."))
            return
        try:
            text = people_lists.decoded(file.read())
        except ImportRefused as error:
            self.add_error("file", str(error))
        else:
            self._take("file", text, MOST_LINES)

    def _take(self, name: str, text: str, most: int) -> None:
        try:
            self.lines = people_lists.lines_of(text)
        except ImportRefused as error:
            self.add_error(name, str(error))
            return
        if not self.lines:
            self.add_error(name, _("There is no line in it."))
        elif len(self.lines) > most:
            self.add_error(name, _("There are more than %(most)s lines. Split them.") % {"most": f"{most:,}"})


@admin.register(PeopleList)
class PeopleListAdmin(ArchivableAdmin):
    used_by = "people_list"
    list_display = ("name", "description", "size", "created_at")
    search_fields = ("name", "description")
    fields = ("name", "description")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/people/", wrap(self.people_view), name="deliveries_peoplelist_people"),
            path("<int:pk>/remove/", wrap(require_POST(self.remove_view)), name="deliveries_peoplelist_remove"),
            *super().get_urls(),
        ]

    def save_model(self, request: HttpRequest, obj: PeopleList, form: Any, change: bool) -> None:
        if not change:
            obj.created_by_id = request.user.pk
            obj.save()
            return
        obj.save(update_fields=[name for name in form.changed_data if name in form._meta.fields])

    def response_add(self, request: HttpRequest, obj: PeopleList, post_url_continue: Any = None) -> HttpResponse:
        """Go on with who is on it."""
        if {"_addanother", "_popup"} & set(request.POST):
            return super().response_add(request, obj, post_url_continue)
        return self._to_people(obj.pk)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        if (obj := kwargs.get("obj")) is not None and request.user.has_perm("profiles.view_profile"):
            url = reverse("admin:deliveries_peoplelist_people", args=[obj.pk])
            told = ngettext("%(n)s person: show and change…", "%(n)s people: show and change…", obj.size)
            link = format_html('<a class="c-button c-button-main" href="{}">{}</a>', url, told % {"n": obj.size})
            context["more_buttons"] = link
        return super().render_change_form(request, context, *args, **kwargs)

    # -- who is on it -------------------------------------------------------------------------------------------------
    def people_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show who is on a list, a page at a time; add people when lines are sent, and tell what became of them."""
        people_list = get_object_or_404(PeopleList, pk=pk)
        changes = self.has_change_permission(request, people_list)
        may_look = self.has_view_permission(request, people_list) and request.user.has_perm("profiles.view_profile")
        if not may_look or (request.method == "POST" and not changes):
            raise PermissionDenied
        form, added = NamesForm(request.POST or None, request.FILES or None), None
        if request.method == "POST" and form.is_valid():
            added = people_lists.add(people_list, form.lines, replace=form.cleaned_data["how"] == "replace")
            self._note(request, people_list, added.people)
            form = NamesForm()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": people_list.name,
            "people_list": people_list,
            "form": form,
            "added": added,
            "changes": changes,
            **_page(people_list, request.GET.get("after", "")),
        }
        return TemplateResponse(request, "admin/deliveries/people_list.html", context)

    def remove_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take those who are ticked off the list."""
        people_list = self.changeable(request, pk)
        ticked = [int(one) for one in request.POST.getlist("profile")[:PER_PAGE] if one.isdecimal() and len(one) < 19]
        if gone := people_lists.remove(people_list, ticked):
            self._note(request, people_list, gone)
            told = ngettext("%(n)s person is off the list.", "%(n)s people are off the list.", gone)
            messages.success(request, told % {"n": gone})
        else:
            messages.info(request, _("Nobody was ticked."))
        return self._to_people(pk)

    def _note(self, request: HttpRequest, people_list: PeopleList, rows: int) -> None:
        after = {"size": people_list.size}
        audit.record(audit.Action.CHANGED, request.user, people_list, at=timezone.now(), rows=rows, after=after)

    def _to_people(self, pk: int) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:deliveries_peoplelist_people", args=[pk]))


def _page(people_list: PeopleList, after: str) -> dict[str, Any]:
    """Return a page of members, those added last first, and the key of the next page."""
    members = people_list.members.select_related("profile").order_by("-pk")
    if after.isdecimal() and len(after) < 19:
        members = members.filter(pk__lt=int(after))
    rows = list(members[: PER_PAGE + 1])
    more = len(rows) > PER_PAGE
    return {"members": rows[:PER_PAGE], "next": rows[PER_PAGE - 1].pk if more else None, "first": not after}
