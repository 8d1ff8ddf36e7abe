"""Tell who seems to have written a message: a mail system, a person, or a program on a person's behalf.

Nothing of it is proven. It only tells reports from letters that quote one, and from answers of programs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..phrases import fold
from . import addresses
from .decoding import decode_words

_FOLDED = 300  # characters of a subject or name that are read

# Who sends reports, by the part before the @ and by name.
_DAEMON = re.compile(
    r"mail(er)?[._-]?(daemon|delivery|system|server|engine|router|gateway|admin|returned?|error)|mdaemon|post[._-]?"
    r"(master|office|man)|daemon|mailer|mmdf|uucp|ndr|dsn|double-bounce|bounces?|undeliver|return(s|ed)?[._-]?mail|smtp"
    r"|microsoftexchange|exchange|e?mail[._-]?admin(istrator)?|system[._-]?(admin|attendant)|mailmarshal|interscan|imss"
    r"|mail[._-]?delivery|delivery|non-?delivery|mta|symantec|scanner|mimedefang|antispam|mail-?scan"
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
SUBJECTS = re.compile(
    "|".join(
        fold(line)
        for line in r"""
        undeliver|undelivr|non.?deliver|nondeliv|not (be )?deliver|n[o']t been deliver|un-?deliverable|ndn:
        deliver[ay]?y? (status|notif|fail|report|problem|error|has failed|has been delay|delay|incomplete|attempt|was|is)
        delivery to .{0,80}(fail|delay)|delivery.{0,30}(fail|error|delay)|failed (delivery|mail|to deliver|message)
        return(ed|ing)? (e?-?mail|message|to sender|post)|e?-?mail (delivery|transport|system) (fail|error|status|problem)
        e?-?mail(s)? (failed|failure|error|returned|not delivered|rejected|bounced|could not|cannot|can't|delayed|status)
        failure notice|failure delivery|delivery failure|failure of|fail(ed|ure) (to|in) (deliver|send)|mail failure
        message (could not|status|undeliver|not deliver|delivery|delayed|rejected|returned|not sent|error|failed|has been)
        (unable|failed|failure|problem|trouble|error) (to |in |with )?(deliver|send)|cannot (be )?(deliver|send|sent)
        could ?n.?t (be )?(deliver|send|sent)|could not (be )?(deliver|send|sent)|bounced?\b|returned to sender|ndr\b
        warning: (could not|message|returned)|user unknown|unknown (user|recipient|address)|no such (user|recipient)
        permanent (fatal )?error|sending (failed|error)|problem delivering|nachricht nicht
        transient|rejected (mail|message|e)|blocked (mail|message|e-?mail)|transmission (fail|error)|mail delivery
        invalid (address|recipient)|addresses? (invalid|failed|rejected)|could not send|your message .{0,80}(not|fail)
        non remis|echec d[eu']|non distribu|non delivr|retour de (courrier|mail)|remise|avis de non|retourne|non envoye
        courrier non|distribution du|message non|erreur (de|d'envoi)|unzustellbar|zustell|fehlgeschlagen|rucksendung
        zuruckgesendet|konnte nicht|nicht zugestellt|no se (ha |pudo |puede |podido )|no entregad|devuelt|fallo|fallida
        devolucion|no entregable|error en la entrega|mancat[ao] (consegna|recapito)|non recapit|non consegn|impossibile
        errore di consegna|nao entreg|nao (foi|pode|pôde)|falha|devolvid|retornad|nao recebid|erro na entrega|onbestelbaar
        niet (afgeleverd|bezorgd|bestel)|kan niet worden|niedorecz|niedostarcz|nie dostarcz|zwrot|nie mozna|nie udalo
        nedoruc|nelze doruc|недостав|не достав|возврат|не удалось|ошибка доставки|невозможно|не может быть|не отправлено
        kunde inte|ej levererat|kunne ikke|ikke leveret|oleverer|uleverbar|ikke levert|ei voitu|toimittam|perille
        退信|无法投递|投递失败|发送失败|无法送达|未送达|退回|未传递|传递失败|傳遞失敗|無法傳|無法遞|寄送失敗|送信失敗|未能投|投递状态|传送失败|無法送達|投遞失敗
        配信不能|配信でき|送信でき|未配達|配信失敗|送信エラー|戻りメール|エラーメール|配信エラー|不達|配送|届きません|配信に失敗|送信に失敗|配達
        전송 실패|전송실패|배달 실패|반송|전달 실패|배달되지|전달할 수 없|수신 실패|발송 실패|발송실패|수신실패|메일 전송|kezbesit|nelivrat|nu a putut
        teslim edilem|iletilem|ulastirilam|δεν παραδ|αδυναμια|μη παραδ|לא נמסר|تعذر
        """.split("\n")
        for line in line.strip().split("\n")
        if line
    )
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the headers of a message say of who wrote it."""

    subject: str  # folded
    is_daemon: bool  # a mail system by its address
    is_called_daemon: bool  # by its name, which anybody can choose
    is_null: bool  # with the empty return path of RFC 5321 section 4.5.5
    is_program: bool  # no person by its address
    is_letter: bool  # answers or passes on, or was written with a program of people
    is_about_failure: bool  # by its subject


def read(headers: Mapping[str, str]) -> Envelope:
    sender = decode_words(headers.get("from", ""))[:_FOLDED]
    address = next(addresses.find(sender), "")
    local = address.partition("@")[0].lower() or sender.strip(' <>"').lower()
    name = fold(sender.partition("<")[0]) if address else fold(sender)
    subject = fold(decode_words(headers.get("subject", ""))[:_FOLDED])
    is_reply = _REPLY.match(subject) is not None
    path = headers.get("return-path", "x").strip()
    is_daemon = _DAEMON.match(local) is not None or sender.strip() == "<>"
    is_daemon = is_daemon or "errore" in headers.get("x-ricevuta", "").lower()  # certified mail: RFC 6109 section 3.1.5
    is_called_daemon = is_daemon or _DAEMON_NAME.search(name) is not None
    with_program = headers.get("user-agent", "") or headers.get("x-mailer", "") or headers.get("x-newsreader", "")
    return Envelope(
        subject,
        is_daemon,
        is_called_daemon,
        path in ("<>", "", "< >", "<<>>") or path.upper().startswith("<MAILER-DAEMON"),
        not local or _AUTOMATIC.fullmatch(local) is not None or headers.get("auto-submitted", "").startswith("auto"),
        (is_reply and _NEVER_A_PERSON.match(local) is None) or (not is_called_daemon and ("in-reply-to" in headers or bool(_WRITTEN_WITH.search(with_program.lower())))),
        not is_reply and SUBJECTS.search(subject) is not None,
    )
