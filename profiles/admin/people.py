"""The pages of a profile: who it is, what they no longer want, where they can be reached, what happened."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Exists, OuterRef, Prefetch, QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import TabularInline

from profiles import address_book, consent, twins
from profiles.admin_base import BaseAdmin
from profiles.blacklist import FLAGS
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.lookup import address_q
from profiles.models import Address, ConsentEvent, CustomField, Profile, Service, Subscription

from . import bulk, hooks
from .forms import BOXES, AddressForm, AddressFormSet, ProfileForm
from .own_fields import all_known, own_name, save_own_fields, undeclared, with_own_fields
from .twins import ShownTwin, shown, states_of, twins_of

EVENTS_SHOWN = 20


class OptedOutFilter(admin.SimpleListFilter):
    title = gettext_lazy("opt-out")
    parameter_name = "opted_out"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(flag, twins.flag_label(flag)) for flag in FLAGS.values()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Profile]) -> QuerySet[Profile]:
        flag = self.value()
        return queryset.filter(**{flag: True}) if flag and flag in FLAGS.values() else queryset


class SubscribedFilter(admin.SimpleListFilter):
    title = gettext_lazy("subscription")
    parameter_name = "service"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(service.pk), str(service)) for service in Service.objects.all()[:100]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Profile]) -> QuerySet[Profile]:
        if not (self.value() or "").isdecimal():
            return queryset
        running = Subscription.objects.active(timezone.now()).filter(service=self.value(), profile=OuterRef("pk"))
        return queryset.filter(Exists(running))


class AddressInline(TabularInline):
    model = Address
    form = AddressForm
    formset = AddressFormSet
    fields = ("channel", "value", "position", "state")
    readonly_fields = ("state",)
    ordering = ("channel", "position")
    verbose_name_plural = gettext_lazy("Addresses, the first of each channel is the one written to")
    hide_title = True

    def get_extra(self, request: HttpRequest, obj: Profile | None = None, **kwargs: Any) -> int:
        return 0 if obj else 1

    def get_formset(self, request: HttpRequest, obj: Profile | None = None, **kwargs: Any) -> Any:
        self.states = states_of(list(obj.addresses.all())) if obj else {}
        return super().get_formset(request, obj, **kwargs)

    @admin.display(description=gettext_lazy("State"))
    def state(self, address: Address) -> str:
        return self.states.get(address.pk, _("In use") if address.pk else "")

    # Whoever may see or change a profile may see or change its addresses: they are part of it.
    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("profiles.view_profile") or request.user.has_perm("profiles.change_profile"))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("profiles.change_profile"))

    has_add_permission = has_delete_permission = has_change_permission


@admin.register(Profile)
class ProfileAdmin(BaseAdmin):
    form = ProfileForm
    inlines = (AddressInline,)
    list_display = ("name", "email", "language", "country", "no_longer_contact", "created_at")
    list_filter = (OptedOutFilter, SubscribedFilter)
    search_fields = ("search",)
    search_help_text = gettext_lazy("Name, address or identifier")
    private_search = True
    actions = ("no_longer_contact_action",)
    readonly_fields = ("opted_out_of", "subscriptions_text", "other_fields", "all_fields", "created_at", "updated_at")
    change_form_outer_before_template = "admin/profiles/profile/before.html"
    change_form_outer_after_template = "admin/profiles/profile/after.html"

    # -- the list ---------------------------------------------------------------------------------------------
    def get_queryset(self, request: HttpRequest) -> QuerySet[Profile]:
        first_emails = Address.objects.primary(Channel.EMAIL)
        return super().get_queryset(request).prefetch_related(Prefetch("addresses", first_emails, to_attr="emails"))

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[QuerySet[Profile], bool]:
        """Look an address up by its digest, which is indexed; anything else in the folded search text."""
        if not search_term.strip():
            return queryset, False
        same = address_q(search_term)
        held = Address.objects.filter(same) if same else Address.objects.none()
        if held.exists():
            return queryset.filter(pk__in=held.values("profile")), False
        return queryset.search(search_term), False

    @admin.display(description=gettext_lazy("Name"))
    def name(self, profile: Profile) -> str:
        return str(profile)

    @admin.display(description=gettext_lazy("Email"))
    def email(self, profile: Any) -> str:
        return profile.emails[0].value if profile.emails else "—"

    @admin.display(description=gettext_lazy("No longer contact"))
    def no_longer_contact(self, profile: Profile) -> str:
        labels = ((label,) for label in twins.opted_out_of(profile))
        return format_html_join(" ", '<span class="c-tag c-bad">{}</span>', labels) or "—"

    @admin.action(description=gettext_lazy("No longer contact…"), permissions=["change"])
    def no_longer_contact_action(self, request: HttpRequest, queryset: QuerySet[Profile]) -> Any:
        return bulk.no_longer_contact(self, request, queryset)

    # -- one profile ------------------------------------------------------------------------------------------
    def get_fieldsets(self, request: HttpRequest, obj: Profile | None = None) -> Any:
        who = [("first_name", "last_name"), ("language", "country"), ("time_zone", "birth_date"), "external_id"]
        change = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        declared = self.declared(request) if change else []
        own = [own_name(field) for field in declared]
        if obj and set(obj.attributes) - {field.name for field in declared}:
            who.append("other_fields" if change else "all_fields")
        boxes = [*BOXES, "lift_reason"] if change else ["opted_out_of"]
        services = ["subscribed_to"] if change else ["subscriptions_text"]
        told = _("This profile only. What other profiles of the same person receive stays as it is.")
        return [
            (None, {"fields": who}),
            *([(_("Own fields"), {"fields": own})] if own else []),
            (_("No longer contact"), {"fields": boxes, "description": told, "classes": ["c-boxes"]}),
            (_("Subscriptions"), {"fields": services}),
        ]

    def get_form(self, request: HttpRequest, obj: Profile | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form of a person, with an input for each declared field."""
        form = with_own_fields(ProfileForm, self.declared(request), obj.attributes if obj else {})
        found = super().get_form(request, obj, change, **{"form": form, **kwargs})
        return type("ProfileForm", (found,), {"user": request.user})

    def declared(self, request: Any) -> list[CustomField]:
        """Return the declared fields; one query a request."""
        if not hasattr(request, "declared_fields"):
            request.declared_fields = list(CustomField.objects.order_by("name"))
        found: list[CustomField] = request.declared_fields
        return found

    @admin.display(description=gettext_lazy("No longer contact"))
    def opted_out_of(self, profile: Profile) -> str:
        return ", ".join(twins.opted_out_of(profile)) or _("May be contacted")

    @admin.display(description=gettext_lazy("Subscribed to"))
    def subscriptions_text(self, profile: Profile) -> str:
        running = profile.subscriptions.active(timezone.now()).select_related("service")
        return ", ".join(str(row.service) for row in running) or "—"

    @admin.display(description=gettext_lazy("Other fields"))
    def other_fields(self, profile: Profile) -> SafeString:
        return _facts(undeclared(profile))

    @admin.display(description=gettext_lazy("Other fields"))
    def all_fields(self, profile: Profile) -> SafeString:
        return _facts(all_known(profile))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deny: a deleted row would forget the person's opt-outs; erasing a person keeps them by digest."""
        return False

    def save_model(self, request: HttpRequest, obj: Profile, form: Any, change: bool) -> None:
        """Save the plain columns only, and only those that were changed; consent writes the rest.

        Saving the whole row would write the flags as they were when it was read, over an opt-out made meanwhile.
        """
        if change:
            plain = [name for name in form.changed_data if name in ProfileForm.Meta.fields]
            obj.save(update_fields=[*plain, "updated_at"])
        else:
            obj.save()
        save_own_fields(obj, form)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        at = timezone.now()
        for formset in formsets:
            saved = formset.save(commit=False)
            address_book.change(form.instance, removed=formset.deleted_objects, saved=saved, at=at)
        apply_consent(request, form, at)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        profile = kwargs.get("obj")
        if profile is not None and profile.pk:
            context.update(story(request, profile))
        return super().render_change_form(request, context, *args, **kwargs)


