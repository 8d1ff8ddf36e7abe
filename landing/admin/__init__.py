"""Public pages in the back-office: one module per subject."""

from . import pages, requests, services

__all__ = ["pages", "requests", "services"]
