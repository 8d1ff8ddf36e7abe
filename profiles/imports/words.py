"""What an import says: codes are stored, words are chosen when somebody reads them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from profiles.addresses import Flaw
from profiles.errors import ImportRefused
from profiles.models import ImportJob

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise


@dataclass(frozen=True, slots=True)
class Words:
    """What is the matter, and what to do about it."""

    message: "_StrOrPromise"
    remedy: "_StrOrPromise"


_FLAWS: Mapping[str, "_StrOrPromise"] = {
    Flaw.EMAIL: _("This email address cannot be read."),
    Flaw.DISPLAY_NAME: _("This email address cannot be read."),
    Flaw.TOO_LONG: _("This email address cannot be read."),
    Flaw.PHONE_NO_COUNTRY: _("This phone number cannot be read."),
    Flaw.PHONE: _("This phone number cannot be read."),
}

_IF_IT_WORKS = _("Nothing to do. If it works again, release it in the addresses left out.")
_ONLY_WHO_ASKED = _("Nothing to do. Only the person, or an operator who writes down why, can have it written to again.")

NOTES: Mapping[str, Words] = {
    # The line as a whole.
    "nul": Words(_("This line holds a zero byte."), _("Remove it, or save the file again from where it comes.")),
    "quotes": Words(
        _("A quotation mark is in the wrong place, or a cell is much too long."),
        _("Put the whole cell between quotation marks and double those inside it."),
    ),
    "too_many_cells": Words(
        _("This line has more cells than the first line has columns."),
        _("Put cells that hold the delimiter between quotation marks."),
    ),
    "too_few_cells": Words(
        _("This line has fewer cells than the first line has columns."),
        _("Give each column its delimiter, also where the cell is empty."),
    ),
    "long_cell": Words(_("A cell of this line is much too long."), _("Shorten it, and check the quotation marks.")),
    "unreadable": Words(_("Some characters of this line cannot be read."), _("Save the file as CSV UTF-8.")),
    "no_address": Words(_("This line holds no address."), _("Give an email address or a mobile number.")),
    "nobody": Words(
        _("This line does not say who it is about."), _("Give an identifier (external_id) or an email address.")
    ),
    # A cell.
    "long_value": Words(_("This cell is too long."), _("Shorten it.")),
    "bad_language": Words(_("This is not a language code."), _("Write a code such as fr or en.")),
    "bad_country": Words(_("This is not a country code."), _("Write the code of two letters, such as FR or GB.")),
    "bad_date": Words(_("This date cannot be read."), _("Write the year, the month and the day, such as 1980-12-31.")),
    "bad_number": Words(_("This number cannot be read."), _("Write a number in digits, such as 1234.5.")),
    "bad_time_zone": Words(_("This time zone is not known."), _("Write its name, such as Europe/Paris.")),
    "bad_flag": Words(_("This is neither yes nor no."), _("Write yes or no, or leave the cell empty.")),
    "bad_channel": Words(_("This is not a channel."), _("Write email, sms, push, direct_mail, phone or all.")),
    "unknown_service": Words(_("There is no service of this name."), _("Write the name of a service, as in its list.")),
    "email_of_another": Words(
        _("This email address belongs to another profile than this identifier."),
        _("Correct the address or the identifier, or leave the address empty."),
    ),
    "known_as_another": Words(
        _("This email address belongs to a person who has another identifier."),
        _("Use the identifier that this person already has, or another address."),
    ),
    # Remarks: the line was applied.
    "lift_ignored": Words(
        _("This person does not want to be contacted: the file cannot change that."),
        _("Nothing to do. Only the person, or an operator who writes down why, can lift an opt-out."),
    ),
    "unsubscribed_before": Words(
        _("This person unsubscribed before: not subscribed again."),
        _("Nothing to do. The person can subscribe again on a public page."),
    ),
    "erased_opt_out": Words(
        _("An opt-out was kept for this address: this person is opted out."),
        _("Nothing to do. The person can opt in again on a public page."),
    ),
    "bad_opt_out_date": Words(
        _("This is not the date of an opt-out: it is kept as it is written."),
        _("Nothing to do. A date is read as year, month and day, such as 2024-03-02."),
    ),
    "cut_reason": Words(_("This reason is too long: only its beginning is kept."), _("Nothing to do.")),
    "no_opt_out": Words(
        _("This line asks for no opt-out: nothing was done."), _("Leave the cell empty, or write yes, to opt out.")
    ),
    "left_out": Words(_("This address is left out of every delivery."), _IF_IT_WORKS),
    "left_out_bounce": Words(_("Messages to this address came back: it is left out of every delivery."), _IF_IT_WORKS),
    "left_out_complaint": Words(
        _("Somebody complained about a message to this address: it is left out of every delivery."), _ONLY_WHO_ASKED
    ),
    "left_out_stop": Words(_("STOP was sent from this number: it is left out of every delivery."), _ONLY_WHO_ASKED),
    "left_out_person": Words(
        _("The person asked earlier for this address to be left out of every delivery."), _ONLY_WHO_ASKED
    ),
    "left_out_operator": Words(_("An operator has left this address out of every delivery."), _IF_IT_WORKS),
    "left_out_import": Words(_("This address was imported as one to leave out of every delivery."), _IF_IT_WORKS),
}

CODES = (*NOTES, *_FLAWS)

# The remarks of lines that would have opted somebody in again, or subscribed somebody who had left.
LIFTS = ("lift_ignored", "unsubscribed_before")
_PEOPLE_COUNTS = ("created", "updated", "unchanged", "errors", "warnings", "opted_out", "subscribed", "lifts_ignored")
# What the counts of a job mean where its file holds only opt-outs.
_OPT_OUT_COUNTS: Mapping[str, "_StrOrPromise"] = {
    "opted_out": _("people opted out"),
    "updated": _("lines that opted people out"),
    "created": _("kept for later: nobody has the address"),
    "unchanged": _("opted out already"),
}

REFUSALS: Mapping[str, "_StrOrPromise"] = {
    "missing": _("The file is no longer there. Upload it again."),
    "empty": _("The file is empty. Its first line must name the columns, such as: external_id,first_name,email."),
    "not_text": _("The file is a spreadsheet or an archive. Save it as CSV and try again."),
    "too_big": _("The file has more than %(limit)s bytes. Cut it into smaller ones."),
    "no_known_column": _(
        "The first line must name the columns, such as: external_id,first_name,email. This one begins with “%(value)s”."
    ),
    "unknown_column": _("Column %(position)s, “%(value)s”, is not known. Rename or remove it. Known: %(known)s."),
    "unnamed_column": _("Column %(position)s has no name in the first line. Name or remove it."),
    "duplicate_column": _("Column %(position)s, “%(value)s”, comes twice. Remove one of the two."),
    "bad_attribute": _(
        "Column %(position)s, “%(value)s”: after “attributes.” comes a name of at most 50 letters, digits, hyphens and"
        " underscores."
    ),
    "no_identity": _("There is neither a column external_id nor a column email: nobody could be recognised. Add one."),
    "no_opt_out_column": _(
        "The first line must name the columns, such as: email,date,reason. This one begins with “%(value)s”."
    ),
    "no_address_column": _("There is no column email, mobile_phone or address: nobody could be recognised. Add one."),
    "too_many_columns": _("The first line has more than %(limit)s columns. Remove those that are not needed."),
    "open_quote": _("Line %(line)s: a quotation mark opens a cell that does not end where it should. Close it."),
    "long_line": _("Line %(line)s is too long. Check its line breaks and quotation marks."),
    "no_provenance": _("Say where these people come from, and the lawful basis on which they may be written to."),
    "no_source": _("Say where these opt-outs come from."),
    "no_lines": _("The file names its columns but holds no people. Check that it is the right one."),
    "abandoned": _("Nobody went on with this import for %(days)s days: its file was deleted. Upload it again."),
    "database": _("The database refused person %(position)s of the file or one soon after. Those before are imported."),
}


def refusal(code: str, **details: str | int) -> ImportRefused:
    """Return the error that refuses a file, to be raised."""
    return ImportRefused(code, REFUSALS[code], details)


def packed(error: ImportRefused) -> str:
    """Return a refusal as it is stored in a job, without a language."""
    return json.dumps({"code": error.code, **error.details})


def unpacked(message: str) -> ImportRefused | None:
    """Return the refusal that a job stored, if any."""
    if not message:
        return None
    details = json.loads(message)
    return refusal(details.pop("code"), **details)


def note_words(code: str) -> Words:
    """Return the words of a note; a code of a former version comes back as itself."""
    if code in _FLAWS:
        return Words(_FLAWS[code], Flaw(code).remedy)
    return NOTES.get(code) or Words(code, "")


def count_words(job: ImportJob) -> dict[str, "_StrOrPromise"]:
    """Return what each count of a job means, in the order in which they are told."""
    if job.only_opt_outs:
        return {**_OPT_OUT_COUNTS, **{name: _name_of(name) for name in ("errors", "warnings", "lifts_ignored")}}
    return {name: _name_of(name) for name in _PEOPLE_COUNTS}


def _name_of(count: str) -> "_StrOrPromise":
    return getattr(ImportJob._meta.get_field(count), "verbose_name", count)
