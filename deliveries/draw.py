"""The draws of the control group and of the size limit: the same people for the same delivery, whoever asks.

Each person has a number below P = 2³¹ − 1, drawn by integer arithmetic from their id and the salt of the delivery:
(id + salt)⁵ mod P. P is prime and 5 has no factor in common with P − 1, so people up to P have different numbers; the
fifth power leaves no trace of the order of the ids (a mere product would, for small salts), and another salt orders
people in another way. Whoever is below a threshold is in a part of known size; the so many lowest are a group of exact
size.
"""

from dataclasses import dataclass

from .models import DRAW_PRIME

EVERYBODY = DRAW_PRIME  # above all numbers
PARTS = 10_000
POSITIONS = 1 << 15  # more than a person has addresses
_SECOND = 48_271  # a primitive root of P: the size limit is drawn apart from the control group


def number(profile: int, salt: int) -> int:
    """Return the number that a person draws."""
    return pow(profile + salt, 5, DRAW_PRIME)


def threshold(parts: int) -> int:
    """Return the number below which so many parts of ten thousand of all people are."""
    return DRAW_PRIME * parts // PARTS


@dataclass(frozen=True, slots=True)
class Draw:
    """A draw as an expression over the columns `profile_id` and `position`, for a statement with parameters."""

    salt: int
    by_address: bool = False  # otherwise all addresses of a person have one number

    @property
    def sql(self) -> str:
        p, x = DRAW_PRIME, f"((profile_id + {self.salt}) %% {DRAW_PRIME})"
        drawn = f"(({x} * {x} %% {p}) * ({x} * {x} %% {p}) %% {p} * {x} %% {p})"
        return f"({drawn} * {POSITIONS} + position)" if self.by_address else drawn

    @property
    def coarse(self) -> int:
        """Return by how much numbers are divided so that at most 32,768 different ones are left."""
        return (1 << 16) * (POSITIONS if self.by_address else 1)


def control(salt: int) -> Draw:
    """Return the draw of the control group: of people."""
    return Draw(salt)


def limit(salt: int) -> Draw:
    """Return the draw of the size limit: of messages."""
    return Draw(salt * _SECOND % DRAW_PRIME, by_address=True)
