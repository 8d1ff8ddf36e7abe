"""What notices of mail systems look like where no machine-readable report is with them.

Two tables: phrases by which a notice is known, and patterns of the lines that name whom it is about. They are read by
`texts`. Phrases are compared after quarantine.phrases.fold.
"""

import re

from ..phrases import fold, folded, holds

# What only a mail system writes, at the beginning of what it writes.
OPENINGS = folded("""
    returned because it encountered an error | delivery of email to this address | delivery of mail to this address
    has been postponed | message from interscan | your message was addressed | you sent mail to
    this is the mail system at host | this is the postfix program at host | this is the qmail | qmail-send program
    mail system at host | this is the mailer-daemon | this is the james mail server | this is the mail delivery agent
    this is the dragonfly mail agent | this is the machine generated message | this is the deliver program at
    this is the email server at | this is the mail server | hello, this is the mail server on | mail delivery agent at
    this is a delivery status notification | automatically generated delivery status notification
    automatically generated delivery status | this is an automatically generated
    this message was created automatically by
    message was created automatically | a message that you sent could not be delivered | mail delivery software
    a message you sent could not be delivered | message that you sent has not
    message that you sent was undeliverable
    the message that you sent | you sent to the following | i'm sorry to have to inform you | i'm afraid i wasn't able
    i was not able to deliver | i was unable to deliver | unable to deliver your message | unable to deliver message
    unable to deliver mail | unable to deliver the | unable to deliver to | were unable to deliver
    was unable to deliver
    been unable to deliver | not able to be delivered | wasn't able to deliver | not been able to deliver
    did not reach some or all of the intended | did not reach the following recipient | did not reach one or more
    could not be delivered | couldn't be delivered | cannot be delivered | can not be delivered | could not deliver
    couldn't deliver | can't be delivered | not be delivered | was not delivered | were not delivered
    not delivered to
    not been delivered | wasn't delivered | was undeliverable | is undeliverable | undeliverable mail
    undeliverable to
    undeliverable address | undeliverable message | undelivered | non-deliverable | nondeliverable | message non-deliv
    delivery to the following | delivery has failed | delivery failed | delivery failure | delivery of your message
    delivery of this message | delivery attempts | failed delivery | failed to deliver | failed recipient
    failed addresses
    delivery status notif | did not receive a copy | has encountered delivery problems | had trouble delivering
    had delivery errors | had delivery problems | had permanent fatal errors | had fatal errors | had transient
    had permanent delivery errors | error delivering your mail | attempting to deliver | error while delivering
    message delivery error | following address failed | following addresses failed | following address(es) failed
    the following address | following recipient | following addresses | following destination | failure reasons
    unsuccessfully delivered | transcript of session follows | transcript of the session
    reported the following error
    rejected your message | message was rejected | message has been rejected | message was returned
    returned to sender
    returning message | returned message | your message was not | mail was not | your message has been blocked
    each of the following recipients was rejected | was not accepted
    the message you sent to | your message to | message to the following | this report relates to a message you sent
    message delivery has been delayed | has not yet been delivered | delivery is delayed | been delayed
    this is a warning message | delayed by | message has not been delivered | could not send your message
    your message could not | your mail could not | the email you sent | the message you sent | sent an email to
    diagnostic information for administrators | generating server | reporting mta | recipient address
    server message | addressed to | error description | mail could not | your mail to | your mail sent on
    n'a pas pu etre | n'a pu etre | n'ont pas pu | n'a pas ete | impossible de remettre | non remis
    echec de la remise
    pas pu etre | impossible de delivrer | impossible d'acheminer | retour de votre | n'est pas parvenu | echec de
    votre message n | ce message a ete genere automatiquement | ce message a ete cree automatiquement
    konnte nicht | konnten nicht | nicht zugestellt | unzustellbar | fehler bei der nachrichten | nicht ubermittelt
    wurde nicht | kann nicht zugestellt | ihre nachricht | zustellung | nicht ausgeliefert
    diese nachricht wurde automatisch
    no se pudo | no ha podido | no se puede | no pudo ser | no ha sido | no se ha podido | no fue entregado
    error en la entrega
    no pudo entregar | imposible entregar | su mensaje | non e stato | impossibile | non e possibile | non consegn
    e stato rilevato un errore | avviso di mancata | il messaggio | il suo messaggio | errore di consegna
    nao foi possivel | nao pode ser | nao foi entregue
    nao pude
    sua mensagem | a mensagem | nao foi | nao entregue | kon niet | niet worden | niet afgeleverd | kan niet
    nie mogla | nie zostala | nie mozna | nie udalo | nie mogl | wiadomosc | nelze | nebyla | nemohla | nepodarilo
    не может быть | не было доставлено | не доставлено | не удалось | ваше сообщение | ваше письмо | невозможно
    не смогли доставить | не могло быть | это письмо создано автоматически | kunde inte | kunne ikke | ei voitu
    toimit
    iletiniz | teslim edilemedi | nem sikerult | nu a putut | δεν ηταν δυνατ | δεν παραδ
    无法投递 | 无法发送 | 无法送达 | 投递失败 | 退信 | 发送失败 | 未能送达 | 无法传递 | 未送达 | 很抱歉 | 系统退信
    无法到达 | 您的邮件 | 被退回
    無法投遞 | 無法傳送 | 無法送達 | 您的郵件 | 傳送失敗 | 傳遞失敗 | 退回 | 送信できません | 配信できません
    送信に失敗 | 配信に失敗 | 届けることができ
    送信されません | お届けできません | 送れません | 配送でき | 送信出来ません | 配達でき | エラーのため
    見つかりません | 送信できな | 配信できな
    전송되지 | 전달되지 | 배달하지 | 보내지 못 | 발송에 실패 | 전송에 실패 | 전송할 수 없 | 배달할 수 없
    전달할 수 없 | 반송 | 수신자
""")

