"""Importing only opt-outs: whoever has an address is opted out, and an address that nobody has is remembered."""

import pytest

from profiles import address_book, consent, imports
from profiles.channels import Channel
from profiles.errors import ImportRefused
from profiles.models import Act, Address, ConsentEvent, Profile, Source, Subscription
from profiles.verify import verify
from tests.factories import ProfileFactory, ServiceFactory
from tests.profiles.importing import (
    NOW,
    PERSON,
    State,
    counts,
    email_digest,
    flags_of,
    import_,
    import_opt_outs,
    kept,
    notes,
    receive_opt_outs,
)  # fmt: skip

pytestmark = pytest.mark.django_db


def test_everybody_who_has_the_address_is_opted_out_of_its_channel_and_nobody_is_made():
    people = [ProfileFactory(email="Zoe@example.org"), ProfileFactory(email="zoe@example.org"), ProfileFactory()]
    job = import_opt_outs("email\nzoe@EXAMPLE.org\n")
    assert [flags_of(person) for person in people] == [{"blacklisted_email"}, {"blacklisted_email"}, set()]
    assert counts(job) == {"opted_out": 2, "updated": 1, "created": 0, "unchanged": 0, "errors": 0}
    assert (Profile.objects.count(), kept()) == (3, set())
    event = ConsentEvent.objects.filter(profile_id=people[0].pk).get()
    assert (event.act, event.channel, event.source) == (Act.OPT_OUT, Channel.EMAIL, Source.IMPORT)


def test_a_word_where_an_email_address_is_expected_is_not_called_a_phone_number():
    job = import_opt_outs("address,channel\npas-une-adresse,email\n")
    assert counts(job)["errors"] == 1
    assert notes(job) == [(2, "email", "address")]


def test_an_address_that_nobody_has_is_kept_by_digest_and_applies_to_whoever_is_given_it():
    job = import_opt_outs("email\ngone@example.org\n")
    assert counts(job) == {"opted_out": 0, "updated": 0, "created": 1, "unchanged": 0, "errors": 0}
    assert kept() == {(email_digest("gone@example.org"), Channel.EMAIL, 0)}
    assert not Profile.objects.exists() and not Address.objects.exists()
    assert not ConsentEvent.objects.filter(reason__contains="gone@").exists()
    person = ProfileFactory()
    address_book.change(person, saved=[Address.make(Channel.EMAIL, "Gone@example.org")], at=NOW)
    assert flags_of(person) == {"blacklisted_email"}


def test_an_import_of_people_afterwards_cannot_lift_it():
    import_opt_outs("email\ngone@example.org\nzoe@example.org\n")
    zoe = ProfileFactory(email="other@example.org", external_id="Z")
    job = import_("external_id,email,blacklisted_email\nG,gone@example.org,no\nZ,zoe@example.org,no\n")
    assert flags_of(Profile.objects.get(external_id="G")) == {"blacklisted_email"}
    assert flags_of(zoe) == {"blacklisted_email"}
    assert job.lifts_ignored == 2


@pytest.mark.parametrize("first", ["people", "opt-outs"])
def test_who_left_a_service_elsewhere_is_not_subscribed_to_it_by_a_later_import(first):
    service = ServiceFactory(name="news")
    people = "email\nzoe@example.org\n"
    if first == "people":
        import_(people)
    import_opt_outs("email,service\nzoe@example.org,News\n")
    job = import_(people, service=service)
    assert not Subscription.objects.exists()
    assert (job.lifts_ignored, notes(job)) == (1, [(2, "unsubscribed_before", "")])
    assert flags_of(Profile.objects.get()) == set()
    assert verify().problems == []


def test_a_service_in_the_file_or_of_the_import_is_left_and_nothing_else():
    news, club = ServiceFactory(name="news"), ServiceFactory(name="club")
    zoe, max_ = ProfileFactory(email="zoe@example.org"), ProfileFactory(email="max@example.org")
    for service in (news, club):
        consent.subscribe([zoe.pk, max_.pk], service, evidence=PERSON, at=NOW)
    job = import_opt_outs(
        "email,service,channel\nzoe@example.org,club,\nmax@example.org,,\nmax@example.org,,sms\n", service=news
    )
    assert set(zoe.subscriptions.values_list("service__name", flat=True)) == {"news"}
    assert set(max_.subscriptions.values_list("service__name", flat=True)) == {"club"}
    assert (flags_of(zoe), flags_of(max_)) == (set(), {"blacklisted_sms"})
    assert counts(job) == {"opted_out": 3, "updated": 3, "created": 0, "unchanged": 0, "errors": 0}


