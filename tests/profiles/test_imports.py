"""Importing people: whom a line is about, what it may change, and what no file can do."""

from datetime import date, timedelta

import pytest

from profiles import consent, imports
from profiles.addresses import Validity
from profiles.channels import Channel
from profiles.errors import ImportRefused
from profiles.models import (
    Act,
    Address,
    ConsentEvent,
    ImportJob,
    ImportNote,
    Profile,
    Source,
    Subscription,
)
from quarantine.models import Cause
from tests.factories import ProfileFactory, QuarantinedAddressFactory, ServiceFactory, UserFactory, add_address
from tests.profiles.importing import NOW, PERSON, State, emails, erased, import_, notes, only, receive

pytestmark = pytest.mark.django_db


def test_each_documented_column_is_stored():
    job = import_(
        "external_id;first_name;last_name;email;mobile_phone;postal_address;language;country;birth_date;time_zone;"
        "blacklisted_sms;attributes.shoe size\n".replace("shoe size", "shoe_size")
        + 'C1;Zoé;Martin;Zoe@Example.org;06 39 98 00 01;"1 rue A\n69001 Lyon";FR;fr;1980-12-31;Europe/Paris;oui;38\n'
    )
    profile = only()
    assert (job.state, job.created, job.opted_out, job.errors) == (State.DONE, 1, 1, 0)
    assert (profile.external_id, profile.first_name, profile.last_name) == ("C1", "Zoé", "Martin")
    assert (profile.language, profile.country, profile.time_zone) == ("fr", "FR", "Europe/Paris")
    assert (profile.birth_date, profile.attributes) == (date(1980, 12, 31), {"shoe_size": "38"})
    assert profile.blacklisted_sms and not profile.blacklisted
    assert {(a.channel, a.position, a.key) for a in profile.addresses.all()} == {
        (Channel.EMAIL, 1, "zoe@example.org"),
        (Channel.SMS, 1, "+33639980001"),
        (Channel.DIRECT_MAIL, 1, "1 rue a 69001 lyon"),
    }


def test_addresses_and_search_text_are_those_that_the_forms_would_store():
    import_("external_id,first_name,email,mobile_phone,country\nC1,Zoé,Zoe@Example.org,0470 12 34 56,BE\n")
    profile = only()
    stored = profile.search
    profile.refresh_search()
    assert profile.search == stored != ""
    for address in profile.addresses.all():
        same = Address.make(Channel(address.channel), address.value, country=profile.country)
        assert (same.key, same.digest, same.validity) == (address.key, bytes(address.digest), address.validity)


def test_a_person_is_found_by_identifier():
    profile = ProfileFactory(external_id="C1", first_name="Zoe", email="zoe@example.org")
    job = import_("external_id,first_name\nC1,Zoé\n")
    profile.refresh_from_db()
    assert (job.updated, profile.first_name) == (1, "Zoé")


def test_a_person_without_an_identifier_is_found_by_address_in_another_case_and_given_the_identifier():
    profile = ProfileFactory(email="zoe@example.org")
    job = import_("external_id,email\nC1,ZOE@EXAMPLE.ORG\n")
    profile.refresh_from_db()
    assert (job.updated, profile.external_id, emails(profile)) == (1, "C1", ["zoe@example.org"])


def test_of_several_people_with_an_address_the_oldest_is_meant():
    oldest, youngest = ProfileFactory(email="a@example.org"), ProfileFactory(email="a@example.org")
    import_("email,first_name\na@example.org,Max\n")
    oldest.refresh_from_db()
    youngest.refresh_from_db()
    assert (oldest.first_name, youngest.first_name) == ("Max", "Zoé")


def test_an_empty_cell_changes_nothing():
    profile = ProfileFactory(external_id="C1", email="zoe@example.org", birth_date=date(1980, 1, 1))
    before = Profile.objects.values().get()
    job = import_("external_id,email,first_name,birth_date,blacklisted,attributes.a\nC1,,,  ,,\n")
    assert (job.unchanged, job.upto) == (1, 1)
    assert Profile.objects.values().get() == before
    assert emails(profile) == ["zoe@example.org"]


