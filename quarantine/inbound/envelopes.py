"""Tell who seems to have written a message: a mail system, a person, or a program on a person's behalf.

Nothing of it is proven. It only tells reports from letters that quote one, and from answers of programs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..phrases import fold
from . import addresses, subjects
from .decoding import decode_words

_FOLDED = 300  # characters of a subject or name that are read

# Who sends reports, by the part before the @ and by name.
_DAEMON = re.compile(
    r"(?:mail(er)?[._-]?(daemon|delivery|system|server|engine|router|gateway|admin|returned?|error)|mdaemon|post[._-]?"
    r"(master|office|man)|daemon|mailer|mmdf|uucp|ndr|dsn|double-bounce|bounces?|undeliver|return(s|ed)?[._-]?mail|smtp"
    r"|microsoftexchange|exchange|e?mail[._-]?admin(istrator)?|system[._-]?(admin|attendant)|mailmarshal|interscan|imss"
    r"|mail[._-]?delivery|delivery|non-?delivery|mta|symantec|scanner|mimedefang|antispam|mail-?scan(ner)?"
    r"|[\w.-]*mailer-daemon|[\w-]*postmaster)(?:[0-9a-f]+|[._+=-].*)?"
)
_NEVER_A_PERSON = re.compile(r"mail(er)?[._-]?daemon|mdaemon|microsoftexchange|double-bounce")
_DAEMON_NAME = re.compile(
    r"mail(er)?[ -]?(daemon|deliver|system|subsystem|server|engine|router|admin)|postmaster|post master|daemon|delivery"
    r" (sub ?)?system|system administrator|mail transport|message (router|transfer|transport)|returned mail|undeliver"
    r"|delivery (status|notif|fail|report|agent|system)|microsoft (outlook|exchange)|internet mail|mdaemon"
    r"|administrateur systeme|systemadministrator|amministratore (di )?sistema|administrador d(o|el) sistema"
    r"|メール配信|システム管理者|系统管理员|邮件系统|退信|郵件系統|mail service|e-?mail (engine|gateway|server)"
    r"|groupwise|mailmarshal|interscan|mailsweeper|sistema de correo|почтов|mail not delivered"
)
_AUTOMATIC = re.compile(
    r"(no|do-?not)[._-]?reply|system|admin(istrator)?|root|webmaster|hostmaster|support|mail|email|info|noc|alerts?"
    r"|notif\w*|helpdesk|abuse|server|auto\w*|staff|request|.*-(bounces?|request|owner|admin)|owner-.*"
)
_REPLY = re.compile(
    r"(re|fw|fwd|aw|wg|antw|antwort|sv|vs|vl|tr|rv|ref|res|enc|ynt|odp|pd|r|i|回复|回覆|转发|轉寄|答复|返信|转寄|ответ)"
    r" ?(\[\d+\]|\(\d+\)|\d)? ?[:：]"
)
# Programs that people write with; those of mail systems have other names.
_WRITTEN_WITH = re.compile(
    r"outlook|thunderbird|mozilla|apple mail|iphone|ipad|eudora|mutt|pine\b|evolution|kmail|gnus|the bat|foxmail|claws"
    r"|sylpheed|roundcube|squirrelmail|horde|zimbra|openwave|airmail|postbox|becky|mutt|sparrow|nine|k-9|android|vm\b|mh\b"
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the headers of a message say of who wrote it."""

    subject: str  # folded
    is_daemon: bool  # a mail system by its address
    is_called_daemon: bool  # by its name, which anybody can choose
    is_null: bool  # with the empty return path of RFC 5321 section 4.5.5
    is_program: bool  # no person by its address
    is_reply: bool  # by its subject
    is_letter: bool  # answers or passes on, or was written with a program of people
    is_about_failure: bool  # by its subject


def read(headers: Mapping[str, str]) -> Envelope:
    """Read the headers of a message."""
    sender = decode_words(headers.get("from", ""))[:_FOLDED]
    address = next(addresses.find(sender), "")
    local = address.partition("@")[0].lower() or sender.strip(' <>"').lower()
    name = fold(sender.partition("<")[0]) if address else fold(sender)
    subject = fold(decode_words(headers.get("subject", ""))[:_FOLDED])
    is_reply = _REPLY.match(subject) is not None
    path = headers.get("return-path", "x").strip()
    is_daemon = _DAEMON.fullmatch(local) is not None or sender.strip() == "<>"
    is_daemon = is_daemon or "errore" in headers.get("x-ricevuta", "").lower()  # certified mail: RFC 6109 section 3.1.5
    is_called_daemon = is_daemon or _DAEMON_NAME.search(name) is not None
    with_program = headers.get("user-agent", "") or headers.get("x-mailer", "") or headers.get("x-newsreader", "")
    is_written = "in-reply-to" in headers or _WRITTEN_WITH.search(with_program.lower()) is not None
    is_letter = (is_reply and _NEVER_A_PERSON.match(local) is None) or (is_written and not is_called_daemon)
    return Envelope(
        subject,
        is_daemon,
        is_called_daemon,
        path in ("<>", "", "< >", "<<>>") or path.upper().startswith("<MAILER-DAEMON"),
        not local or _AUTOMATIC.fullmatch(local) is not None or headers.get("auto-submitted", "").startswith("auto"),
        is_reply,
        is_letter,
        not is_reply and subjects.says(subject, subjects.FAILURE),
    )
