"""The marketer's screens."""

from . import audience, delivery  # noqa: F401
