"""The consent of one person, to read, print or hand over: who, when, how, and what they were told."""

import json
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone, translation

from profiles import audit, proof
from profiles.models import ConsentSeal, Profile
from profiles.texts import supported


def page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show it as one sheet for the printer, in the language asked for by `?lang=`, else in the reader's."""
    if not request.user.has_perm("profiles.view_profile"):
        raise PermissionDenied
    profile = get_object_or_404(Profile, pk=pk)
    language = _language(request)
    with translation.override(language):
        context = {
            "proof": proof.proof_of(profile, at=timezone.now()),
            "head": ConsentSeal.objects.order_by("-number").first(),
            "language": language,
            "languages": settings.LANGUAGES,
            "may_export": request.user.has_perm("profiles.export_profile"),
        }
        return render(request, "admin/backoffice/consent.html", context)


def download(request: HttpRequest, pk: int) -> HttpResponse:
    """Hand it over as a JSON file, and note that somebody took it. By POST only, as it leaves a trace."""
    if not request.user.has_perms(["profiles.view_profile", "profiles.export_profile"]):
        raise PermissionDenied
    if request.method != "POST":
        return HttpResponse(status=405, headers={"Allow": "POST"})
    profile, at = get_object_or_404(Profile, pk=pk), timezone.now()
    with translation.override(_language(request)):
        found = proof.as_json(proof.proof_of(profile, at=at))
    # The label of the row would be the person's name: the number is enough, and survives nothing that is personal.
    audit.record(audit.Action.EXPORTED, request.user, profile, at=at, rows=len(found["history"]), label=str(pk))
    return _file(found, f"consent-{pk}.json")


def _file(content: dict[str, Any], name: str) -> HttpResponse:
    text = json.dumps(content, ensure_ascii=False, indent=2)
    response = HttpResponse(text, content_type="application/json; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


def _language(request: HttpRequest) -> str:
    asked = request.POST.get("lang") or request.GET.get("lang", "")
    return asked if asked in dict(settings.LANGUAGES) else supported(translation.get_language() or "")
