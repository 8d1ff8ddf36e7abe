"""How an SMS is counted."""

import pytest

from deliveries import sms


@pytest.mark.parametrize(
    ("text", "units", "segments"),
    [
        ("", 0, 0),
        ("a" * 160, 160, 1),
        ("a" * 161, 161, 2),
        ("a" * 306, 306, 2),
        ("a" * 307, 307, 3),
        ("é" * 160, 160, 1),  # in the alphabet of telephone networks
        ("€" * 80, 160, 1),  # in its extension table: counts double
        ("€" * 81, 162, 2),
        ("a" * 152 + "€" + "a" * 151, 305, 2),  # 152 units, then € begins the second segment
        ("a" * 152 + "€" + "a" * 152, 306, 3),  # the € is not cut in two
        ("ê" * 70, 70, 1),
        ("ê" * 71, 71, 2),
        ("ê" * 134, 134, 2),
        ("ê" * 135, 135, 3),
        ("a" * 69 + "ê", 70, 1),  # one other character is enough
        ("🌱" * 35, 70, 1),  # two units each
        ("🌱" * 36, 72, 2),
        ("🌱" * 67, 134, 3),  # 33 in a segment: none is cut in two
    ],
)
def test_length_in_units_and_segments(text: str, units: int, segments: int) -> None:
    length = sms.measure(text)
    assert (length.units, length.segments) == (units, segments)


def test_the_characters_that_need_the_bigger_alphabet_are_named_once() -> None:
    assert sms.measure("Fête … fête ~").other == "ê…"
    assert sms.measure("Été à 10 € [ok]").other == ""
