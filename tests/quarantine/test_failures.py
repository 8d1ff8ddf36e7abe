"""What answers mean: real ones, as the receiving sides write them."""

import time

import pytest

from quarantine.failures import Failure, Fault, Kind, Rule, classify
from quarantine.models import Reason

H, S, I = Kind.HARD, Kind.SOFT, Kind.IGNORED  # noqa: E741 (a column of a table)
ADDRESS, DOMAIN, SENDER = Fault.ADDRESS, Fault.DOMAIN, Fault.SENDER
UNKNOWN, NO_DOMAIN, CLOSED = Reason.USER_UNKNOWN, Reason.INVALID_DOMAIN, Reason.ACCOUNT_DISABLED
FULL, AWAY, REFUSED, UNDEFINED = Reason.MAILBOX_FULL, Reason.UNREACHABLE, Reason.REFUSED, Reason.NOT_DEFINED

GMAIL = [
    (550, "5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient's "
     "email address for typos or unnecessary spaces.", H, UNKNOWN, ADDRESS),
    (550, "5.2.1 The email account that you tried to reach is disabled.", H, CLOSED, ADDRESS),
    (550, "5.2.1 The email account that you tried to reach is inactive.", H, CLOSED, ADDRESS),
    (550, "5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from "
     "being delivered.", I, REFUSED, ADDRESS),
    (450, "4.2.1 The user you are trying to contact is receiving mail too quickly.", I, REFUSED, ADDRESS),
    (452, "4.2.2 The email account that you tried to reach is over quota.", S, FULL, ADDRESS),
    (552, "5.2.2 The recipient's inbox is out of storage space.", S, FULL, ADDRESS),
    (421, "4.7.0 [192.0.2.1] Our system has detected an unusual rate of unsolicited mail originating from your IP "
     "address.", I, REFUSED, DOMAIN),
    (421, "4.7.28 Gmail has detected an unusual rate of mail.", I, REFUSED, DOMAIN),
    (421, "4.7.26 This mail has been rate limited because it is unauthenticated.", I, REFUSED, DOMAIN),
    (550, "5.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address.",
     I, REFUSED, DOMAIN),
    (550, "5.7.1 [192.0.2.1 19] Gmail has detected that this message is likely suspicious due to the very low "
     "reputation of the sending IP address.", I, REFUSED, DOMAIN),
    (550, "5.7.1 [192.0.2.1 12] Our system has detected that this message is likely unsolicited mail. To reduce the "
     "amount of spam sent to Gmail, this message has been blocked.", I, REFUSED, SENDER),
    (550, "5.7.26 This mail has been blocked because the sender is unauthenticated.", I, REFUSED, SENDER),
    (550, "5.7.25 The IP address sending this message does not have a PTR record setup.", I, REFUSED, SENDER),
    (550, "5.7.27 Your email has been blocked because SPF did not pass.", I, REFUSED, SENDER),
    (552, "5.7.0 This message was blocked because its content presents a potential security issue.",
     I, REFUSED, SENDER),
    (552, "5.3.4 Your message exceeded Google's message size limits.", I, REFUSED, SENDER),
    (550, "5.4.5 Daily user sending quota exceeded.", I, REFUSED, SENDER),
    (530, "5.7.0 Must issue a STARTTLS command first.", I, REFUSED, SENDER),
    (535, "5.7.8 Username and Password not accepted.", I, REFUSED, SENDER),
    (555, "5.5.2 Syntax error, cannot decode response.", I, REFUSED, SENDER),
]  # fmt: skip
MICROSOFT = [
    (550, "5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", H, UNKNOWN, ADDRESS),
    (550, "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient a@b.example not found by SMTP address lookup",
     H, UNKNOWN, ADDRESS),
    (550, "5.4.1 Recipient address rejected: Access denied. AS(201806281)", H, UNKNOWN, ADDRESS),
    (550, "5.4.310 DNS domain b.example does not exist [Message=InfoDomainNonexistent]", H, NO_DOMAIN, ADDRESS),
    (554, "5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException", S, FULL, ADDRESS),
    (550, "5.4.300 Message expired -> 451 4.4.0 DNS query failed", S, AWAY, ADDRESS),
    (550, "5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication of sender for group",
     I, REFUSED, ADDRESS),
    (550, "5.7.515 Access denied, sending domain B.EXAMPLE does not meet the required authentication level.",
     I, REFUSED, SENDER),
    (550, "5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM", I, REFUSED, SENDER),
    (550, "5.7.64 TenantAttribution; Relay Access Denied", I, REFUSED, SENDER),
    (550, "5.1.8 Access denied, bad outbound sender. AS(42004)", I, REFUSED, SENDER),
    (550, "5.7.705 Access denied, tenant has exceeded threshold.", I, REFUSED, SENDER),
    (550, "5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider "
     "since part of their network is on our block list (S3140).", I, REFUSED, DOMAIN),
    (550, "5.7.606 Access denied, banned sending IP [192.0.2.1].", I, REFUSED, DOMAIN),
    (550, "5.7.511 Access denied, banned sender[192.0.2.1].", I, REFUSED, DOMAIN),
    (550, "5.7.708 Service unavailable. Access denied, traffic not accepted from this IP.", I, REFUSED, DOMAIN),
    (451, "4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.",
     I, REFUSED, DOMAIN),
    (451, "4.7.500 Server busy. Please try again later from [192.0.2.1]. (AS77712214)", I, REFUSED, DOMAIN),
    (421, "RP-001 (BL2-004) Unfortunately, some messages from 192.0.2.1 weren't sent. The mail server IP connecting to "
     "Outlook.com server has exceeded the rate limit allowed.", I, REFUSED, DOMAIN),
]  # fmt: skip
YAHOO = [
    (554, "delivery error: dd This user doesn't have a yahoo.com account (a@yahoo.com) [0] - mta1.example",
     H, UNKNOWN, ADDRESS),
    (552, "1 Requested mail action aborted, mailbox not found", H, UNKNOWN, ADDRESS),
    (554, "30 Sorry, your message to a@yahoo.com cannot be delivered. This mailbox is disabled (554.30).",
     H, CLOSED, ADDRESS),
    (421, "4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - "
     "4.16.55.1; see https://postmaster.yahooinc.com/error-codes", I, REFUSED, DOMAIN),
    (553, "5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list",
     I, REFUSED, DOMAIN),
    (554, "5.7.9 Message not accepted for policy reasons.", I, REFUSED, SENDER),
]  # fmt: skip
ORANGE_AND_FREE = [
    (550, "5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR204_416 [416]",
     H, UNKNOWN, ADDRESS),
    (552, "Boite du destinataire pleine. Recipient overquota. OFR_417 [417]", S, FULL, ADDRESS),
    (550, "Boite du destinataire archivee. Archived recipient. OFR_415 [415]", H, CLOSED, ADDRESS),
    (550, "5.2.0 Mail rejete. Mail rejected. OFR_506 [506]", I, REFUSED, SENDER),
    (554, "Adresse IP source bloquee pour incident de spam. Client host blocked for spamming issues. OFR006_102",
     I, REFUSED, DOMAIN),
    (421, "Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. OFR004_104",
     I, REFUSED, DOMAIN),
    (421, "Service refuse. Veuillez essayer plus tard. Service refused, please try later. OFR_108", I, REFUSED, DOMAIN),
    (550, "5.2.1 This mailbox has been blocked due to inactivity", H, CLOSED, ADDRESS),
    (550, "spam detected", I, REFUSED, SENDER),
    (421, "Too many spams from your IP (192.0.2.1), please visit http://postmaster.free.fr/", I, REFUSED, DOMAIN),
]  # fmt: skip
POSTFIX = [
    (550, "5.1.1 <a@b.example>: Recipient address rejected: User unknown in local recipient table",
     H, UNKNOWN, ADDRESS),
    (450, "4.1.1 <a@b.example>: Recipient address rejected: unverified address", S, AWAY, ADDRESS),
    (550, "5.1.2 <a@b.example>: Recipient address rejected: Domain not found", H, NO_DOMAIN, ADDRESS),
    (450, "4.1.2 <a@b.example>: Recipient address rejected: Domain not found", S, NO_DOMAIN, ADDRESS),
    (450, "4.2.0 <a@b.example>: Recipient address rejected: Greylisted", I, REFUSED, DOMAIN),
    (554, "5.7.1 <a@b.example>: Relay access denied", I, REFUSED, SENDER),
    (454, "4.7.1 <a@b.example>: Relay access denied", I, REFUSED, SENDER),
    (550, "5.1.8 <us@c.example>: Sender address rejected: Domain not found", I, REFUSED, SENDER),
    (450, "4.1.8 <us@c.example>: Sender address rejected: Domain not found", I, REFUSED, SENDER),
    (553, "5.7.1 <us@c.example>: Sender address rejected: not owned by user us", I, REFUSED, SENDER),
    (554, "5.7.1 Service unavailable; Client host [85.5.1.1] blocked using zen.spamhaus.org", I, REFUSED, DOMAIN),
    (504, "5.5.2 <mail>: Helo command rejected: need fully-qualified hostname", I, REFUSED, SENDER),
    (452, "4.3.1 Insufficient system storage", S, AWAY, ADDRESS),
    (451, "4.3.0 Error: queue file write error", S, AWAY, ADDRESS),
    (554, "5.4.6 Error: too many hops", I, REFUSED, ADDRESS),
    (421, "4.7.0 mx.example Error: too many connections from 192.0.2.1", I, REFUSED, DOMAIN),
]  # fmt: skip
EXIM = [
    (550, "Unrouteable address", H, UNKNOWN, ADDRESS),
    (550, "No such person at this address", H, UNKNOWN, ADDRESS),
    (550, "relay not permitted", I, REFUSED, SENDER),
    (550, "Sender verify failed", I, REFUSED, SENDER),
    (550, "Verification failed for <us@c.example>\nUnrouteable address", I, REFUSED, SENDER),
    (550, "Administrative prohibition", I, REFUSED, SENDER),
    (550, "This message was classified as SPAM and may not be delivered", I, REFUSED, SENDER),
    (550, "Rejected because 192.0.2.1 is in a black list at bl.spamcop.net", I, REFUSED, DOMAIN),
    (451, "Temporary local problem - please try later", S, AWAY, ADDRESS),
    (552, "Message size exceeds maximum permitted", I, REFUSED, SENDER),
]
ICLOUD_GMX_AND_QQ = [
    (550, "5.1.1 unknown or illegal alias: a@icloud.example", H, UNKNOWN, ADDRESS),
    (552, "5.2.2 <a@icloud.example>: user is over quota", S, FULL, ADDRESS),
    (554, "5.7.1 [HM08] Message rejected due to local policy.", I, REFUSED, SENDER),
    (550, "5.7.0 Blocked - see https://support.apple.com/en-us/HT204137 [CS01]", I, REFUSED, DOMAIN),
    (550, "Requested action not taken: mailbox unavailable", H, UNKNOWN, ADDRESS),
    (450, "Requested action not taken: mailbox unavailable", S, AWAY, ADDRESS),
    (552, "Requested mail action aborted: exceeded storage allocation. Quota exceeded", S, FULL, ADDRESS),
    (554, "Transaction failed. Reject due to policy restrictions. For explanation visit "
     "https://postmaster.gmx.net/en/error-messages?ip=192.0.2.1&c=hi", I, REFUSED, SENDER),
    (554, "gmx.net (mxgmx016) Nemesis ESMTP Service not available\nNo SMTP service\nIP address is black listed.",
     I, REFUSED, DOMAIN),
    (550, "Mailbox not found. http://service.mail.qq.com/cgi-bin/help", H, UNKNOWN, ADDRESS),
    (550, "Mail content denied. http://service.mail.qq.com/cgi-bin/help", I, REFUSED, SENDER),
    (550, "Ip frequency limited", I, REFUSED, DOMAIN),
    (550, "Connection frequency limited", I, REFUSED, DOMAIN),
    (550, "Suspected spam ip", I, REFUSED, DOMAIN),
    (550, "Mailbox unavailable or access denied", S, UNDEFINED, ADDRESS),
]  # fmt: skip
PLAIN = [
    (556, "Domain takes no mail", H, NO_DOMAIN, ADDRESS),
    (421, "Service closing transmission channel", S, AWAY, ADDRESS),
    (451, "4.7.1 Try again later", I, REFUSED, ADDRESS),
    (552, "5.2.3 Message length exceeds administrative limit", I, REFUSED, ADDRESS),
    (554, "Transaction failed", S, UNDEFINED, ADDRESS),
    (554, "refused by host 217.5.1.1", S, UNDEFINED, ADDRESS),
    (0, "4.4.7 Message expired", S, AWAY, ADDRESS),
    (0, "5.1.1 unknown", H, UNKNOWN, ADDRESS),
    (0, "", S, UNDEFINED, ADDRESS),
]
# Texts that come without a code, in notices for people.
LANGUAGES = [
    (0, "Utilisateur inconnu", H, UNKNOWN, ADDRESS),
    (0, "La boîte aux lettres du destinataire est pleine", S, FULL, ADDRESS),
    (0, "Der Empfänger ist unbekannt: unbekannter Benutzer", H, UNKNOWN, ADDRESS),
    (0, "Das Postfach ist voll", S, FULL, ADDRESS),
    (0, "Usuario desconocido", H, UNKNOWN, ADDRESS),
    (0, "El buzón está lleno", S, FULL, ADDRESS),
    (0, "Casella piena", S, FULL, ADDRESS),
    (0, "Usuário inexistente", H, UNKNOWN, ADDRESS),
    (0, "Skrzynka odbiorcy jest pełna", S, FULL, ADDRESS),
    (0, "Пользователь не найден", H, UNKNOWN, ADDRESS),
    (0, "Почтовый ящик переполнен", S, FULL, ADDRESS),
    (0, "收件人不存在", H, UNKNOWN, ADDRESS),
    (0, "收件人邮箱已满", S, FULL, ADDRESS),
    (0, "域名不存在", H, NO_DOMAIN, ADDRESS),
    (0, "ユーザーが見つかりません", H, UNKNOWN, ADDRESS),
    (0, "メールボックスの容量を超えました", S, FULL, ADDRESS),
    (0, "존재하지 않는 사용자입니다", H, UNKNOWN, ADDRESS),
    (0, "Votre message est trop volumineux", I, REFUSED, SENDER),
    (0, "垃圾邮件", I, REFUSED, SENDER),
]  # fmt: skip
# What the words say counts more than the codes beside them.
WORDS = [
    (550, "5.1.1 mailbox full", S, FULL, ADDRESS),
    (550, "5.7.1 No such user", H, UNKNOWN, ADDRESS),
    (554, "5.0.0 user unknown", H, UNKNOWN, ADDRESS),
    (550, "5.1.1 Message blocked as spam", I, REFUSED, DOMAIN),
    (554, "5.7.1 <a@b.example>: Recipient address rejected: Access denied", I, REFUSED, SENDER),
    (550, "5.1.1 <spam@blocked.example>: Recipient address rejected: User unknown", H, UNKNOWN, ADDRESS),
    (550, "host spamfilter.example said: 550 5.1.1 no such user", H, UNKNOWN, ADDRESS),
    (0, "Host or domain name not found. Name service error for name=b.example type=MX: Host not found, try again",
     S, AWAY, ADDRESS),
    (0, "Host or domain name not found. Name service error for name=b.example type=A: Host not found",
     H, NO_DOMAIN, ADDRESS),
    (550, "5.1.1 The email account 550-5.1.1 that you tried to reach does not exist", H, UNKNOWN, ADDRESS),
    (0, "all hosts have been failing for a long time (retry timeout exceeded)", S, AWAY, ADDRESS),
]  # fmt: skip
EVERY = [*LANGUAGES, *WORDS, *GMAIL, *MICROSOFT, *YAHOO, *ORANGE_AND_FREE, *POSTFIX, *EXIM, *ICLOUD_GMX_AND_QQ, *PLAIN]


