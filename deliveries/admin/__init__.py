"""The marketer's screens."""

from . import audience, delivery, people_list  # noqa: F401
