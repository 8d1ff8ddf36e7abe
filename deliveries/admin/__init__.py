"""The marketer's screens."""

from . import audience, delivery, mail_domain, people_list, report, typology  # noqa: F401