@pytest.mark.parametrize(("code", "text", "kind", "reason", "fault"), EVERY)
def test_real_answers_are_told_apart(code: int, text: str, kind: Kind, reason: Reason, fault: Fault) -> None:
    assert classify(code, text) == Failure(kind, reason, fault)


@pytest.mark.parametrize("text", sorted({row[1] for row in EVERY}))
def test_what_is_temporary_is_never_hard(text: str) -> None:
    assert classify(451, text).kind != Kind.HARD


def test_only_an_address_can_be_at_fault_for_what_counts_against_it() -> None:
    for code, text, *_expected in EVERY:
        failure = classify(code, text)
        assert failure.fault == Fault.ADDRESS or failure.kind == Kind.IGNORED


def test_an_endless_answer_is_looked_at_in_no_time() -> None:
    began = time.process_time()
    for text in ("user " * 200_000, "4.7." * 200_000, "mailbox" + " a" * 500_000, "\0\r\n" * 300_000):
        classify(550, text)
        classify(450, text)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("words", "text", "fits"),
    [
        (("no such user",), "No  Such\r\nUser here", True),
        (("no", "user"), "no such user", True),
        (("user", "no"), "no such user", False),
        (("550 5.1.1", "user"), "5.1.1 no such user", True),
        (("a.c",), "abc", False),
        ((), "anything", False),
    ],
)
def test_an_own_rule_fits_what_holds_its_words_in_their_order(words: tuple[str, ...], text: str, fits: bool) -> None:
    own = Failure(S, FULL, ADDRESS)
    assert (classify(550, text, [Rule(words, own)]) == own) is fits


def test_own_rules_come_before_the_table_and_in_their_order() -> None:
    ours = Failure(I, REFUSED, SENDER)
    rules = [Rule(("unknown",), ours), Rule(("user unknown",), Failure(H, CLOSED, ADDRESS))]
    assert classify(550, "5.1.1 user unknown", rules) == ours
    assert classify(550, "5.1.1 no such user", rules) == Failure(H, UNKNOWN, ADDRESS)
