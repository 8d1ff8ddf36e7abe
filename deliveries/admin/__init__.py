"""The marketer's screens."""

from . import audience, delivery, mail_domain, people_list, typology  # noqa: F401
