"""The admin of the addresses left out; importing the package registers it."""

from . import entries

__all__ = ["entries"]
