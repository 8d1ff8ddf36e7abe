"""A hundred thousand forged links, none of which opens; a thousand real ones, none of which tells anything."""

import base64
import random
import struct
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from pytest_django import Settings

from profiles.channels import Channel
from profiles.digests import digest
from profiles.errors import TokenRefused
from profiles.tokens import OptOutLink, Purpose, open_token, seal

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
MOMENT = datetime(2026, 5, 1, 12, tzinfo=UTC)
# Letters that look like others, or that some Unicode normalisation turns into them.
LOOK_ALIKES = {
    "a": "\u0430\uff41\u24d0", "e": "\u0435\uff45", "o": "\u03bf\u043e\uff4f", "c": "\u0441\uff43",
    "p": "\u0440\uff50", "x": "\u0445\uff58", "A": "\u0391\u0410\uff21", "B": "\u0392\u0412\uff22",
    "K": "\u212a", "s": "\u017f", "i": "\u0131", "0": "\uff10\u0660", "1": "\uff11\u0661",
    "-": "\u2010\u2212\uff0d", "_": "\uff3f",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _ring(settings: Settings) -> None:
    """Fix the keys: the same tokens in every run, so that what is true of them once stays true."""
    settings.LINK_KEYS = ["7:the key that signs, for these tests", "3:an older one, still in the ring"]
    settings.LINK_KEYS_REVOKED = []


def link(number: int) -> OptOutLink:
    """Return the link in the message of one of many people."""
    address = digest(Channel.EMAIL, f"person{number}@example.org")
    return OptOutLink(channel=Channel.EMAIL, digest=address, log=1_000_000 + number, delivery=41, service=12)


def raw(token: str) -> bytes:
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


def spelled(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def accepted(token: str, purpose: Purpose) -> bool:
    try:
        open_token(purpose, token)
    except TokenRefused:
        return False
    return True


def bits_flipped(token: str) -> Iterator[str]:
    data = raw(token)
    for place in range(len(data) * 8):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        yield spelled(bytes(changed))


def bytes_changed(token: str, draw: random.Random) -> Iterator[str]:
    for _n in range(8_000):
        changed = bytearray(raw(token))
        for _m in range(draw.randrange(1, 9)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        yield spelled(bytes(changed))


def letters_changed(token: str) -> Iterator[str]:
    """Every other letter in every place: it also gives the spellings that decode to the same bytes."""
    for place, letter in enumerate(token):
        for other in ALPHABET:
            if other != letter:
                yield token[:place] + other + token[place + 1 :]


def cut_and_grown(token: str) -> Iterator[str]:
    for place in range(len(token)):
        yield token[:place]
        yield token[place + 1 :]
        yield token[:place] + token[place + 1 :]
        for letter in "Aa0-_=+/.% \n\x00é":
            yield token[:place] + letter + token[place:]
    for more in ("=", "==", "A", "AA", "A" * 64, "\n", " ", "/", "%3D", "\u200b", token):
        yield token + more
        yield more + token


def spelled_otherwise(token: str) -> Iterator[str]:
    for place, letter in enumerate(token):
        for other in LOOK_ALIKES.get(letter, ""):
            yield token[:place] + other + token[place + 1 :]
    yield from (token.swapcase(), token.lower(), token.upper(), token[::-1], base64.b64encode(raw(token)).decode())
    yield from (raw(token).hex(), base64.b32encode(raw(token)).decode(), base64.b85encode(raw(token)).decode())


def of_other_keys(token: str) -> Iterator[str]:
    data = raw(token)
    for key in range(256):
        if key != data[0]:
            yield spelled(bytes([key]) + data[1:])


def spliced(token: str, other: str) -> Iterator[str]:
    """The beginning of one genuine link with the end of another."""
    for place in range(1, len(token)):
        yield token[:place] + other[place:]
        yield other[:place] + token[place:]


def forged(purpose: Purpose, number: int, draw: random.Random) -> Iterator[str]:
    token, other = seal(purpose, link(number).pack()), seal(purpose, link(number + 1).pack())
    tried = (
        bits_flipped(token), bytes_changed(token, draw), letters_changed(token), cut_and_grown(token),
        spelled_otherwise(token), of_other_keys(token), spliced(token, other),
    )  # fmt: skip
    genuine = {token, other}
    for kind in tried:
        yield from (text for text in kind if text not in genuine)
    yield from (seal(made_for, link(number).pack()) for made_for in Purpose if made_for != purpose)


def test_none_of_a_hundred_thousand_forged_links_opens() -> None:
    draw, tried, opened = random.Random(2026), 0, []
    for number, purpose in enumerate([*Purpose, *Purpose]):
        for token in forged(purpose, number * 10, draw):
            tried += 1
            if accepted(token, purpose):
                opened.append((purpose, token))
    assert opened == []
    assert tried >= 100_000


def test_random_bytes_are_no_link() -> None:
    draw = random.Random(4)
    for size in (1, 16, 17, 18, 25, 50, 58, 200):
        for key in (7, 3, 0):
            for _n in range(200):
                token = spelled(bytes([key]) + draw.randbytes(size - 1))
                assert not any(accepted(token, purpose) for purpose in Purpose)


def test_a_link_of_one_key_does_not_open_as_one_of_another_key_of_the_ring(settings: Settings) -> None:
    ours = settings.LINK_KEYS
    for ring in (ours, ours[::-1]):
        settings.LINK_KEYS = ring
        token = seal(Purpose.ONE_CLICK, link(1).pack())
        other = int(ring[1].partition(":")[0])
        assert accepted(token, Purpose.ONE_CLICK)
        assert not accepted(spelled(bytes([other]) + raw(token)[1:]), Purpose.ONE_CLICK)


# -- what a decoded link tells --------------------------------------------------------------------------------------


@pytest.fixture
def decoded() -> list[bytes]:
    """The links of a thousand messages of one delivery, decoded, without the id of their key."""
    tokens = [raw(seal(Purpose.OPT_OUT_PAGE, link(number).pack())) for number in range(1_000)]
    assert {token[0] for token in tokens} == {7}
    return [token[1:] for token in tokens]


def pieces(data: bytes, size: int) -> set[bytes]:
    return {data[place : place + size] for place in range(len(data) - size + 1)}


def test_links_of_one_delivery_have_nothing_in_common(decoded: list[bytes]) -> None:
    """A counter, an id of the delivery or a date would be the same four bytes in many links.

    Chance puts the same four bytes at the same place of any two of a thousand links once in two hundred sets of keys,
    and into three links, at any place, once in a million.
    """
    anywhere = Counter(piece for data in decoded for piece in pieces(data, 4))
    assert max(anywhere.values()) <= 2
    for place in range(len(decoded[0]) - 3):
        assert len({data[place : place + 4] for data in decoded}) == len(decoded), place


def test_links_hold_no_address_digest_counter_or_date_in_clear(decoded: list[bytes]) -> None:
    seconds = int(MOMENT.timestamp())
    dates = [seconds, seconds * 1_000, seconds * 1_000_000]
    for number, data in enumerate(decoded):
        of_link = link(number)
        numbers = [of_link.log, of_link.delivery, of_link.service, *dates]
        told = {pack(value) for value in numbers for pack in (struct.Struct(order + "Q").pack for order in "<>")}
        told |= {struct.pack(order + "L", value) for value in numbers if value < 2**32 for order in "<>"}
        told |= {str(value).encode() for value in numbers if value > 9_999}
        told |= pieces(of_link.digest, 4) | pieces(f"person{number}@example.org".encode(), 4)
        assert not [secret for secret in told if secret in data], number


def test_the_bytes_of_links_are_spread_as_chance_would_spread_them(decoded: list[bytes]) -> None:
    """Pearson's test on the 256 values of all bytes, and half of the bits differ between neighbours."""
    seen = Counter(byte for data in decoded for byte in data)
    expected = sum(seen.values()) / 256
    chi_square = sum((seen[value] - expected) ** 2 / expected for value in range(256))
    assert 150 < chi_square < 380  # 255 degrees of freedom: outside, once in a million
    for one, next_one in pairwise(decoded):
        differing = (int.from_bytes(one, "big") ^ int.from_bytes(next_one, "big")).bit_count()
        assert 120 < differing < 272  # of 392, 196 on average: 7.6 standard deviations


def test_the_two_links_of_one_message_do_not_resemble_each_other() -> None:
    """Whoever has the address that mail programs post to cannot make the address of the page from it."""
    for number in range(200):
        page, button = (
            raw(seal(purpose, link(number).pack()))[1:] for purpose in (Purpose.OPT_OUT_PAGE, Purpose.ONE_CLICK)
        )
        assert not pieces(page, 3) & pieces(button, 3), number