def test_importing_a_file_twice_changes_nothing_the_second_time():
    content = "external_id,email,first_name,attributes.a\nC1,a@example.org,Zoé,1\n,b@example.org,Max,\n"
    import_(content)
    before = list(Profile.objects.order_by("pk").values()), list(Address.objects.order_by("pk").values())
    job = import_(content)
    assert (job.unchanged, job.created, job.updated) == (2, 0, 0)
    assert (list(Profile.objects.order_by("pk").values()), list(Address.objects.order_by("pk").values())) == before


def test_a_number_among_the_attributes_stays_a_number_when_the_file_says_the_same():
    ProfileFactory(external_id="C1", attributes={"size": 38, "kept": True})
    assert import_("external_id,attributes.size\nC1,38\n").unchanged == 1
    assert only().attributes == {"size": 38, "kept": True}


def test_two_lines_for_one_person_apply_in_the_order_of_the_file():
    job = import_("external_id,email,first_name\nC1,a@example.org,Zoé\n,A@example.org,Max\nC1,,Léa\n")
    assert (job.created, job.updated, only().first_name) == (1, 2, "Léa")


def test_a_new_address_becomes_the_primary_one_and_none_is_lost():
    profile = ProfileFactory(external_id="C1", email="one@example.org")
    add_address(profile, Channel.EMAIL, "two@example.org")
    import_("external_id,email\nC1,three@example.org\n")
    assert emails(profile) == ["three@example.org", "one@example.org", "two@example.org"]
    import_("external_id,email\nC1,two@example.org\n")
    assert emails(profile) == ["two@example.org", "three@example.org", "one@example.org"]
    profile.refresh_from_db()
    stored = profile.search
    profile.refresh_search()
    assert profile.search == stored


def test_an_address_of_another_profile_is_refused():
    mine, other = ProfileFactory(external_id="C1", email="a@example.org"), ProfileFactory(email="b@example.org")
    job = import_("external_id,email,first_name\nC1,b@example.org,Max\n")
    assert notes(job) == [(2, "email_of_another", "email")]
    assert (emails(mine), emails(other), job.errors) == (["a@example.org"], ["b@example.org"], 1)
    mine.refresh_from_db()
    assert mine.first_name == "Zoé"


def test_a_new_identifier_with_the_address_of_a_person_who_has_another_one_is_refused():
    ProfileFactory(external_id="C1", email="a@example.org")
    job = import_("external_id,email\nC2,a@example.org\nC3,b@example.org\nC4,b@example.org\n")
    assert notes(job) == [(2, "known_as_another", "email"), (4, "known_as_another", "email")]
    assert (Profile.objects.count(), job.created, job.errors) == (2, 1, 2)


def test_an_address_shared_by_two_profiles_is_not_refused_to_the_one_that_has_it():
    ProfileFactory(email="a@example.org")
    mine = ProfileFactory(external_id="C1", email="a@example.org")
    job = import_("external_id,email,first_name\nC1,a@example.org,Max\n")
    mine.refresh_from_db()
    assert (job.updated, mine.first_name) == (1, "Max")


# -- cells that cannot be read --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "cell", "code"),
    [
        ("email", "zoe@", "email"),
        ("email", "Zoé <zoe@example.org>", "display_name"),
        ("email", "z" * 300 + "@example.org", "too_long"),
        ("email", "z" * 600, "long_value"),
        ("mobile_phone", "12", "phone"),
        ("mobile_phone", "portable", "phone"),
        ("language", "français", "bad_language"),
        ("country", "UK", "bad_country"),
        ("birth_date", "31/12/1980", "bad_date"),
        ("birth_date", "1980-02-30", "bad_date"),
        ("time_zone", "Paris", "bad_time_zone"),
        ("time_zone", "../etc/passwd", "bad_time_zone"),
        ("blacklisted", "perhaps", "bad_flag"),
        ("first_name", "x" * 101, "long_value"),
        ("postal_address", "x" * 501, "long_value"),
        ("attributes.a", "x" * 1_001, "long_value"),
    ],
)
def test_a_cell_that_cannot_be_read_refuses_its_line_and_names_it(column, cell, code):
    extra = "" if column == "email" else "email,"
    first = "" if column == "email" else "bad@example.org,"
    good = "good@example.org" + ("" if column == "email" else ",")
    job = import_(f'external_id,{extra}{column}\nC1,{first}"{cell}"\nC2,{good}\n')
    assert notes(job) == [(2, code, column)]
    assert (job.errors, job.created, job.upto) == (1, 1, 2)
    words = imports.note_words(code)
    assert str(words.message) and str(words.remedy)


