"""Publishing and closing pages, and the pages that exist without anybody making them.

    publish(page, by=..., at=...)   what is on the page now becomes what visitors see
    close(page)                     visitors are told that it is over, or are sent elsewhere
    default_pages(service, ...)     the two pages of a service: subscribe, unsubscribe

Visitors never see a draft: they see the version made at the last publication, which is kept, because people agree
to what a version says.
"""

from datetime import datetime
from typing import Any

from django.db import connections, transaction
from django.db.models import Max
from django.utils import timezone

from profiles import brands
from profiles.models import Brand, Service
from profiles.texts import lacking

from .models import Asked, Content, Kind, LandingPage, LandingPageVersion, PageState

# The pages of an installation that nobody has to make: what they are called in the back-office, and their addresses.
DEFAULT_PAGES = {Kind.OPT_OUT_ALL: ("Stop everything", "stop"), Kind.PREFERENCES: ("Preferences", "preferences")}
INVITING = (Kind.OPT_IN, Kind.SUBSCRIPTION)
CONTENT = tuple(field.name for field in Content._meta.get_fields())
# A stand-in, until somebody fills in who writes: example.org is reserved (RFC 2606), so nothing can reach anybody.
PLACEHOLDER = {"sender_name": "Campaign", "sender_email": "news@example.org", "contact": "news@example.org"}


def publish(page: LandingPage, *, by: str = "", at: datetime) -> LandingPageVersion:
    """Make what is on a page now what visitors see, from now on.

    Raises BrandIncomplete for a page that invites people, where its brand does not say who writes.
    """
    if page.kind in INVITING:
        brands.refuse_incomplete(page.brand)
    with transaction.atomic():
        locked = LandingPage.objects.select_for_update(of=("self",)).get(pk=page.pk)
        last = locked.versions.aggregate(last=Max("number"))["last"] or 0
        version = LandingPageVersion.objects.create(
            page=locked, number=last + 1, fields=fields_of(locked), published_at=at, published_by=by,
            **{name: getattr(locked, name) for name in CONTENT},
        )  # fmt: skip
        locked.published, locked.state = version, PageState.PUBLISHED
        locked.save(update_fields=["published", "state"])
    page.published, page.state = version, PageState.PUBLISHED
    return version


def close(page: LandingPage) -> bool:
    """Close a published page; return False when it was not published."""
    closed = LandingPage.objects.filter(pk=page.pk, state=PageState.PUBLISHED).update(state=PageState.CLOSED)
    if closed:
        page.state = PageState.CLOSED
    return bool(closed)


def has_changes(page: LandingPage) -> bool:
    """Say whether the page differs from what visitors see."""
    version = page.published
    if version is None or any(getattr(page, name) != getattr(version, name) for name in CONTENT):
        return True
    return bool(fields_of(page) != version.fields)


def fields_of(page: LandingPage) -> list[dict[str, Any]]:
    """Return what a page asks for, as a version keeps it."""
    return [field.as_json() for field in page.asked.all()]


def lacking_languages(version: LandingPageVersion) -> list[str]:
    """Name the languages whose visitors read what they agree to, or what a field asks for, in another language.

    For the other texts a page has words of its own in every language.
    """
    texts = [version.agreement, *(field["label"] or {} for field in version.fields)]
    return sorted({name for text in texts for name in lacking(text)})


def ask_for_name(page: LandingPage) -> None:
    """Have a page ask for first and last name, neither of them required."""
    for position, name in enumerate((Asked.FIRST_NAME, Asked.LAST_NAME), start=1):
        page.asked.create(name=name, position=position)


def default_pages(service: Service, *, by: str = "", at: datetime) -> list[LandingPage]:
    """Make and publish the pages of a service; those that it has already are left as they are.

    A private service has no page to subscribe on; where the brand may not invite people yet, that page is a draft.
    """
    made = [(Kind.UNSUBSCRIPTION, f"stop-{service.name}")]
    if service.is_public:
        made.append((Kind.SUBSCRIPTION, service.name))
    pages = []
    for kind, slug in made:
        if service.pages.filter(kind=kind).exists():
            continue
        page = LandingPage.objects.create(
            name=f"{service.name}: {kind.label}"[:100], slug=_free(slug), kind=kind, brand=service.brand,
            service=service, channel=service.channel,
        )  # fmt: skip
        if kind == Kind.SUBSCRIPTION:
            ask_for_name(page)
        if kind not in INVITING or brands.is_ready(page.brand):
            publish(page, by=by, at=at)
        pages.append(page)
    return pages


def make_defaults(using: str = "default", **_: Any) -> None:
    """Make a brand, the page on which everything can be stopped and that of preferences, where there are none.

    After each migration.
    """
    tables = set(connections[using].introspection.table_names())
    if not {model._meta.db_table for model in (Brand, LandingPage, LandingPageVersion)} <= tables:
        return  # a migration backwards
    with transaction.atomic(using=using):
        brand = Brand.objects.order_by("pk").first() or Brand.objects.create(
            name="Campaign", postal_address="", **PLACEHOLDER
        )
        for kind, (name, slug) in DEFAULT_PAGES.items():
            known = LandingPage.objects.filter(kind=kind) | LandingPage.objects.filter(slug=slug)
            if not known.exists():
                page = LandingPage.objects.create(name=name, slug=slug, kind=kind, brand=brand)
                publish(page, at=timezone.now())


def _free(slug: str) -> str:
    """Return an address that no page has: the one wanted, else with a number."""
    slug, number = slug[:70], 1
    wanted = slug
    while LandingPage.objects.filter(slug=wanted).exists():
        number += 1
        wanted = f"{slug}-{number}"
    return wanted