# What is said where nothing else is: enough in a message of a mail system only.
REASONS = tuple(fold(phrase) for phrase in (
    "mailbox is full", "mailbox full", "full mailbox",
    "user unknown", "unknown user", "over quota", "quota exceeded", "no such user",
    "permanent failure", "permanent error", "fatal error", "550 ", "554 ", "552 ", "5.1.1", "rcpt to", "does not exist",
    "not found", "host unknown", "unknown host", "rejected", "timed out", "expired", "不存在", "已满", "不明",
))  # fmt: skip

# Before an address, on its line: the format names whom it is about, and nobody else.
PLAIN = folded("""
    recipient | recipient's | recipients | recipient address | recipient name | recipient's address
    undeliverable address
    undeliverable to | failed address | addressed to | error-for | invalid final delivery userid | unknown user
    unknown host | unknown local user | user's mailbox is full | user mailbox exceeds allowed size | attempts
    not delivered to | delivering your mail to | deliver to | deliver your message to | deliver message to
    deliver the message to | deliver this message to | deliver mail to | deliver your mail to | deliver email to
    delivered to | failed recipient | failed recipients | rejected recipient | mailbox full | final recipient
""")
# Before an address: it may be meant, or be that of somebody to ask.
LABELS = PLAIN + folded("""
    rcpt | rcpt to | failed rcpt | user unknown | user not found | no such user | undelivered to | recipient rejected
    mail address | mailbox | user | address | email | e-mail | to | destinataire | empfanger | destinatario
    destinatari
    utente | odbiorca | adresat | adresata | ontvanger | mottagare | prijemce | получатель | адресат | адрес
    адресату
    收件人 | 收件人地址 | 收信人 | 宛先 | 受信者 | あて先 | 수신자 | 받는 사람 | 받는사람
    til | till | an | a | para | pour | per | do | dla | pro | voor | naar | uzytkownika | indirizzo | adresse
""")
_PUNCTUATION = " \t:：=>\"'<(["