def test_a_code_has_one_meaning_so_that_a_long_name_is_not_called_an_address():
    assert len(set(imports.CODES)) == len(imports.CODES)
    assert str(imports.note_words("long_value").message) == "This cell is too long."
    assert "email address" in str(imports.note_words("too_long").message)


def test_all_that_is_wrong_with_a_line_is_told_at_once():
    job = import_("email,country,birth_date\nnot an address,XX,1980\n")
    assert notes(job) == [(2, "email", "email"), (2, "bad_country", "country"), (2, "bad_date", "birth_date")]
    assert job.errors == 1


def test_a_line_about_nobody_is_refused():
    assert notes(import_("external_id,email,first_name\n,,Zoé\n")) == [(2, "nobody", "")]


def test_a_zero_byte_is_told_and_not_stored():
    job = import_("email,first_name\na@example.org,Zo\x00é\n")
    assert notes(job) == [(2, "nul", "")]


def test_line_breaks_in_a_name_become_blanks():
    import_('email,first_name\na@example.org,"Zoé\nBcc: x"\n')
    assert only().first_name == "Zoé Bcc: x"


def test_people_with_an_unreadable_address_can_be_kept_and_are_found_again():
    content = "email,mobile_phone,first_name\nzoe(at)example.org,portable,Zoé\n"
    job = import_(content, keep_invalid=True)
    assert {(row.value, row.validity) for row in only().addresses.all()} == {
        ("zoe(at)example.org", Validity.INVALID),
        ("portable", Validity.INVALID),
    }
    assert (notes(job), job.warnings) == ([(2, "email", "email"), (2, "phone", "mobile_phone")], 2)
    assert set(job.notes.values_list("level", flat=True)) == {ImportNote.Level.REMARK}
    assert import_(content, keep_invalid=True).unchanged == 1


def test_a_number_is_read_in_the_country_of_its_line_else_of_its_profile_else_of_the_site():
    ProfileFactory(external_id="C2", country="GB", email=False)
    import_(
        "external_id,mobile_phone,country\nC1,0470 12 34 56,BE\nC2,07400 123456,\nC3,06 39 98 00 01,\n"
        "C2,0470 12 34 57,BE\n"
    )
    keys = Address.objects.filter(channel=Channel.SMS).order_by("profile__external_id", "position")
    assert [row.key for row in keys] == ["+32470123456", "+32470123457", "+447400123456", "+33639980001"]


# -- what no file can do --------------------------------------------------------------------------------------


@pytest.mark.parametrize("no", ["no", "FALSE", "0", "non", "Faux"])
def test_no_cell_lifts_an_opt_out(no):
    profile = ProfileFactory(external_id="C1")
    consent.opt_out([profile.pk], channel=Channel.EMAIL, evidence=PERSON, at=NOW)
    job = import_(f"external_id,blacklisted_email,blacklisted_sms\nC1,{no},{no}\n")
    profile.refresh_from_db()
    assert profile.blacklisted_email
    assert (job.lifts_ignored, notes(job)) == (1, [(2, "lift_ignored", "blacklisted_email")])
    assert not ConsentEvent.objects.filter(act=Act.OPT_IN).exists()


@pytest.mark.parametrize("yes", ["yes", "TRUE", "1", "oui", "Vrai"])
def test_an_opt_out_is_set_with_an_event(yes):
    user = UserFactory()
    job = import_(f"external_id,blacklisted\nC1,{yes}\n", by=user)
    assert only().blacklisted
    event = ConsentEvent.objects.get(act=Act.OPT_OUT)
    assert (event.profile_id, event.channel, event.source, event.actor_id) == (only().pk, None, Source.IMPORT, user.pk)
    assert import_(f"external_id,blacklisted\nC1,{yes}\n").opted_out == 0
    assert job.opted_out == 1


