"""Writing the message of a delivery in one language, with what becomes of it beside: saved by nothing but Save.

What is typed is drawn by the server, as a sending would, while it is being typed; without scripts a button does it.
"""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import override

from deliveries import contents, personalisation
from deliveries.errors import ChangedMeanwhile, MoveRefused
from deliveries.models import Delivery, DeliveryContent
from profiles.channels import Channel
from profiles.models import CustomField

from . import seen
from .content_form import ContentForm


def edit(admin: Any, request: HttpRequest, delivery: Delivery, language: str) -> HttpResponse:
    """Show the texts of a language, or save them."""
    if not _may_write(admin, request, delivery, language):
        return _kept_as_it_was(request, delivery)
    stored, data, theirs = contents.stored(delivery, language), None, None
    if request.method == "POST":
        data = request.POST.copy()
        form = ContentForm(data, delivery=delivery, language=language, stored=stored)
        if "preview" not in data and form.is_valid():
            try:
                return _save(admin, request, delivery, form)
            except MoveRefused as error:
                messages.error(request, str(error))
                return _to_workspace(delivery)
            except ChangedMeanwhile:
                theirs = contents.stored(delivery, language) or DeliveryContent(language=language)
                stored = contents.stored(delivery, language)
                data["seen"] = contents.seen(stored)
    form = ContentForm(data, delivery=delivery, language=language, stored=stored)
    context = {
        **admin.admin_site.each_context(request),
        **_page(request, delivery, language, form, is_stored=stored is not None),
        **seen.context(request, delivery, language, form.typed()),
        "theirs": [(form.fields[name].label, getattr(theirs, name)) for name in form.parts] if theirs else None,
    }
    return TemplateResponse(request, "admin/deliveries/content.html", context)


def preview(admin: Any, request: HttpRequest, delivery: Delivery, language: str) -> HttpResponse:
    """Return what becomes of the texts as they stand in the form; nothing is stored."""
    if not _may_write(admin, request, delivery, language):
        raise Http404
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    form = ContentForm(request.POST, delivery=delivery, language=language, stored=contents.stored(delivery, language))
    context = seen.context(request, delivery, language, form.typed())
    return TemplateResponse(request, "admin/deliveries/content_seen.html", context)


def remove(admin: Any, request: HttpRequest, delivery: Delivery, language: str) -> HttpResponse:
    """Take a language away."""
    if not _may_write(admin, request, delivery, language):
        return _kept_as_it_was(request, delivery)
    page = HttpResponseRedirect(reverse("admin:deliveries_delivery_content", args=[delivery.pk, language]))
    if request.method != "POST":
        return page
    if not request.user.has_perm("deliveries.delete_deliverycontent"):
        raise PermissionDenied
    try:
        voided = contents.remove(delivery, language, before=request.POST.get("seen", ""))
    except (ChangedMeanwhile, MoveRefused) as error:
        messages.error(request, str(error))
        return page
    admin.log_change(request, delivery, [{"deleted": _noted(language)}])
    messages.success(request, _("%(language)s is removed.") % {"language": _name(language)})
    _tell_voided(request, voided)
    return _to_workspace(delivery)


def _save(admin: Any, request: HttpRequest, delivery: Delivery, form: ContentForm) -> HttpResponse:
    content: DeliveryContent = form.instance
    page = HttpResponseRedirect(reverse("admin:deliveries_delivery_content", args=[delivery.pk, content.language]))
    is_new = content.pk is None
    if not is_new and not [name for name in form.changed_data if name in form.parts]:
        messages.info(request, _("Nothing has changed."))
        return page
    voided = contents.write(delivery, content, before=form.cleaned_data["seen"])
    admin.log_change(request, delivery, [{"added" if is_new else "changed": _noted(content.language, form)}])
    messages.success(request, _("%(language)s is saved.") % {"language": _name(content.language)})
    _tell_voided(request, voided)
    return page


def _may_write(admin: Any, request: HttpRequest, delivery: Delivery, language: str) -> bool:
    """Say whether the message may still be changed; raise where this user may not, or there is no such language."""
    if language not in dict(settings.LANGUAGES):
        raise Http404
    needed = ("change_delivery", "change_deliverycontent", "add_deliverycontent")
    if not all(request.user.has_perm(f"deliveries.{name}") for name in needed):
        raise PermissionDenied
    return bool(admin.has_change_permission(request, delivery))


def _page(
    request: HttpRequest, delivery: Delivery, language: str, form: ContentForm, *, is_stored: bool
) -> dict[str, Any]:
    written = set(delivery.contents.values_list("language", flat=True))
    declared = CustomField.objects.order_by("name")
    return {
        "title": _("%(delivery)s: the message") % {"delivery": delivery},
        "delivery": delivery,
        "language": language,
        "language_name": _name(language),
        "languages": [(code, _name(code), code in written) for code, _own in settings.LANGUAGES],
        "form": form,
        "fields": [form[name] for name in form.parts],
        "insertable": personalisation.offered(delivery.channel, language, declared),
        "is_stored": is_stored,
        "is_only": written == {language},
        "unsaved": form.is_bound,
        "is_mail": delivery.channel == Channel.EMAIL,
        "may_remove": is_stored and request.user.has_perm("deliveries.delete_deliverycontent"),
        "preview_url": reverse("admin:deliveries_delivery_content_preview", args=[delivery.pk, language]),
    }


def _noted(language: str, form: ContentForm | None = None) -> dict[str, Any]:
    """Return what the history of the delivery says, in the words of the source: it is translated when it is read."""
    with override(None):
        noted: dict[str, Any] = {"name": "content", "object": str(dict(settings.LANGUAGES)[language])}
        if form is not None:
            noted["fields"] = [str(form.fields[name].label) for name in form.parts if name in form.changed_data]
    return noted


def _name(language: str) -> str:
    return str(dict(settings.LANGUAGES)[language])


def _tell_voided(request: HttpRequest, voided: bool) -> None:
    if voided:
        messages.warning(request, _("The analysis was of the former version: analyse again."))


def _kept_as_it_was(request: HttpRequest, delivery: Delivery) -> HttpResponse:
    messages.error(request, _("What is being analysed or sent, or has been sent, is kept as it is."))
    return _to_workspace(delivery)


def _to_workspace(delivery: Delivery) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:deliveries_delivery_workspace", args=[delivery.pk]))
