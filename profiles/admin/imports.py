"""Imports: upload a file, see what it would do, confirm, watch, and read what could not be imported.

A page never does the work: it rings a worker, and shows how far the worker got.
"""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from profiles import audit, imports
from profiles.admin_base import BaseAdmin
from profiles.errors import ImportRefused
from profiles.models import CustomField, ImportJob, ImportNote, Service
from profiles.ring import ring
from profiles.tasks import check_import, run_import

State, Level = ImportJob.State, ImportNote.Level
MOVING = {State.UPLOADED, State.CHECKING, State.RUNNING}
WITH_PREVIEW = {State.UPLOADED, State.CHECKING, State.CHECKED}
NOTES_PER_PAGE = 50
# Shown even where they are zero: the others only say something when there is something to say.
ALWAYS = ("created", "updated", "unchanged", "errors")
ALWAYS_OF_OPT_OUTS = ("opted_out", "created", "unchanged", "errors")
PEOPLE, OPT_OUTS = "people", "opt-outs"
LIFTS = "lifts"  # ?only=lifts: the lines that would have opted somebody in again


class UploadForm(forms.Form):
    """What is asked of an import. What only people need is not required by the browser: the page may hide it."""

    content = forms.ChoiceField(
        label=gettext_lazy("What is in the file"), required=False, initial=PEOPLE, widget=forms.RadioSelect,
        choices=[(PEOPLE, gettext_lazy("People")), (OPT_OUTS, gettext_lazy("Only opt-outs"))],
    )  # fmt: skip
    file = forms.FileField(
        label=gettext_lazy("CSV file"), max_length=200,
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,text/csv", "class": "c-input"}),
    )  # fmt: skip
    service = forms.ModelChoiceField(
        Service.objects.none(), label=gettext_lazy("Subscribe them to"), required=False,
        empty_label=gettext_lazy("No service"),
        help_text=gettext_lazy("People who unsubscribed from it are not subscribed again."),
    )  # fmt: skip
    provenance = forms.CharField(
        label=gettext_lazy("Where these people come from"), max_length=300,
        help_text=gettext_lazy("For instance: members' register, May 2026. Kept in the ledger."),
    )  # fmt: skip
    basis = forms.CharField(
        label=gettext_lazy("Lawful basis"), max_length=300, required=False,
        help_text=gettext_lazy("Why they may be written to. For instance: they ticked a box, or they are customers."),
    )  # fmt: skip
    keep_invalid = forms.BooleanField(
        label=gettext_lazy("Also keep people whose address cannot be read"), required=False,
        help_text=gettext_lazy("The address is kept as it is, and never written to."),
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        services: Any = self.fields["service"]
        services.queryset = Service.objects.open()

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if given.get("content") != OPT_OUTS and not given.get("basis"):
            self.add_error("basis", self.fields["basis"].error_messages["required"])
        return given


@admin.register(ImportJob)
class ImportJobAdmin(BaseAdmin):
    list_display = (
        "file_name", "state", "content", "created_at", "uploader", "upto", "errors", "lifts_ignored",
    )  # fmt: skip
    list_select_related = ("by",)
    list_filter = ("state", "only_opt_outs")

    @admin.display(description=gettext_lazy("What is in the file"))
    def content(self, job: ImportJob) -> str:
        if found := imports.content_of(job):
            return str(found.title)
        return _("Only opt-outs") if job.only_opt_outs else _("People")

    @admin.display(description=gettext_lazy("By"))
    def uploader(self, job: ImportJob) -> str:
        return str(job.by or "—")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        may = self.has_add_permission(request) if obj is None else _may_import(request, obj)
        return super().has_view_permission(request, obj) or may

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("profiles.import_profile"))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deny the form: an import is moved by its buttons."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deny: what was imported refers to it."""
        return False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/live/", view(self.live_view), name="profiles_importjob_live"),
            path("<int:pk>/do/<slug:step>/", view(require_POST(self.do_view)), name="profiles_importjob_do"),
            path("<int:pk>/notes.csv", view(require_POST(self.csv_view)), name="profiles_importjob_csv"),
            *super().get_urls(),
        ]

    # -- uploading --------------------------------------------------------------------------------------------
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = UploadForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid() and (job := _receive(form, request.user)):
            ring(check_import, job.pk)
            return HttpResponseRedirect(_page(job.pk))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Import people or opt-outs"),
            "opts": self.opts,
            "form": form,
            "columns": [*imports.KNOWN, *CustomField.objects.order_by("name").values_list("name", flat=True)],
            "opt_out_columns": imports.OPT_OUTS.known,
        }
        return TemplateResponse(request, "admin/profiles/importjob/upload.html", context)

    # -- one import -------------------------------------------------------------------------------------------
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        job = self._job(request, int(object_id) if object_id.isdecimal() else 0)
        context = {
            **self.admin_site.each_context(request),
            **self._live(request, job),
            **_preview(job),
            "title": job.file_name,
            "opts": self.opts,
            "same": _same_file(job),
        }
        if job.state not in MOVING:
            context |= _notes(job, request.GET.get("after", ""), only=request.GET.get("only", ""))
        return TemplateResponse(request, "admin/profiles/importjob/job.html", context)

    def live_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Return the part of the page that changes by itself; the header says whether to ask again."""
        job = self._job(request, pk)
        html = render_to_string("admin/profiles/importjob/live.html", self._live(request, job), request)
        return HttpResponse(html, headers={"X-Moving": "yes" if job.state in MOVING else "no"})

    def do_view(self, request: HttpRequest, pk: int, step: str) -> HttpResponse:
        """Confirm, stop, resume or give up an import."""
        if not _may_import(request, self._job(request, pk)):
            raise PermissionDenied
        if step not in STEPS:
            raise Http404
        if not STEPS[step](pk):
            messages.info(request, _("This import has moved on meanwhile. Here is where it stands."))
        return HttpResponseRedirect(_page(pk))

    def csv_view(self, request: HttpRequest, pk: int) -> HttpResponse | StreamingHttpResponse:
        """Download what could not be imported, and what was remarked, as CSV that no spreadsheet runs.

        By POST only, as it leaves a trace: cells of the file may hold addresses.
        """
        job = self._job(request, pk)
        if not _may_import(request, job):
            raise PermissionDenied
        rows = _rows(job, request.POST.get("only", ""))
        # The name of the file may say who is in it: the number is enough.
        audit.record(audit.Action.EXPORTED, request.user, job, at=timezone.now(), rows=rows.count(), label=str(job.pk))
        response = StreamingHttpResponse(imports.csv_of(rows), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="import-{job.pk}.csv"'
        return response

    def _job(self, request: HttpRequest, pk: int) -> ImportJob:
        job = get_object_or_404(ImportJob.objects.select_related("service", "by"), pk=pk)
        if not self.has_view_permission(request, job):
            raise PermissionDenied
        return job

    def _live(self, request: HttpRequest, job: ImportJob) -> dict[str, Any]:
        content = imports.content_of(job)
        always = content.always if content else ALWAYS_OF_OPT_OUTS if job.only_opt_outs else ALWAYS
        words = imports.count_words(job).items()
        # What would have lifted an opt-out has a sentence of its own.
        counts = [
            (text, getattr(job, name))
            for name, text in words
            if name != "lifts_ignored" and (name in always or getattr(job, name))
        ]
        return {
            "job": job,
            "holds": content,
            "moving": job.state in MOVING,
            "percent": min(100, job.upto * 100 // job.total) if job.total else 0,
            "counts": counts,
            "refusal": imports.unpacked(job.message),
            "may_import": _may_import(request, job),
            "live_url": reverse("admin:profiles_importjob_live", args=[job.pk]),
        }


def _may_import(request: HttpRequest, job: ImportJob) -> bool:
    content = imports.content_of(job)
    return bool(request.user.has_perm(content.permission if content else "profiles.import_profile"))


def _receive(form: UploadForm, user: Any) -> ImportJob | None:
    """Store an uploaded file; or say on its field why it cannot be read, and keep nothing."""
    given = form.cleaned_data
    file: UploadedFile = given["file"]
    options = imports.Options(
        provenance=given["provenance"], basis=given["basis"], service=given["service"],
        keep_invalid=given["keep_invalid"], by=user, only_opt_outs=given["content"] == OPT_OUTS,
    )  # fmt: skip
    try:
        job = imports.receive(file, name=file.name or "", options=options, at=timezone.now())
    except ImportRefused as error:
        form.add_error("file", str(error))
        return None
    try:
        imports.preview(imports.sheet_of(job), keep_invalid=job.keep_invalid, at=timezone.now())
    except ImportRefused as error:
        form.add_error("file", str(error))
        imports.give_up(job.pk)
        job.delete()
        return None
    return job


def _preview(job: ImportJob) -> dict[str, Any]:
    if job.state not in WITH_PREVIEW:
        return {}
    try:
        return {"preview": imports.preview(imports.sheet_of(job), keep_invalid=job.keep_invalid, at=timezone.now())}
    except ImportRefused:
        return {}  # the worker says the same, and writes it down


def _rows(job: ImportJob, only: str) -> QuerySet[ImportNote]:
    rows = ImportNote.objects.filter(job=job).order_by("line", "pk")
    return rows.filter(code__in=imports.LIFTS) if only == LIFTS else rows


def _notes(job: ImportJob, after: str, *, only: str) -> dict[str, Any]:
    """Return one page of notes in the order of the file; `after` is "line-id" of the last one shown before."""
    rows, only = _rows(job, only), only if only == LIFTS else ""
    line, _dash, pk = after.partition("-")
    if all(part.isdecimal() and len(part) < 18 for part in (line, pk)):
        rows = rows.filter(Q(line__gt=int(line)) | Q(line=int(line), pk__gt=int(pk)))
    found = list(rows[: NOTES_PER_PAGE + 1])
    shown = found[:NOTES_PER_PAGE]
    asked = f"only={only}&" if only else ""
    more = f"?{asked}after={shown[-1].line}-{shown[-1].pk}#notes" if len(found) > NOTES_PER_PAGE else ""
    words = [(note, imports.note_words(note.code)) for note in shown]
    return {"notes": words, "more": more, "after": after, "only": only}


def _same_file(job: ImportJob) -> ImportJob | None:
    """Return an earlier import of the very same content."""
    if job.state not in WITH_PREVIEW or not job.file_digest:
        return None
    return (
        ImportJob.objects.filter(file_digest=job.file_digest, state=State.DONE, pk__lt=job.pk).order_by("-pk").first()
    )


def _page(pk: int) -> str:
    return reverse("admin:profiles_importjob_change", args=[pk])


def _confirm(pk: int) -> bool:
    confirmed = imports.confirm(pk)
    if confirmed:
        ring(run_import, pk)
    return confirmed


def _resume(pk: int) -> bool:
    state = imports.resume(pk)
    if state is not None:
        ring(run_import if state == State.RUNNING else check_import, pk)
    return state is not None


STEPS = {"confirm": _confirm, "stop": imports.stop, "resume": _resume, "give-up": imports.give_up}