def test_whoever_left_a_service_already_and_whoever_comes_back_to_it_by_themselves_are_left_alone():
    news, zoe = ServiceFactory(name="news"), ProfileFactory(email="zoe@example.org")
    consent.subscribe([zoe.pk], news, evidence=PERSON, at=NOW)
    consent.unsubscribe([zoe.pk], news, evidence=PERSON, at=NOW)
    assert counts(import_opt_outs("email,service\nzoe@example.org,news\n"))["unchanged"] == 1
    assert kept() == set()


def test_the_scope_is_the_channel_or_the_flags_of_the_line_else_the_channel_of_the_address():
    rows = "email;mobile_phone;canal;ne plus contacter;blacklisted_phone\n" + "\n".join(
        ["a@example.org;;;;", "b@example.org;;Courrier postal;;", "c@example.org;;;oui;", "d@example.org;;sms;;oui",
         ";06 39 98 00 01;;;", "e@example.org;+33639980002;tous;;"]
    )  # fmt: skip
    people = {name: ProfileFactory(email=f"{name}@example.org") for name in "abcde"}
    first = ProfileFactory(email="f@example.org", sms="+33639980001")
    second = ProfileFactory(email="g@example.org", sms="+33639980002")
    import_opt_outs(rows)
    assert {name: flags_of(person) for name, person in people.items()} == {
        "a": {"blacklisted_email"},
        "b": {"blacklisted_direct_mail"},
        "c": {"blacklisted"},
        "d": {"blacklisted_sms", "blacklisted_phone"},
        "e": {"blacklisted"},
    }
    assert (flags_of(first), flags_of(second)) == ({"blacklisted_sms"}, {"blacklisted"})


def test_a_column_address_holds_an_email_address_or_a_number():
    zoe = ProfileFactory(email="zoe@example.org", sms="+33639980001")
    import_opt_outs("Adresse;Pays\nzoe@example.org;\n06 39 98 00 01;FR\n")
    assert flags_of(zoe) == {"blacklisted_email", "blacklisted_sms"}


def test_a_number_opted_out_of_calls_is_that_of_whoever_is_called_at_it():
    called = ProfileFactory(email=None)
    address_book.change(called, saved=[Address.make(Channel.PHONE, "+33639980001")], at=NOW)
    import_opt_outs("mobile,channel\n+33639980001,phone\n")
    assert flags_of(called) == {"blacklisted_phone"}


def test_headers_are_understood_in_french():
    service = ServiceFactory(name="news")
    ProfileFactory(email="zoe@example.org")
    job = import_opt_outs(
        "Nom;Courriel;Téléphone portable;Date de désinscription;Motif;Liste;Ne plus contacter par e-mail\n"
        "Roi;zoe@example.org;;2024-03-02;Trop de messages;;oui\n"
        "Roi;max@example.org;;;;news;\n"
    )
    assert counts(job)["errors"] == 0
    event = ConsentEvent.objects.get(act=Act.OPT_OUT)
    assert event.reason == "opted out elsewhere on 2024-03-02 – Trop de messages – people.csv"
    assert kept() == {(email_digest("max@example.org"), 0, service.pk)}


@pytest.mark.parametrize(
    ("cell", "told"),
    [("2024-03-02", "2024-03-02"), ("2024-03-02T10:11:12Z", "2024-03-02"), ("2024-03-02 10:11", "2024-03-02"),
     ("02/03/2024", "02/03/2024"), ("2999-01-01", "2999-01-01"), ("yesterday" * 20, ("yesterday" * 20)[:40])],
)  # fmt: skip
def test_a_date_that_cannot_be_read_is_kept_as_it_is_written_and_loses_no_opt_out(cell, told):
    zoe = ProfileFactory(email="zoe@example.org")
    job = import_opt_outs(f"email,date\nzoe@example.org,{cell}\n")
    assert ConsentEvent.objects.get(profile_id=zoe.pk).reason == f"opted out elsewhere on {told} – people.csv"
    assert [code for _line, code, _column in notes(job)] == ([] if told == "2024-03-02" else ["bad_opt_out_date"])