def test_people_are_subscribed_with_an_event_and_those_who_are_keep_their_subscription():
    service = ServiceFactory()
    known = ProfileFactory(external_id="C1")
    consent.subscribe([known.pk], service, evidence=PERSON, at=NOW - timedelta(days=9))
    job = import_("external_id\nC1\nC2\nC2\n", service=service)
    assert (job.subscribed, Subscription.objects.count()) == (1, 2)
    assert Subscription.objects.get(profile=known).source == Source.LANDING_PAGE
    assert ConsentEvent.objects.filter(act=Act.SUBSCRIBE, source=Source.IMPORT).count() == 1


def test_a_person_who_unsubscribed_is_not_subscribed_again():
    service, other = ServiceFactory(), ServiceFactory()
    profile = ProfileFactory(external_id="C1")
    for one in (service, other):
        consent.subscribe([profile.pk], one, evidence=PERSON, at=NOW)
    consent.unsubscribe([profile.pk], service, evidence=PERSON, at=NOW)
    consent.opt_out([profile.pk], channel=Channel.SMS, evidence=PERSON, at=NOW)
    job = import_("external_id\nC1\n", service=service)
    assert (job.subscribed, job.lifts_ignored, job.unchanged) == (0, 1, 1)
    assert notes(job) == [(2, "unsubscribed_before", "")]
    assert not Subscription.objects.filter(service=service).exists()


def test_a_person_who_subscribed_again_is_not_taken_for_one_who_left():
    service = ServiceFactory()
    profile = ProfileFactory(external_id="C1")
    consent.subscribe([profile.pk], service, evidence=PERSON, at=NOW)
    consent.unsubscribe([profile.pk], service, evidence=PERSON, at=NOW)
    consent.subscribe([profile.pk], service, evidence=PERSON, at=NOW)
    consent.unsubscribe([profile.pk], service, evidence=PERSON, at=NOW, act=Act.EXPIRE)
    assert import_("external_id\nC1\n", service=service).subscribed == 1


def test_an_opt_out_survives_the_erasure_of_its_person():
    erased("a@example.org", channel=Channel.EMAIL)
    job = import_("email\nA@example.org\nb@example.org\n")
    assert list(Profile.objects.order_by("pk").values_list("blacklisted_email", "blacklisted")) == [
        (True, False),
        (False, False),
    ]
    assert (job.opted_out, notes(job)) == (1, [(2, "erased_opt_out", "email")])
    assert ConsentEvent.objects.get(act=Act.OPT_OUT).source == Source.ERASURE


def test_a_person_who_left_a_service_before_being_erased_is_not_subscribed_to_it():
    service, other = ServiceFactory(), ServiceFactory()
    erased("a@example.org", service=service)
    erased("b@example.org", service=other)
    job = import_("email\na@example.org\nb@example.org\n", service=service)
    assert (job.subscribed, job.lifts_ignored) == (1, 1)
    assert list(Subscription.objects.values_list("profile__addresses__value", flat=True)) == ["b@example.org"]


def test_a_quarantined_address_is_imported_and_told_to_be_left_out_and_why():
    QuarantinedAddressFactory(value="a@example.org")
    QuarantinedAddressFactory(value="b@example.org", release_at=NOW - timedelta(days=1))
    job = import_("email\nA@example.org\nb@example.org\n")
    assert (job.created, notes(job)) == (2, [(2, "left_out_bounce", "email")])


@pytest.mark.parametrize("cause", list(Cause))
def test_there_are_words_for_every_cause_of_being_left_out(cause):
    QuarantinedAddressFactory(value="a@example.org", cause=cause)
    [note] = import_("email\na@example.org\n").notes.all()
    told = imports.note_words(note.code)
    assert "This address is left out" not in str(told.message)
    assert ("release it" in str(told.remedy)) == (cause in (Cause.BOUNCE, Cause.OPERATOR, Cause.IMPORT))


def test_without_provenance_or_basis_nothing_is_received():
    for missing in ("provenance", "basis"):
        with pytest.raises(ImportRefused) as refused:
            receive("email\na@example.org\n", **{missing: "  "})
        assert refused.value.code == "no_provenance"
    assert not ImportJob.objects.exists()


def test_provenance_and_basis_are_stated_once_in_the_ledger(settings):
    settings.IMPORT_BATCH = 1
    import_("email\na@example.org\nb@example.org\n")
    event = ConsentEvent.objects.get(act=Act.PROVENANCE)
    assert "Fair of May" in event.reason and "consent" in event.reason
