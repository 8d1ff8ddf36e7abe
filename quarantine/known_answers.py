"""Answers of well-known mail systems, to try an own rule on: what it would change that is understood already.

Each is what a server says as a rule, from its own documentation or source; places of one message are made up.
"""

from collections.abc import Sequence

KNOWN: Sequence[str] = (
    # support.google.com/a/answer/3726730
    "550 5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient's"
    " email address for typos or unnecessary spaces.",
    "550 5.2.1 The email account that you tried to reach is disabled.",
    "452 4.2.2 The recipient's inbox is out of storage space and inactive.",
    "552 5.2.2 The recipient's inbox is out of storage space and inactive.",
    "550 5.7.1 Our system has detected that this message is likely unsolicited mail.",
    "550 5.7.26 This mail has been blocked because the sender is unauthenticated.",
    "421 4.7.28 Our system has detected an unusual rate of unsolicited mail originating from your IP address.",
    "550 5.4.5 Daily user sending limit exceeded.",
    # learn.microsoft.com, non-delivery reports in Exchange Online
    "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
    "550 5.4.1 Recipient address rejected: Access denied.",
    "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException",
    "550 5.7.1 Service unavailable, Client host [192.0.2.1] blocked using Spamhaus.",
    "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required",
    # senders.yahooinc.com/smtp-error-codes
    "554 delivery error: dd This user doesn't have a yahoo.com account",
    "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints",
    # Postfix, Exim, Sendmail, qmail
    "550 5.1.1 <somebody@example.org>: Recipient address rejected: User unknown in virtual mailbox table",
    "554 5.7.1 <somebody@example.org>: Relay access denied",
    "450 4.2.0 <somebody@example.org>: Recipient address rejected: Greylisted",
    "550 Unrouteable address",
    "553 5.3.0 No such user here",
    "511 sorry, no mailbox here by that name (#5.1.1 - chkuser)",
    "552 5.3.4 Message size exceeds fixed limit",
    "451 4.3.0 Temporary lookup failure",
    "550 5.1.2 Host unknown (Name server: host not found)",
    "556 5.1.10 Recipient address has null MX",
    # Orange, Free, GMX
    "550 5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient.",
    "550 5.7.1 Mail rejete. Mail rejected.",
    "550 Requested action not taken: mailbox unavailable",
)
