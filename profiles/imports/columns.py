"""The columns of a file of people: their names, in any order, and what else they may be called.

external_id, first_name, last_name, email, mobile_phone, postal_address, language, country, birth_date, time_zone,
blacklisted, blacklisted_<channel>, and attributes.<name> for whatever else is known about a person.
Case, accents, blanks, hyphens and underscores in a header do not matter.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping

from profiles.addresses import search_text
from profiles.blacklist import FLAGS
from profiles.channels import Channel

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
_BY_ALIAS = {alias: name for name, aliases in _ALIASES.items() for alias in (name, *aliases)}
_ATTRIBUTE = re.compile(r"(?:attributes?|attributs?)\.(.*)", re.IGNORECASE | re.DOTALL)
_ATTRIBUTE_NAME = re.compile(r"[\w-]{1,50}")

Columns = tuple[str, ...]


def read_header(cells: Iterable[str]) -> Columns:
    """Return the name of each column. Raise ImportRefused for one that is unknown, unnamed or there twice."""
    titles = [unicodedata.normalize("NFC", cell.strip(" \t\r\n\ufeff\u00a0")) for cell in cells]
    while titles and not titles[-1]:
        titles.pop()
    if not titles:
        raise refusal("empty")
    if len(titles) > MAX_COLUMNS:
        raise refusal("too_many_columns", limit=MAX_COLUMNS)
    names = [_name(title) for title in titles]
    if not any(names):
        raise refusal("no_known_column", value=titles[0][:100])
    for position, (title, name) in enumerate(zip(titles, names, strict=True), 1):
        if not title:
            raise refusal("unnamed_column", position=position)
        if name is None:
            code = "bad_attribute" if _ATTRIBUTE.match(title) else "unknown_column"
            raise refusal(code, position=position, value=title[:100], known=", ".join((*KNOWN, ATTRIBUTE + "…")))
        if name in names[: position - 1]:
            raise refusal("duplicate_column", position=position, value=title[:100])
    if EXTERNAL_ID not in names and EMAIL not in names:
        raise refusal("no_identity")
    return tuple(name for name in names if name)


def _name(title: str) -> str | None:
    if found := _ATTRIBUTE.match(title):
        return ATTRIBUTE + found[1] if _ATTRIBUTE_NAME.fullmatch(found[1]) else None
    return _BY_ALIAS.get("_".join(re.findall(r"[a-z0-9]+", search_text(title))))