# In a line, after which a list of addresses comes.
_LISTS = folded("""
    following address | following recipient | following e-mail address | following email address | following user
    following destination | following mailbox | following people | following person | following original recipient
    follow: | recipient or | recipients or | recipient was | recipients was | recipient were | recipients were
    recipient of | recipients of | failed addresses | failed recipient | recipients failed | intended recipient
    was not delivered | not deliver | did not reach | did not receive | undeliverable | undelivered | could not be
    couldn't be | cannot be delivered | has not yet been delivered | these recipients | unable to deliver
    failure reasons | list of | the following | to the following | destinataire | empfanger | destinatari | ontvanger
    odbiorc | adresat | prijemc | mottagar | modtager | vastaanottaj | alıcı | получател | адрес | 收件人 | 收信人
    宛先
    受信者 | あて先 | 次の | 以下 | 下列 | 수신자 | 받는 사람 | παραλ
""")
_LISTS_END = ("delivered to", "deliver to", "delivery to", "mail to", "message to", "addressed to", "your message",
              "recipient(s)", "recipients", "failed")  # fmt: skip

# A line, folded, after which a list is over.
OVER = re.compile(
    r"[-=_*#]{3,}.{0,40}(transcript|message|copy|header|information|text|original|session|end|details?)"
    r"|diagnostic information|generating server|original message|message headers|your message reads|for (more|further)"
    r"|please (contact|note)|reporting-mta|the following recipients? (were|was) (succ|deliv)|technical details|if you"
)
# Before an address, folded: it is that of somebody to ask, or to write to instead.
ASKED = re.compile(
    r"(?:(?<!not )(?<!unable to )\bcontact\b|\bplease (?:send|forward|write|e-?mail|mail|call|report|reply|notify|use"
    r"|try)\b|\bsend (?:an |this |your )?(?:e-?mail|mail|question|comment|request)s? to\b"
    r"|\btry (?:e-?mailing|writing)\b"
    r"|\b(?:questions|assistance|help)\b[^.]{0,30}\bto\b|kontaktieren sie|wenden sie sich"
    r"|contacte[rz]?\b|adressez-vous|contattare|rivolgersi|联系|聯絡|连络|問い合わせ|連絡先|문의|обратитесь|обращайтесь)[^.:]{0,60}$"
)
# Before an address, folded: it is that of who wrote.
WRITER = re.compile(
    r"\b(?:mail|mails|message|messages|sent|accepted|submitted|receiving|received) (?:from|by):?[ <(\"']*$"
)
# Before an address in an X.400 name, as Exchange and Lotus Notes write it (RFC 2156 section 4.1).
X400 = re.compile(r"(?i)\bc=[a-z]{2} ?;[^@]{0,200}$|\bdda:[a-z0-9-]{0,12}=?$")
# An answer in a transcript of SMTP, in small letters.
ANSWER = re.compile(r"^\W{0,6}(smtp;? ?)?[45]\d\d[ -]|<<< |reason: |said:|responded|#5\.|#4\.|[45]\.\d\.\d")
COMMAND = re.compile(r"(?i)rcpt[ _]to ?: ?<?[^\s<>]{0,64}$|rcpt[ _]to[: ]{0,3}<?$")


def is_label(before: str, phrases: tuple[str, ...]) -> bool:
    """Say whether what stands before an address, folded, ends with one of the phrases as a word of its own."""
    bare = before.removesuffix("(s)").rstrip(_PUNCTUATION).removesuffix("(s)").rstrip()
    for phrase in phrases:
        if bare.endswith(phrase):
            left = bare[: -len(phrase)]
            if not left or not (left[-1].isalnum() and phrase.isascii()):
                return True
    return False


def begins_list(line: str) -> bool:
    """Say whether addresses follow a line, which is folded."""
    return holds(line, _LISTS) or line.rstrip(": ").endswith(_LISTS_END)