def test_nothing_in_the_file_lifts_anything_and_the_report_says_so():
    zoe, max_ = ProfileFactory(email="zoe@example.org"), ProfileFactory(email="max@example.org")
    consent.opt_out([zoe.pk], channel=Channel.EMAIL, evidence=PERSON, at=NOW)
    import_opt_outs("email\ngone@example.org\n")
    job = import_opt_outs(
        "email,blacklisted_email,blacklisted\nzoe@example.org,no,\nmax@example.org,no,\ngone@example.org,non,\n"
        "zoe@example.org,no,yes\n"
    )
    assert (flags_of(zoe), flags_of(max_)) == ({"blacklisted_email", "blacklisted"}, set())
    assert (email_digest("gone@example.org"), Channel.EMAIL, 0) in kept()
    assert counts(job) == {"opted_out": 1, "updated": 1, "created": 0, "unchanged": 3, "errors": 0}
    lifted = "lift_ignored", "blacklisted_email"
    assert notes(job) == [(2, *lifted), (3, "no_opt_out", ""), (4, *lifted), (5, *lifted)]
    assert job.lifts_ignored == 3
    assert not ConsentEvent.objects.filter(act=Act.OPT_IN).exists()


@pytest.mark.parametrize(
    ("row", "code", "column"),
    [("nope,,,", "email", "email"), (",,,", None, None), ("a@example.org,fax,,", "bad_channel", "channel"),
     ("a@example.org,,nothing,", "unknown_service", "service"), (",sms,,x", "no_address", ""),
     ('"Zoé <zoe@example.org>",,,', "display_name", "email"), ("a@example.org,", "too_few_cells", "")],
)  # fmt: skip
def test_a_line_that_cannot_be_understood_is_refused_with_its_line_and_changes_nothing(row, code, column):
    job = import_opt_outs(f"email,channel,service,reason\n{row}\nb@example.org,,,\n")
    assert notes(job) == ([(2, code, column)] if code else [])
    assert (job.errors, job.created) == (1 if code else 0, 1)
    assert kept() == {(email_digest("b@example.org"), Channel.EMAIL, 0)}


def test_of_two_addresses_in_a_line_the_one_that_can_be_read_is_opted_out():
    job = import_opt_outs("email,mobile_phone\na@example.org,12\nnope,12\n")
    assert (job.created, job.errors) == (1, 1)
    assert notes(job) == [(2, "phone", "mobile_phone"), (3, "email", "email"), (3, "phone", "mobile_phone")]


def test_cells_that_a_spreadsheet_would_run_are_read_as_they_were_or_refused():
    ProfileFactory(email="f@example.org", sms="+33639980001")
    job = import_opt_outs("mobile,reason\n'+33639980001,'=1+1\n=1+1,x\n@SUM(A1),x\n")
    assert (job.opted_out, job.errors) == (1, 2)
    assert ConsentEvent.objects.get(act=Act.OPT_OUT).reason == "opted out elsewhere – =1+1 – people.csv"


@pytest.mark.parametrize(
    ("content", "options", "code"),
    [("date,reason\nx,y\n", {}, "no_address_column"), ("nope\nx\n", {}, "no_opt_out_column"),
     ("email,nope\na@example.org,x\n", {}, "unknown_column"), ("email\n", {}, "no_lines"),
     ("email,e-mail\na@example.org,b@example.org\n", {}, "duplicate_column"),
     ('email,reason\na@example.org,"x\nb@example.org,y\n', {}, "open_quote"), ("PK\x03\x04", {}, "not_text")],
)  # fmt: skip
def test_a_file_that_cannot_be_understood_is_refused_as_a_whole(content, options, code):
    job = import_opt_outs(content, **options)
    refused = imports.unpacked(job.message)
    assert refused is not None and str(refused)
    assert (job.state, refused.code, kept(), job.file.name) == (State.FAILED, code, set(), "")


def test_where_they_come_from_is_asked_for_and_kept_in_the_ledger():
    with pytest.raises(ImportRefused, match="Say where"):
        receive_opt_outs("email\na@example.org\n", provenance=" ")
    import_opt_outs("email\na@example.org\n")
    assert ConsentEvent.objects.get(act=Act.PROVENANCE).reason == "Old system"
