"""Keys: one address has one key, however it is written, and never another's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.addresses import Flaw, mask, read, search_text
from profiles.channels import Channel
from profiles.digests import SIZE, digest

CHANNELS = st.sampled_from(list(Channel))
COUNTRIES = st.sampled_from(["", "FR", "BE", "CH", "GB", "US"])
TYPED = st.one_of(
    st.text(max_size=60),
    st.emails(),
    st.builds(
        "{}@{}.example".format, st.text(min_size=1, max_size=12), st.sampled_from(["müller", "MÜLLER", "élan", "ÉLAN"])
    ),
    st.from_regex(r"\+?[0-9 ().-]{4,18}", fullmatch=True),
)


@given(CHANNELS, TYPED, COUNTRIES)
def test_the_key_of_a_key_is_itself(channel: Channel, typed: str, country: str) -> None:
    key = read(channel, typed, country=country).key
    assert read(channel, key, country=country).key == key


@given(CHANNELS, TYPED, st.sampled_from([" {}", "{} ", "\u00a0{}", "{}\ufeff", "\t{}\r\n"]))
def test_blanks_around_an_address_do_not_count(channel: Channel, typed: str, around: str) -> None:
    assert read(channel, around.format(typed)).key == read(channel, typed).key


@given(CHANNELS, TYPED)
def test_reading_never_fails_and_tells_valid_from_flawed(channel: Channel, typed: str) -> None:
    found = read(channel, typed)
    assert (found.flaw is None) == (found.validity == 0)
    if found.flaw:
        assert found.flaw.remedy


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A@EX.com", "a@ex.com"),
        ("zoé@example.org", "zoe\u0301@example.org"),
        ("a@MÜLLER.example", "a@xn--mller-kva.example"),
        ("a@müller.example", "a@mu\u0308ller.example"),
        ("STRASSE@example.org", "straße@example.org"),
    ],
)
def test_spellings_of_one_mailbox_have_one_key(one: str, other: str) -> None:
    assert read(Channel.EMAIL, one).key == read(Channel.EMAIL, other).key


@pytest.mark.parametrize(
    ("one", "other"),
    [("a.b@example.org", "ab@example.org"), ("a+news@example.org", "a@example.org"), ("a@x.example", "a@y.example")],
)
def test_different_mailboxes_keep_different_keys(one: str, other: str) -> None:
    assert read(Channel.EMAIL, one).key != read(Channel.EMAIL, other).key


@pytest.mark.parametrize(
    ("typed", "country", "key"),
    [
        ("06 39 98 00 01", "FR", "+33639980001"),
        ("+33 (0)6 39 98 00 01", "", "+33639980001"),
        ("0033639980001", "FR", "+33639980001"),
        ("07700 900123", "GB", "+447700900123"),
        ("0470 12 34 56", "BE", "+32470123456"),
    ],
)
def test_phone_numbers_are_read_with_the_country_of_the_person(typed: str, country: str, key: str) -> None:
    found = read(Channel.SMS, typed, country=country)
    assert (found.key, found.flaw, found.value) == (key, None, typed)


@pytest.mark.parametrize(
    ("channel", "typed", "flaw"),
    [
        (Channel.EMAIL, "Zoé <zoe@example.org>", Flaw.DISPLAY_NAME),
        (Channel.EMAIL, "zoe", Flaw.EMAIL),
        (Channel.EMAIL, "a..b@example.org", Flaw.EMAIL),
        (Channel.EMAIL, "a@b@example.org", Flaw.EMAIL),
        (Channel.EMAIL, f"{'x' * 250}@example.org", Flaw.TOO_LONG),
        (Channel.EMAIL, "  ", Flaw.EMPTY),
        (Channel.SMS, "06 39 98 00 01", Flaw.PHONE_NO_COUNTRY),
        (Channel.SMS, "12", Flaw.PHONE),
        (Channel.SMS, "call me", Flaw.PHONE),
    ],
)
def test_what_cannot_be_written_to_is_named(channel: Channel, typed: str, flaw: Flaw) -> None:
    assert read(channel, typed).flaw == flaw


def test_digests_differ_by_channel_and_by_key_of_the_installation(settings: object) -> None:
    first = digest(Channel.SMS, "+33639980001")
    assert len(first) == SIZE
    assert first != digest(Channel.PHONE, "+33639980001")
    settings.SUPPRESSION_KEY = "another"  # type: ignore[attr-defined]
    assert first != digest(Channel.SMS, "+33639980001")


def test_postal_addresses_compare_without_case_blanks_and_punctuation() -> None:
    one = read(Channel.DIRECT_MAIL, "1, rue des Lilas\n69001  LYON")
    assert one.key == read(Channel.DIRECT_MAIL, "1 Rue des lilas, 69001 Lyon.").key


@pytest.mark.parametrize(
    ("channel", "value", "shown"),
    [(Channel.EMAIL, "julie@example.org", "j•••@example.org"), (Channel.SMS, "+33639980001", "•••01")],
)
def test_a_masked_address_is_known_to_its_owner_only(channel: Channel, value: str, shown: str) -> None:
    assert mask(channel, value) == shown


def test_the_search_text_has_no_case_and_no_accents() -> None:
    assert search_text("Émilie", "Dūpont", "") == "emilie dupont"
