"""The smallest valid row of each model; traits say what is special about it."""

from typing import Any

import factory
from django.utils import timezone
from factory.django import DjangoModelFactory

from campaign.models import User
from deliveries.models import Delivery, DeliveryContent, Target
from landing.models import Kind, LandingPage
from landing.publishing import ask_for_name
from profiles.channels import Channel
from profiles.digests import digest
from profiles.models import Address, Brand, Profile, Service, Subscription
from quarantine.models import Cause, QuarantinedAddress, Status


class UserFactory(DjangoModelFactory[User]):
    class Meta:
        model = User

    username = factory.Sequence(lambda n: f"user{n}")
    is_staff = True

    class Params:
        admin = factory.Trait(is_superuser=True)


class BrandFactory(DjangoModelFactory[Brand]):
    class Meta:
        model = Brand
        django_get_or_create = ("name",)

    name = "Jardins"
    sender_name = "Jardins & Cie"
    sender_email = "news@jardins.example"
    postal_address = "1 rue des Lilas, 69001 Lyon"
    contact = "bonjour@jardins.example"


class ServiceFactory(DjangoModelFactory[Service]):
    class Meta:
        model = Service

    name = factory.Sequence(lambda n: f"service-{n}")
    label = factory.LazyAttribute(lambda o: {"en": f"News {o.name}", "fr": f"Nouvelles {o.name}"})
    brand = factory.SubFactory(BrandFactory)


class ProfileFactory(DjangoModelFactory[Profile]):
    """A person with one email address; `email=None` for none, `sms=` and `more_emails=` for others."""

    class Meta:
        model = Profile
        skip_postgeneration_save = True

    first_name = "Zoé"
    last_name = factory.Sequence(lambda n: f"Martin{n}")
    language = "fr"
    country = "FR"

    @factory.post_generation
    def email(obj: Any, create: bool, extracted: Any, **_: Any) -> None:
        if extracted is None and not create:
            return
        value = f"zoe.{obj.pk}@example.org" if extracted is None else extracted
        if value:
            add_address(obj, Channel.EMAIL, value)

    @factory.post_generation
    def sms(obj: Any, create: bool, extracted: Any, **_: Any) -> None:
        if extracted:
            add_address(obj, Channel.SMS, extracted)

    @factory.post_generation
    def services(obj: Any, create: bool, extracted: Any, **_: Any) -> None:
        for service in extracted or ():
            Subscription.objects.create(service=service, profile=obj, source="import")


def add_address(profile: Profile, channel: Channel, value: str) -> Address:
    """Give a profile one more address on a channel."""
    position = profile.addresses.filter(channel=channel).count() + 1
    address = Address.make(channel, value, country=profile.country, profile=profile, position=position)
    address.save()
    profile.refresh_search()
    return address


class QuarantinedAddressFactory(DjangoModelFactory[QuarantinedAddress]):
    class Meta:
        model = QuarantinedAddress

    channel = Channel.EMAIL
    value = factory.Sequence(lambda n: f"gone.{n}@example.org")
    key = factory.LazyAttribute(lambda o: o.value.casefold())
    digest = factory.LazyAttribute(lambda o: digest(o.channel, o.key))
    status = Status.QUARANTINED
    cause = Cause.BOUNCE
    quarantined_at = factory.LazyFunction(timezone.now)


class DeliveryFactory(DjangoModelFactory[Delivery]):
    """A draft to the subscribers of a service, with a message in both languages."""

    class Meta:
        model = Delivery
        skip_postgeneration_save = True

    label = factory.Sequence(lambda n: f"Delivery {n}")
    service = factory.SubFactory(ServiceFactory)
    brand = factory.SelfAttribute("service.brand")
    target = Target.SERVICE

    @factory.post_generation
    def contents(obj: Any, create: bool, extracted: Any, **_: Any) -> None:
        if extracted is False:
            return
        for language, hello in (("en", "Hello"), ("fr", "Bonjour")):
            DeliveryContent.objects.create(
                delivery=obj,
                language=language,
                subject=hello + " {{ profile.first_name }}",
                html=(
                    f"<p>{hello} {{{{ profile.first_name }}}}</p>"
                    '<p>{{ brand.postal_address }}</p><p><a href="{{ opt_out_url }}">Stop</a></p>'
                ),
                text=hello + " {{ profile.first_name }}\n\n{{ brand.postal_address }}\n{{ opt_out_url }}\n",
            )


class LandingPageFactory(DjangoModelFactory[LandingPage]):
    """A page that asks for the name; `asks_name=False` for one that does not."""

    class Meta:
        model = LandingPage
        skip_postgeneration_save = True

    name = factory.Sequence(lambda n: f"Page {n}")
    slug = factory.Sequence(lambda n: f"page-{n}")
    kind = Kind.SUBSCRIPTION
    service = factory.SubFactory(ServiceFactory)
    brand = factory.SelfAttribute("service.brand")
    title = {"en": "Subscribe", "fr": "Abonnez-vous"}

    @factory.post_generation
    def asks_name(obj: Any, create: bool, extracted: Any, **_: Any) -> None:
        if create and extracted is not False:
            ask_for_name(obj)
