"""The marketer's screens."""

from . import audience, delivery, people_list, typology  # noqa: F401
