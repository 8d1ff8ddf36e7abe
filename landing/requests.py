"""Rows that visitors' forms left behind, each acted on once.

Nothing is done while a visitor waits: the form stores one row, and a task does the rest, so that the answer, and the
time that it takes, tell nobody who is known. A task may be rung twice or lost: the row is claimed in the transaction
that acts on it.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from django.db import DatabaseError, models, transaction
from django.utils.translation import override

from profiles import consent
from profiles.consent import Evidence
from profiles.models import Source

from . import wording
from .models import LandingPageVersion, PageRequest, Request

BATCH = 200
OF_A_PAGE = ("version__page__brand", "version__page__service")  # what acting on a PageRequest reads
R = TypeVar("R", bound=Request)
logger = logging.getLogger(__name__)


def each_unhandled(rows: "models.QuerySet[R]", act: Callable[..., None], *, at: datetime) -> int:
    """Act once on every row that nobody has acted on; return on how many.

    One that the database refuses is logged and left for the next time, so that it does not hold up the others.
    """
    done, last = 0, 0
    waiting = rows.filter(handled_at=None)
    while batch := list(waiting.filter(pk__gt=last).order_by("pk")[:BATCH]):
        last = batch[-1].pk
        for row in batch:
            try:
                with transaction.atomic():
                    if rows.filter(pk=row.pk, handled_at=None).update(handled_at=at):
                        act(row, at=at)
                        done += 1
            except DatabaseError:
                logger.exception("%s %s could not be handled; it is tried again.", type(row).__name__, row.pk)
    return done


def words_of(version: LandingPageVersion, language: str) -> wording.Words:
    """Return what a visitor read on a version of a page in their language."""
    with override(language):
        return wording.words(version.page, version)


def evidence_of(request: PageRequest, **more: Any) -> Evidence:
    """Return who asked on a public page, from where, and what they had read. Stores the wording if it is new."""
    shown = consent.cite(words_of(request.version, request.language).shown, request.language)
    told: dict[str, Any] = {
        "source": Source.LANDING_PAGE, "language": request.language, "wording_id": shown.pk,
        "ip": request.ip, "user_agent": request.user_agent, **more,
    }  # fmt: skip
    return Evidence(**told)
