"""The admin of the addresses left out; importing the package registers it."""

from . import domains, entries, outages

__all__ = ["domains", "entries", "outages"]
