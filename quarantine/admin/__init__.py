"""The admin of the addresses left out; importing the package registers it."""

from . import answer_rules, domains, entries, outages

__all__ = ["answer_rules", "domains", "entries", "outages"]
