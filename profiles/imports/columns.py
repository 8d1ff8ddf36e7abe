"""The columns of a file: their names, in any order, and what else they may be called.

PEOPLE     external_id, first_name, last_name, email, mobile_phone, postal_address, language, country, birth_date,
           time_zone, blacklisted, blacklisted_<channel>, attributes.<name> for whatever else is known about a person
OPT_OUTS   email, mobile_phone, postal_address, or address for an email address or a number; channel or
           blacklisted, blacklisted_<channel>; service, date, reason. Other columns about people are not read.

A declared own field may also be called by its name or its label, in any language, where that is no name of the above.
Case, accents, blanks, hyphens and underscores in a header do not matter.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from profiles.addresses import search_text
from profiles.blacklist import FLAGS
from profiles.channels import Channel
from profiles.models import CustomField

from .words import refusal

EXTERNAL_ID, EMAIL = "external_id", "email"
NAMES = ("first_name", "last_name")
TEXTS = (*NAMES, "language", "country", "time_zone", "birth_date")
# The address columns; the other channels have no address in a file.
ADDRESSES: Mapping[str, Channel] = {
    EMAIL: Channel.EMAIL,
    "mobile_phone": Channel.SMS,
    "postal_address": Channel.DIRECT_MAIL,
}
FLAG_COLUMNS: Mapping[str, Channel | None] = {name: channel for channel, name in FLAGS.items()}
KNOWN = (EXTERNAL_ID, *NAMES, *ADDRESSES, "language", "country", "birth_date", "time_zone", *FLAG_COLUMNS)
ATTRIBUTE = "attributes."
MAX_COLUMNS = 200
ADDRESS, CHANNEL, SERVICE, DATE, REASON = "address", "channel", "service", "date", "reason"

_ALIASES = {
    EXTERNAL_ID: ("identifiant", "id", "id_externe", "reference", "ref"),
    "first_name": ("firstname", "prenom"),
    "last_name": ("lastname", "surname", "nom", "nom_de_famille"),
    EMAIL: ("e_mail", "mail", "email_address", "e_mail_address", "courriel", "adresse_e_mail", "adresse_email",
            "adresse_electronique", "adresse_mail"),
    "mobile_phone": ("mobile", "mobile_number", "sms", "portable", "telephone_portable", "telephone_mobile"),
    "postal_address": ("address", "adresse", "adresse_postale"),
    "language": ("langue",),
    "country": ("pays",),
    "birth_date": ("birthdate", "birthday", "date_of_birth", "date_de_naissance", "naissance"),
    "time_zone": ("timezone", "fuseau", "fuseau_horaire"),
    "blacklisted": ("ne_plus_contacter",),
    "blacklisted_email": ("ne_plus_contacter_par_e_mail", "ne_plus_contacter_par_email",
                          "ne_plus_contacter_par_courriel"),
    "blacklisted_sms": ("ne_plus_contacter_par_sms",),
    "blacklisted_push": ("ne_plus_contacter_par_notification",),
    "blacklisted_direct_mail": ("ne_plus_contacter_par_courrier",),
    "blacklisted_phone": ("ne_plus_contacter_par_telephone",),
}  # fmt: skip
_OPT_OUT_ALIASES = {
    ADDRESS: ("adresse", "contact", "email_ou_mobile", "email_or_mobile"),
    CHANNEL: ("scope", "canal", "portee"),
    SERVICE: ("list", "liste", "newsletter", "lettre", "lettre_d_information", "abonnement", "subscription"),
    DATE: ("date_of_opt_out", "opt_out_date", "opted_out_at", "opted_out_on", "unsubscribed_at", "unsubscribe_date",
           "unsub_time", "optout_time", "date_d_opposition", "date_de_desinscription", "date_de_desabonnement",
           "desinscription", "desinscrit_le", "desabonne_le"),
    REASON: ("raison", "motif", "comment", "commentaire", "unsub_reason", "unsubscribe_reason"),
}  # fmt: skip


def aliased(names: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return what columns may be called: the name of the column."""
    return {alias: name for name, aliases in names.items() for alias in (name, *aliases)}