def _facts(rows: list[tuple[str, Any]]) -> SafeString:
    return format_html('<dl class="c-facts">{}</dl>', format_html_join("", "<dt>{}</dt><dd>{}</dd>", rows))


def apply_consent(request: HttpRequest, form: Any, at: Any) -> None:
    """Do what the boxes and subscriptions of a valid form ask, through `consent`, and say whom it did not touch."""
    profile, reason = form.instance, form.cleaned_data.get("lift_reason", "").strip()
    evidence = Evidence.of_operator(request.user, reason=reason)
    for channel in form.ticked:
        consent.opt_out([profile.pk], channel=channel, evidence=evidence, at=at)
    for channel in form.unticked:
        consent.opt_in([profile.pk], channel=channel, evidence=evidence, at=at)
    for service in form.joined:
        consent.subscribe([profile.pk], service, evidence=evidence, at=at)
    for service in form.left:
        consent.unsubscribe([profile.pk], service, evidence=evidence, at=at)
    if form.ticked:
        tell_twins(request, profile)


def tell_twins(request: HttpRequest, profile: Profile) -> None:
    """Say which other profiles share the addresses of one that has just been opted out."""
    found = shown(twins.certain([profile.pk]))
    if not found:
        messages.info(request, _("Only this profile was opted out. No other profile has one of its addresses."))
        return
    names = format_html_join(", ", '<a class="c-link" href="{}">{}</a> ({})', (_twin_line(twin) for twin in found))
    link = url_or_none("admin:quarantine_person", profile.pk)
    told = format_html("{} {}.", _("Only this profile was opted out. Also has this address:"), names)
    if link:
        more = format_html(' <a class="c-link" href="{}">{}</a>', link, _("Opt this person out everywhere"))
        told = format_html("{}{}", told, more)
    messages.warning(request, told)


def _twin_line(twin: ShownTwin) -> tuple[str, str, str]:
    url = reverse("admin:profiles_profile_change", args=[twin.profile.pk])
    return url, str(twin.profile), _("still written to") if twin.written_to else _("not written to there")


def story(request: HttpRequest, profile: Profile) -> dict[str, Any]:
    """Return what the page shows around the form: twins, the latest events, what the applications above add."""
    events = list(ConsentEvent.objects.filter(profile_id=profile.pk).order_by("-pk")[: EVENTS_SHOWN + 1])
    return {
        **twins_of(profile.pk),
        "events": events[:EVENTS_SHOWN],
        "more_events": len(events) > EVENTS_SHOWN,
        "everywhere_url": url_or_none("admin:quarantine_person", profile.pk),
        "person_url": url_or_none("admin:person", profile.pk),
        "why_url": url_or_none("admin:why"),
        "sections": [section(request, profile) for section in hooks.sections],
    }


def url_or_none(name: str, *args: Any) -> str | None:
    """Return the address of a page of a higher application, or None where that is not installed."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return None
