"""Signed links: they open for their own purpose, tell nothing, and cannot be altered."""

import base64
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from profiles.errors import TokenRefused
from profiles.tokens import OptOutLink, Purpose, open_token, seal

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
LINK = OptOutLink(channel=1, digest=bytes(range(16)), log=7, delivery=3, service=2)


def accepted(token: str, purpose: Purpose = Purpose.OPT_OUT_PAGE) -> bool:
    try:
        open_token(purpose, token)
    except TokenRefused:
        return False
    return True


def raw(token: str) -> bytes:
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


def altered(token: str, draw: random.Random) -> str:
    """Return the token with one small change of one of several kinds."""
    place = draw.randrange(len(token))
    match draw.randrange(5):
        case 0:
            return token[:place] + draw.choice(ALPHABET) + token[place + 1 :]
        case 1:
            return token[:place] + token[place + 1 :]
        case 2:
            return token[:place] + draw.choice(ALPHABET) + token[place:]
        case 3:
            data = bytearray(raw(token))
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
            return base64.urlsafe_b64encode(bytes(data)).decode().rstrip("=")
        case _:
            other = draw.randrange(len(token))
            first, last = sorted((place, other))
            return token[:first] + token[first:last][::-1] + token[last:]


@given(st.binary(min_size=1, max_size=100), st.sampled_from(Purpose))
def test_a_link_opens_to_what_was_sealed(payload: bytes, purpose: Purpose) -> None:
    assert open_token(purpose, seal(purpose, payload)) == payload


@given(
    st.integers(1, 5), st.binary(min_size=16, max_size=16), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_an_opt_out_link_comes_back_whole(channel: int, digest: bytes, log: int, delivery: int, service: int) -> None:
    link = OptOutLink(channel=channel, digest=digest, log=log, delivery=delivery, service=service)
    assert OptOutLink.unpack(link.pack()) == link


@pytest.mark.parametrize("made_for", Purpose)
def test_a_link_opens_for_no_other_purpose(made_for: Purpose) -> None:
    token = seal(made_for, LINK.pack())
    assert [purpose for purpose in Purpose if accepted(token, purpose)] == [made_for]


def test_ten_thousand_altered_links_are_refused() -> None:
    draw = random.Random(20)
    token = seal(Purpose.OPT_OUT_PAGE, LINK.pack())
    tried = [altered(token, draw) for _n in range(10_000)]
    assert [other for other in tried if other != token and accepted(other)] == []


@pytest.mark.parametrize(
    "token", ["", "A", "====", "é" * 40, "\x00" * 40, " " * 40, "A" * 10_000, "not a token at all", "a\nb", "../../etc"]
)
def test_what_is_no_link_is_refused(token: str) -> None:
    assert not accepted(token)


def test_one_link_has_one_spelling() -> None:
    token = seal(Purpose.OPT_OUT_PAGE, LINK.pack())
    assert not accepted(token + "=")
    assert not accepted(token + "==")
    assert not accepted(token + "\n")
    assert not accepted(token.replace("-", "+").replace("_", "/")) or not set("-_") & set(token)


def test_links_of_one_delivery_show_no_counter_and_no_address() -> None:
    """Each byte after the key's id varies over a thousand consecutive links as chance would have it."""
    links = [OptOutLink(channel=1, digest=bytes(16), log=n, delivery=3, service=2).pack() for n in range(1_000)]
    bodies = [raw(seal(Purpose.OPT_OUT_PAGE, link))[1:] for link in links]
    for column in range(len(bodies[0])):
        values = Counter(body[column] for body in bodies)
        assert len(values) > 200, f"byte {column} hardly varies"
        assert values.most_common(1)[0][1] < 25, f"byte {column} has a favourite"


def test_a_link_of_another_installation_is_refused(settings: Settings) -> None:
    settings.LINK_KEYS = ["1:theirs"]
    token = seal(Purpose.OPT_OUT_PAGE, LINK.pack())
    settings.LINK_KEYS = ["1:ours"]
    assert not accepted(token)


def test_a_retired_key_still_opens_its_links(settings: Settings) -> None:
    settings.LINK_KEYS = ["1:old"]
    token = seal(Purpose.OPT_OUT_PAGE, LINK.pack())
    settings.LINK_KEYS = ["2:new", "1:old"]
    assert accepted(token)
    assert raw(seal(Purpose.OPT_OUT_PAGE, LINK.pack()))[0] == 2


def test_a_withdrawn_key_opens_nothing(settings: Settings) -> None:
    settings.LINK_KEYS = ["1:stolen"]
    token = seal(Purpose.OPT_OUT_PAGE, LINK.pack())
    settings.LINK_KEYS, settings.LINK_KEYS_REVOKED = ["2:new", "1:stolen"], [1]
    assert not accepted(token)
    assert accepted(seal(Purpose.OPT_OUT_PAGE, LINK.pack()))


@pytest.mark.parametrize("size", [0, 1, 32, 34, 200])
def test_a_payload_of_another_shape_is_no_opt_out_link(size: int) -> None:
    with pytest.raises(TokenRefused):
        OptOutLink.unpack(b"x" * size)
