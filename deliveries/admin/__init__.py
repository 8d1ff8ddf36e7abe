"""The marketer's screens."""

from . import delivery  # noqa: F401
