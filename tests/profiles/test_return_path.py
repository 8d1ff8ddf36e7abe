"""Return paths: who sends undeliverable mail back proves which message it was, and to whom."""

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from profiles.errors import TokenRefused
from profiles.tokens import Purpose, open_return_path, seal, seal_return_path, verify_return_path

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
ROWS = {7: b"r" * 16, -7: b"p" * 16, 8: b"s" * 16}


def accepted(local: str) -> int | None:
    try:
        return verify_return_path(local, ROWS.get)
    except TokenRefused:
        return None


def altered(local: str, draw: random.Random) -> str:
    """Return the text with one small change of one of several kinds."""
    place = draw.randrange(len(local))
    match draw.randrange(5):
        case 0:
            return local[:place] + draw.choice(ALPHABET) + local[place + 1 :]
        case 1:
            return local[:place] + local[place + 1 :] + draw.choice(ALPHABET)
        case 2:
            data = bytearray(base64.b32decode(local.upper()))
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
            return base64.b32encode(bytes(data)).decode().lower()
        case 3:
            return local[:place] + chr(draw.randrange(0x20, 0x2FF)) + local[place + 1 :]
        case _:
            first, last = sorted((place, draw.randrange(len(local))))
            return local[:first] + local[first:last][::-1] + local[last:]


@given(st.integers(-(2**63), 2**63 - 1), st.binary(min_size=16, max_size=16))
def test_a_return_path_proves_its_message_and_its_recipient(number: int, digest: bytes) -> None:
    local = seal_return_path(number, digest)
    assert len(local) <= 64
    assert local == local.lower()
    assert set(local) <= set(ALPHABET)
    found, proves = open_return_path(local)
    assert found == number
    assert proves(digest)
    assert not proves(digest[::-1] + b"x")


@pytest.mark.parametrize("number", ROWS)
def test_mail_servers_may_change_its_case(number: int) -> None:
    local = seal_return_path(number, ROWS[number])
    assert accepted(local) == accepted(local.upper()) == accepted(local.title()) == number


def test_it_proves_nothing_about_another_recipient_or_a_message_that_is_gone() -> None:
    assert accepted(seal_return_path(7, ROWS[8])) is None
    assert accepted(seal_return_path(9, ROWS[7])) is None
    assert accepted(seal_return_path(9, b"")) is None


def test_a_hundred_thousand_altered_ones_are_refused() -> None:
    draw = random.Random(30)
    local = seal_return_path(7, ROWS[7])
    tried = {altered(local, draw).lower() for _n in range(250_000)} - {local}
    while len(tried) < 100_000:
        tried.add("".join(draw.choices(ALPHABET, k=40)))
    assert [other for other in tried if accepted(other) is not None] == []


@pytest.mark.parametrize(
    "local", ["", "a", "1" * 40, "é" * 40, "ı" * 40, "ſ" * 40, "a" * 39, "a" * 41, "=" * 40, "a" * 10_000, "\n" * 40]
)
def test_what_is_no_return_path_is_refused(local: str) -> None:
    assert accepted(local) is None


def test_letters_that_only_become_ascii_in_capitals_are_refused() -> None:
    for n in range(200):
        local = seal_return_path(7, n.to_bytes(16, "big"))
        for letter, other in (("i", "ı"), ("s", "ſ")):
            if letter in local:
                with pytest.raises(TokenRefused):
                    open_return_path(local.replace(letter, other, 1))


def test_a_link_is_no_return_path() -> None:
    token = seal(Purpose.RETURN_PATH, (7).to_bytes(8, "big", signed=True) + ROWS[7])
    assert accepted(token) is None


def test_consecutive_ones_show_no_counter() -> None:
    bodies = [base64.b32decode(seal_return_path(n, ROWS[7]).upper())[1:] for n in range(1_000)]
    for column in range(24):
        assert len({body[column] for body in bodies}) > 200


def test_a_retired_key_still_verifies_and_a_withdrawn_one_does_not(settings: Settings) -> None:
    settings.LINK_KEYS = ["1:old"]
    local = seal_return_path(7, ROWS[7])
    settings.LINK_KEYS = ["2:new", "1:old"]
    assert accepted(local) == 7
    assert base64.b32decode(seal_return_path(7, ROWS[7]).upper())[0] == 2
    settings.LINK_KEYS_REVOKED = [1]
    assert accepted(local) is None
    settings.LINK_KEYS, settings.LINK_KEYS_REVOKED = ["2:new"], []
    assert accepted(local) is None
