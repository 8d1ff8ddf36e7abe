"""The admin of the addresses left out; importing the package registers it."""

from . import domains, entries

__all__ = ["domains", "entries"]