@dataclass(frozen=True, slots=True)
class Table:
    """What a file may hold: its columns, those of which it needs one, and whether there may be own fields besides."""

    by_alias: Mapping[str, str]
    known: tuple[str, ...]
    needs: tuple[str, ...]
    needless: str  # the refusal of a file that has none of them
    unknown: str  # the refusal of a file that has no column at all that is known
    attributes: bool = True


PEOPLE = Table(aliased(_ALIASES), KNOWN, (EXTERNAL_ID, EMAIL), "no_identity", "no_known_column")
OPT_OUTS = Table(
    {**aliased(_ALIASES), **aliased(_OPT_OUT_ALIASES)},
    (*ADDRESSES, ADDRESS, CHANNEL, *FLAG_COLUMNS, SERVICE, DATE, REASON, "country"),
    (*ADDRESSES, ADDRESS),
    "no_address_column",
    "no_opt_out_column",
)
_ATTRIBUTE = re.compile(r"(?:attributes?|attributs?)\.(.*)", re.IGNORECASE | re.DOTALL)
_ATTRIBUTE_NAME = re.compile(r"[\w-]{1,50}")

Columns = tuple[str, ...]
Headings = Mapping[str, str]  # of own fields, as they are compared: the name of the field


def own_headings(declared: Collection[CustomField]) -> Headings:
    """Return what the columns of own fields may be called: their names, before their labels.

    What two fields are called means neither of them: `attributes.<name>` tells them apart.
    """
    names = {field.name: [field.name] for field in declared}
    labels = {field.name: list(field.label.values()) for field in declared}
    return _unambiguous(labels) | _unambiguous(names) | {name: name for name in names}


def _unambiguous(called: Mapping[str, Iterable[str]]) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for name, texts in called.items():
        for text in texts:
            found.setdefault(_heading(text), set()).add(name)
    return {heading: names.pop() for heading, names in found.items() if heading and len(names) == 1}


def read_header(cells: Iterable[str], table: Table = PEOPLE, own: Headings | None = None) -> Columns:
    """Return the name of each column. Raise ImportRefused for one that is unknown, unnamed or there twice."""
    titles = [unicodedata.normalize("NFC", cell.strip(" \t\r\n\ufeff\u00a0")) for cell in cells]
    while titles and not titles[-1]:
        titles.pop()
    if not titles:
        raise refusal("empty")
    if len(titles) > MAX_COLUMNS:
        raise refusal("too_many_columns", limit=MAX_COLUMNS)
    names = [_name(title, table, own or {}) for title in titles]
    if not any(names):
        raise refusal(table.unknown, value=titles[0][:100])
    for position, (title, name) in enumerate(zip(titles, names, strict=True), 1):
        if not title:
            raise refusal("unnamed_column", position=position)
        if name is None:
            code = "bad_attribute" if table.attributes and _ATTRIBUTE.match(title) else "unknown_column"
            raise refusal(code, position=position, value=title[:100], known=_known(table))
        if name in names[: position - 1]:
            raise refusal("duplicate_column", position=position, value=title[:100])
    if not any(name in names for name in table.needs):
        raise refusal(table.needless)
    return tuple(name for name in names if name)


def _known(table: Table) -> str:
    return ", ".join((*table.known, *[ATTRIBUTE + "…"] * table.attributes))


def _name(title: str, table: Table, own: Headings) -> str | None:
    if table.attributes and (found := _ATTRIBUTE.match(title)):
        return ATTRIBUTE + found[1] if _ATTRIBUTE_NAME.fullmatch(found[1]) else None
    if known := table.by_alias.get(plain(title)):
        return known
    field = own.get(title) or own.get(_heading(title))
    return ATTRIBUTE + field if field else None


def _heading(text: str) -> str:
    """Return the heading of an own field as it is compared; it may be in letters that `plain` does not know."""
    return plain(text) or text.strip().casefold()


def plain(text: str) -> str:
    """Return a word as it is compared: without case, accents, blanks, hyphens."""
    return "_".join(re.findall(r"[a-z0-9]+", search_text(text)))
