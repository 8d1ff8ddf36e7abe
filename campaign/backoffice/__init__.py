"""Pages composed from several applications: home, search, one person, why, caught mail. One module per page.

`register` hangs them on the admin site, under its login and its look.
"""

from django.contrib import admin
from django.urls import URLPattern, path

from deliveries.admin import what_it_says
from profiles.admin import hooks

from . import caught_mail, consent, person, search, why


def urls() -> list[URLPattern]:
    """Return the addresses of the pages, for the admin site."""
    view = admin.site.admin_view
    return [
        path("find/", view(search.find), name="find"),
        path("why/", view(why.page), name="why"),
        path("what-does-it-say/", view(what_it_says.page), name="what_it_says"),
        path("person/<int:pk>/", view(person.page), name="person"),
        path("person/<int:pk>/consent/", view(consent.page), name="person_consent"),
        path("person/<int:pk>/consent.json", view(consent.download), name="person_consent_file"),
        path("caught-mail/", view(caught_mail.index), name="caught_mail"),
        path("caught-mail/<str:name>/", view(caught_mail.message), name="caught_mail_message"),
        path("caught-mail/<str:name>/html/", view(caught_mail.html_part), name="caught_mail_html"),
    ]


def register() -> None:
    """Add the pages to the admin site, and what deliveries did to the page of a profile."""
    admin.site.extra_urls = urls  # type: ignore[attr-defined]
    if person.deliveries_section not in hooks.sections:
        hooks.sections.append(person.deliveries_section)
