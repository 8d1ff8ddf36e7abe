"""The admin of the addresses left out; importing the package registers it."""

from . import answer_rules, domains, entries

__all__ = ["answer_rules", "domains", "entries"]
