"""Addresses as typed, and the keys by which they are compared.

People are written to at the address as they typed it; two addresses are *the same* when their keys are::

    >>> read(Channel.EMAIL, " José@EXAMPLE.org ").key
    'josé@example.org'
    >>> read(Channel.SMS, "06 39 98 00 01", country="FR").key
    '+33639980001'

A key never changes when it is made into a key again. Keys are computed here, in Python, when an address is
written, and never in SQL. Dots and plus signs in a mailbox name are kept: outside a few providers they are
different mailboxes.
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

import idna
import phonenumbers
from django.db import models
from django.utils.translation import gettext_lazy as _
from email_validator import EmailNotValidError, validate_email

from .channels import Channel

MAX_LENGTH = 254  # RFC 5321 section 4.5.3.1.3: a path holds 256 octets with its angle brackets


class Validity(models.IntegerChoices):
    """Whether an address can be written to at all, decided when it is stored."""

    VALID = 0, _("Valid")
    INVALID = 2, _("Invalid")


class Flaw(StrEnum):
    """What is wrong with an address that cannot be read; `remedy` says what to do about it."""

    EMAIL = "email"
    DISPLAY_NAME = "display_name"
    TOO_LONG = "too_long"
    PHONE_NO_COUNTRY = "phone_no_country"
    PHONE = "phone"
    EMPTY = "empty"

    @property
    def remedy(self) -> str:
        return str(_REMEDIES[self])


_REMEDIES = {
    Flaw.EMAIL: _("Write one address such as name@example.org."),
    Flaw.DISPLAY_NAME: _("Write only the address, without the name and the angle brackets."),
    Flaw.TOO_LONG: _("Shorten it: an address has at most 254 characters."),
    Flaw.PHONE_NO_COUNTRY: _("Write the number with its country code, such as +33 6 39 98 00 01, or give the country."),
    Flaw.PHONE: _("Write an existing number with its country code, such as +33 6 39 98 00 01."),
    Flaw.EMPTY: _("Write an address."),
}


@dataclass(frozen=True, slots=True)
class ReadAddress:
    """An address as typed (blanks around it removed), its key, and its flaw if it cannot be written to."""

    value: str
    key: str
    flaw: Flaw | None = None

    @property
    def validity(self) -> Validity:
        return Validity.VALID if self.flaw is None else Validity.INVALID


def read(channel: Channel, text: str, *, country: str = "") -> ReadAddress:
    """Read an address of a channel; a text that is none comes back with its flaw and a key of its own.

    `country` (ISO 3166 alpha-2) is the one in which national phone numbers are read.
    """
    value = _visible(text)
    if not value:
        return ReadAddress("", "", Flaw.EMPTY)
    if channel == Channel.EMAIL:
        return _read_email(value)
    if channel in (Channel.SMS, Channel.PHONE):
        return _read_phone(value, country)
    if channel == Channel.DIRECT_MAIL:
        return ReadAddress(value, postal_key(value))
    return ReadAddress(value, value)


def fold(text: str) -> str:
    """Return the text in the form in which letters of another case or composition compare equal."""
    folded = unicodedata.normalize("NFC", text)
    while True:  # folding can leave composed what folds again (a few Greek letters): stop at the fixed point
        again = unicodedata.normalize("NFC", folded.casefold())
        if again == folded:
            return folded
        folded = again


def search_text(*parts: str) -> str:
    """Return the parts folded and without accents, for a search that works alike on both engines."""
    decomposed = unicodedata.normalize("NFD", fold(" ".join(part for part in parts if part)))
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def postal_key(text: str) -> str:
    """Return the key of a postal address: folded, with blanks and punctuation collapsed."""
    return " ".join(re.findall(r"\w+", fold(text)))


def domain(key: str) -> str:
    """Return the domain of an email key, in its A-label form."""
    return key.rpartition("@")[2]


def a_label(host: str) -> str:
    """Return a domain in lower-case ASCII (IDNA 2008 with the mapping of UTS 46). Raise UnicodeError."""
    if host.isascii():
        return host.lower()
    return idna.encode(host, uts46=True).decode("ascii").lower()


def mask(channel: Channel, value: str) -> str:
    """Return the address so that its owner knows it and nobody else does, such as ``j•••@example.org``."""
    if channel == Channel.EMAIL:
        local, _at, host = value.rpartition("@")
        return f"{local[:1]}•••@{host}" if local else "•••"
    return f"•••{value[-2:]}" if len(value) > 4 else "•••"


def _visible(text: str) -> str:
    """Remove what nobody sees around an address: blanks, zero-width characters and byte-order marks, NUL."""
    return text.replace("\x00", "").strip(" \t\r\n\f\v\u00a0\u2007\u202f\u200b\u200c\u200d\u2060\ufeff")


def _read_email(value: str) -> ReadAddress:
    if len(value) > MAX_LENGTH:
        return ReadAddress(value[:MAX_LENGTH], fold(value)[:MAX_LENGTH], Flaw.TOO_LONG)
    if "<" in value:
        return ReadAddress(value, fold(value), Flaw.DISPLAY_NAME)
    local, at, host = unicodedata.normalize("NFC", value).rpartition("@")
    try:
        if not at:
            raise EmailNotValidError
        validate_email(value, check_deliverability=False, test_environment=False)
        return ReadAddress(value, f"{fold(local)}@{a_label(host)}")
    except (EmailNotValidError, idna.IDNAError, UnicodeError):
        return ReadAddress(value, fold(value), Flaw.EMAIL)


def _read_phone(value: str, country: str) -> ReadAddress:
    digits = re.sub(r"\D", "", value)
    raw_key = fold(value)[:MAX_LENGTH]
    try:
        number = phonenumbers.parse(value, country.upper() or None)
    except phonenumbers.NumberParseException as error:
        no_country = error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE and len(digits) >= 4
        return ReadAddress(value, raw_key, Flaw.PHONE_NO_COUNTRY if no_country else Flaw.PHONE)
    if not phonenumbers.is_possible_number(number) or number.extension:
        return ReadAddress(value, raw_key, Flaw.PHONE)
    return ReadAddress(value, phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
