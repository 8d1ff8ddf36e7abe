"""Import a list of addresses to leave out: upload it, then see what it would do on the page of the import."""

from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from profiles import imports
from profiles.errors import ImportRefused
from profiles.models import ImportJob
from profiles.ring import ring
from profiles.tasks import check_import
from quarantine.suppressions import CONTENT, KIND


class UploadForm(forms.Form):
    """A file, and where it comes from."""

    file = forms.FileField(
        label=gettext_lazy("CSV file"), max_length=200,
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,text/csv", "class": "c-input"}),
    )  # fmt: skip
    provenance = forms.CharField(
        label=gettext_lazy("Where this list comes from"), max_length=300,
        help_text=gettext_lazy("For instance: our former mailing system, May 2026. Kept in the history of each."),
    )  # fmt: skip


def view(admin: Any, request: HttpRequest) -> HttpResponse:
    """Take a file; nothing is left out before its page has said what would be."""
    if not request.user.has_perm(CONTENT.permission):
        raise PermissionDenied
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid() and (job := _receive(form, request.user)):
        ring(check_import, job.pk)
        return HttpResponseRedirect(reverse("admin:profiles_importjob_change", args=[job.pk]))
    context = {
        **admin.admin_site.each_context(request),
        "title": _("Import addresses to leave out"),
        "form": form,
        "columns": CONTENT.table.known,
    }
    return TemplateResponse(request, "admin/quarantine/upload.html", context)


def _receive(form: UploadForm, user: Any) -> ImportJob | None:
    """Store an uploaded file; or say on its field why it cannot be read, and keep nothing."""
    file: UploadedFile = form.cleaned_data["file"]
    options = imports.Options(provenance=form.cleaned_data["provenance"], kind=KIND, by=user)
    job = None
    try:
        job = imports.receive(file, name=file.name or "", options=options, at=timezone.now())
        imports.preview(imports.sheet_of(job), keep_invalid=False, at=timezone.now())
    except ImportRefused as error:
        form.add_error("file", str(error))
        if job is not None:
            imports.give_up(job.pk)
            job.delete()
        return None
    return job
