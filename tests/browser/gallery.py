"""All screens that subscribers may come to, one after the other, as a visitor meets them.

    for name in tour(visit):
        look_at(visit.page)

What is tested of every screen is written once for all of them, and a new screen is one `yield` here.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import factory
from django.utils import timezone

from landing import publishing
from landing.models import Asked, Kind, LandingPage, PendingOptIn, PreferencesRequest
from profiles.channels import Channel
from profiles.models import Brand, Profile, Service
from profiles.tokens import Purpose, seal
from tests.browser.visiting import Visit, link_in
from tests.factories import BrandFactory, ProfileFactory, ServiceFactory
from tests.landing.visitors import link, one_click_url, opt_out_url, published

LETTER = {"en": "Garden letter", "fr": "Lettre du jardin"}
AGREEMENT = {
    "en": "I agree that Jardins uses my address to write to me, and I know that I can take this back.",
    "fr": "J’accepte que Jardins utilise mon adresse pour m’écrire, et je sais que je peux revenir sur cet accord.",
}
# Names and addresses, which are alike in all languages.
BRAND_WORDS = re.compile(r"Jardins|1 rue des Lilas, 69001 Lyon|\S+@\S+")


def garden(**look: Any) -> Service:
    """Make a brand and its two services; return the one that the tour is about."""
    notice = {
        "en": "Your address is used to send you what you chose, and for nothing else.\n\nAsk us for it at any time.",
        "fr": "Votre adresse sert à vous envoyer ce que vous avez choisi, et à rien d’autre.\n\nDemandez-la-nous.",
    }
    # An installation begins with a brand that has some pages: this is what its owner makes of it.
    jardins = factory.build(dict, FACTORY_CLASS=BrandFactory, privacy_notice=notice, **look)
    Brand.objects.filter(pk=Brand.objects.earliest("pk").pk).update(**jardins)
    ServiceFactory.create(name="bees", label={"en": "Bees", "fr": "Abeilles"}, channel=Channel.DIRECT_MAIL)
    description = {"en": "Once a month, what to sow and what to pick.", "fr": "Chaque mois, que semer et que cueillir."}
    letter: Service = ServiceFactory.create(name="letter", label=LETTER, description=description, validity_days=365)
    return letter


def tour(visit: Visit) -> Iterator[str]:
    """Lead a visitor from screen to screen; yield the name of each when it is there."""
    for stage in (joining, confirming, leaving, typing, choosing, closing):
        yield from stage(visit)


def joining(visit: Visit) -> Iterator[str]:
    letter = Service.objects.get(name="letter")
    page = published(service=letter, title={}, agreement=AGREEMENT, asks_name=False)
    for position, name in enumerate((name for name in Asked if name != Asked.OTHER), start=1):
        page.asked.create(name=name, position=position, required=name == Asked.LAST_NAME)
    page.asked.create(name=Asked.OTHER, attribute="size", position=9, label={"en": "Shoe size", "fr": "Pointure"})
    publishing.publish(page, at=timezone.now())
    visit.to(f"/p/{page.slug}/")
    yield "subscribe"
    visit.press("Subscribe")
    yield "subscribe-mistakes"
    plain = published(service=letter, title={}, asks_name=False)
    visit.to(f"/p/{plain.slug}/")
    yield "subscribe-short"
    visit.page.eval_on_selector("[name=stamp]", "element => { element.value = 'stale'; }")
    visit.write("Email address", visit.address("julie"))
    visit.press("Subscribe")
    yield "subscribe-once-more"
    visit.press("Subscribe")
    yield "subscribe-received"
    visit.to(f"/p/{published(Kind.OPT_IN, service=None, brand=letter.brand, title={}, asks_name=False).slug}/")
    yield "opt-in"


def confirming(visit: Visit) -> Iterator[str]:
    url = link_in(visit.mail(), "c")
    visit.to(url)
    yield "confirm"
    visit.press("Confirm")
    yield "confirmed"
    visit.mail()
    Profile.objects.filter(addresses__key=visit.address("julie")).update(blacklisted_email=True)
    pending = PendingOptIn.objects.latest("pk")
    for name in ("confirm-stays-off", "confirm-over", "confirm-private"):
        pending.pk, pending.confirmed_at = None, None
        pending.expires_at = timezone.now() + timedelta(days=-1 if name == "confirm-over" else 1)
        pending.save(force_insert=True)
        Service.objects.filter(name="letter").update(is_public=name != "confirm-private")
        visit.to("/c/" + seal(Purpose.CONFIRM_OPT_IN, pending.pk.to_bytes(8, "big")) + "/")
        yield name
        if name == "confirm-stays-off":
            visit.press("Confirm")
            yield "confirmed-stays-off"
    Service.objects.filter(name="letter").update(is_public=True)


def leaving(visit: Visit) -> Iterator[str]:
    letter = Service.objects.get(name="letter")
    ProfileFactory.create(email=visit.address("zoe"), sms="+33639980001", services=[letter])
    mine = link(visit.address("zoe"), letter)
    visit.to(one_click_url(mine))
    yield "one-click-opened"
    visit.to(opt_out_url(mine))
    yield "opt-out"
    visit.unfold("Other choices")
    yield "opt-out-others"
    visit.press("Stop “%(service)s”", service=LETTER[visit.kind.language])
    yield "stopped"
    undo = visit.page.locator("form").get_attribute("action")
    visit.to(undo)
    yield "undo"
    visit.press("Undo")
    yield "undone"
    visit.to(opt_out_url(mine))
    visit.press("Stop all emails from %(brand)s", brand="Jardins")
    visit.to(undo)
    visit.press("Undo")
    yield "undone-before"
    visit.to(opt_out_url(mine)[:-6] + "/")
    yield "damaged"
    Profile.objects.filter(addresses__key=visit.address("zoe")).update(blacklisted_email=False)


def typing(visit: Visit) -> Iterator[str]:
    unsubscription = published(Kind.UNSUBSCRIPTION, service=Service.objects.get(name="letter"), title={})
    for name, page in (("unsubscribe", unsubscription), ("stop", LandingPage.objects.get(kind=Kind.OPT_OUT_ALL))):
        visit.to(f"/p/{page.slug}/")
        yield name
        visit.write("Email address", visit.address("nobody"))
        visit.press("Unsubscribe" if name == "unsubscribe" else "Stop all messages")
        yield f"{name}-received"


def choosing(visit: Visit) -> Iterator[str]:
    visit.to(f"/p/{LandingPage.objects.get(kind=Kind.PREFERENCES).slug}/")
    yield "preferences-ask"
    visit.write("Email address", visit.address("zoe"))
    visit.press("Send me the link")
    yield "preferences-received"
    url = link_in(visit.mail(), "m")
    visit.to(url)
    yield "preferences"
    visit.unfold("Your history")
    yield "preferences-history"
    visit.untick("Text messages")
    visit.press("Save")
    yield "preferences-saved"
    visit.page.eval_on_selector("[name=shown]", "element => { element.value = 'lost'; }")
    visit.press("Save")
    yield "preferences-again"
    visit.press("Stop everything")
    yield "preferences-stopped"
    visit.to(url)
    yield "preferences-off"
    PreferencesRequest.objects.update(expires_at=timezone.now())
    visit.to(url)
    yield "preferences-over"
    PreferencesRequest.objects.update(expires_at=timezone.now() + timedelta(hours=1))
    Profile.objects.filter(addresses__key=visit.address("zoe")).delete()
    visit.to(url)
    yield "preferences-gone"


def closing(visit: Visit) -> Iterator[str]:
    pages = {
        "closed": published(),
        "closed-own-words": published(closed_text={"en": "Thank you all.\n\nSee you soon.", "fr": "Merci. À bientôt."}),
        "not-open-yet": published(opens_at=timezone.now() + timedelta(days=2)),
    }
    publishing.close(pages["closed"])
    publishing.close(pages["closed-own-words"])
    for name, page in pages.items():
        visit.to(f"/p/{page.slug}/")
        yield name
    visit.to("/nowhere/")
    yield "nowhere"
