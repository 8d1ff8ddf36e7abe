"""A sum that the browser works out before a form is taken: unnoticed by a person, dear to who sends thousands.

Off, unless CAPTCHA=altcha; and never between somebody and the end of messages. The sum is that of ALTCHA (version 1 of
its protocol): a number is sought whose SHA-256, behind a salt, is known. Its library makes and checks it
(requirements/captcha.txt); the browser's part is our own landing/proof.js, because the widget of that project brings
styles and workers that the content policy of public pages forbids. Nothing is stored before a form comes back.
"""

import base64
import hashlib
import json
from binascii import Error as BadBase64
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from .models import Kind, LandingPage

ALTCHA = "altcha"
KINDS = (Kind.OPT_IN, Kind.SUBSCRIPTION)
LASTS = timedelta(hours=1)
_SALT = 12  # bytes


def is_wanted(page: LandingPage) -> bool:
    """Say whether the form of a page comes with a sum."""
    return settings.CAPTCHA == ALTCHA and page.kind in KINDS


def challenge(*, at: datetime) -> str:
    """Return a new sum, as JSON for the browser."""
    from altcha.v1 import ChallengeOptions, create_challenge

    made = create_challenge(
        ChallengeOptions(hmac_key=_key(), max_number=settings.CAPTCHA_WORK, salt_length=_SALT, expires=at + LASTS)
    )
    return json.dumps(
        {
            "algorithm": made.algorithm, "challenge": made.challenge, "maxnumber": settings.CAPTCHA_WORK,
            "salt": made.salt, "signature": made.signature,
        }
    )  # fmt: skip


def solved(proof: str) -> str:
    """Return which sum of ours a proof solves; empty when it solves none, or too late."""
    from altcha.v1 import verify_solution

    try:
        said: dict[str, Any] = json.loads(base64.b64decode(proof, validate=True))
        good, _reason = verify_solution(proof, _key(), check_expires=True)
        return str(said["challenge"]) if good else ""
    except (BadBase64, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return ""  # a robot may send anything


def _key() -> str:
    return hashlib.sha256(b"campaign.captcha:" + settings.SECRET_KEY.encode()).hexdigest()
