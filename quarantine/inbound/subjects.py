"""What subjects say: that something was not delivered, that somebody is away, that a sender has to prove themselves.

Phrases are compared after quarantine.phrases.fold: small letters, no accents, single blanks. `^` stands
for the beginning.
"""

from ..phrases import folded, holds


def says(subject: str, phrases: tuple[str, ...]) -> bool:
    """Say whether a folded subject holds one of the phrases."""
    return holds("^" + subject, phrases)


FAILURE = folded("""
    undeliver | undelivr | non-deliver | non deliver | nondeliver | nondeliv | not deliver | not be deliver
    not been deliver
    ndn: | ^ndr | un-deliver | delivery status | delivery notif | delivery fail | delivery report | delivery problem
    delivery error | delivery has failed | delivery has been delay | delivery delay | delivery incomplete
    delivery attempt
    delivery was | delivery is | delivery unsuccessful | delivery to | mail delivery | delivery could not
    fail deliver
    failed delivery | failed mail | failed to deliver | failed message | failure to deliver | failure delivery
    delivery system | deliver problem | returned mail | returned message | returned email | returned e-mail
    return to sender | returned to sender | returning mail | returning message | returned post | returned:
    mail returned
    mail transport | mail system error | mail error | mail failure | mail failed | mail status | mail problem
    mail not delivered | mail rejected | mail bounced | mail could not | mail cannot | mail can't | mail delayed
    message rejected | email rejected | email failed | email failure | email error | email returned | failure notice
    message could not | message status | message undeliver | message not | message delivery | message delayed
    message returned | message error | message failed | message has been | message bounced | failure of | failure in
    unable to deliver | unable to send | error delivering | error sending | problem sending | problem delivering
    problem with delivery | trouble delivering | trouble sending | cannot be deliver | cannot deliver | cannot send
    cannot be sent | could not deliver | couldn't deliver | couldn't be deliver | could not be deliver
    could not send
    could not be sent | couldn't send | couldn't be sent | bounced | bounce: | ^bounce | warning: could
    warning: message
    warning: returned | user unknown | unknown user | unknown recipient | unknown address | no such user
    no such recipient | permanent error | permanent fatal | sending failed | sending error | transient
    transmission fail
    transmission error | rejected mail | rejected message | rejected e | blocked mail | blocked message
    blocked e-mail
    blocked email | invalid address | invalid recipient | address invalid | addresses failed | addresses rejected
    address rejected | recipient rejected | your message was not | your message could | not sent
    notification (failure)
    notification (delay) | automatically rejected | system error | deferred | still being retried | ^rejected:
    not accepted | undeliv | delayed | delay: | verzogert | retardee | retrasado | in ritardo | atrasada
    mail-delivery | mail daemon | gateway error | message lost
    non remis | echec de | echec d' | echec du | non distribu | non delivr | retour de courrier | retour de mail
    remise
    avis de non | retourne | non envoye | courrier non | distribution du | message non | erreur de | erreur d'envoi
    impossible de | unzustellbar | zustell | fehlgeschlagen | rucksendung | zuruckgesendet | konnte nicht
    nachricht nicht | nicht ubermittelt | no se ha podido | no se pudo | no se puede | no entregad | devuelt | fallo
    fallida | devolucion | no entregable | error en la entrega | error de entrega | mancata consegna
    mancato recapito
    non recapit | non consegn | impossibile | errore di consegna | nao entreg | nao foi | nao pode | falha | devolvid
    retornad | nao recebid | erro na entrega | onbestelbaar | niet afgeleverd | niet bezorgd | niet besteld
    kan niet worden | niedorecz | niedostarcz | nie dostarcz | zwrot | nie mozna | nie udalo | nedoruc | nelze dorucit
    недостав | не достав | возврат | не удалось | ошибка достав | невозможно | не может быть | не отправлено
    kunde inte | ej levererat | kunne ikke | ikke leveret | oleverer | uleverbar | ikke levert | ei voitu | toimittam
    perille | kezbesit | nelivrat | nu a putut | teslim edilem | iletilem | ulastirilam | δεν παραδ | αδυναμια
    μη παραδ
    退信 | 无法投递 | 投递失败 | 发送失败 | 无法送达 | 未送达 | 退回 | 未传递 | 传递失败 | 傳遞失敗 | 無法傳 | 無法遞
    寄送失敗
    送信失敗 | 未能投 | 投递状态 | 传送失败 | 無法送達 | 投遞失敗 | 配信不能 | 配信でき | 送信でき | 未配達 | 配信失敗
    送信エラー | 戻りメール | エラーメール | 配信エラー | 不達 | 配送 | 届きません | 配信に失敗 | 送信に失敗 | 配達
    전송 실패
    전송실패 | 배달 실패 | 반송 | 전달 실패 | 배달되지 | 전달할 수 없 | 수신 실패 | 발송 실패 | 발송실패 | 수신실패
    메일 전송
    לא נמסר | تعذر
""")

AWAY = folded("""
    out of office | out of the office | out-of-office | ^ooo | [ooo | auto response | auto-response | auto reply
    auto-reply
    autoreply | autorepl | autoresp | auto-answer | auto answer | auto-acknowledg | automatic reply
    automatic response
    automatic answer | automatic acknowledg | automated reply | automated response | automated answer
    automatische repl
    ^auto: | ^auto : | vacation | on holiday | on leave | away from | i am away | i'm away | currently away | [auto]
    (auto)
    automatic message | automated message | automated acknowl | thank you for your e | thank you for your message
    thank you for your inquiry | thank you for your mail | thank you for contacting | thank you for writing
    thanks for your e | thanks for your message | thanks for contacting | thanks for your mail | we have received your
    we received your | your email has been | your e-mail has been received | your message has been received
    your message was received | your request has been | your inquiry has been | acknowledgement of | acknowledgment of
    request received | ticket received | ticket created | case created | request created | message received
    absence | absent | reponse automatique | message automatique | conges | hors du bureau | accuse de reception
    abwesen | automatische antwort | nicht im buro | nicht im haus | urlaub | eingangsbestatigung | ausser haus
    respuesta automatica | fuera de la oficina | fuera de oficina | ausencia | ausente | vacaciones | contestador
    contestacion automatica | risposta automatica | fuori sede | fuori ufficio | assenza | assente | in ferie
    risponditore
    resposta automatica | fora do escritorio | ferias | afwezig | automatisch antwoord | niet aanwezig | autosvar
    automatisk svar | automatiskt svar | franvaro | fravaer | ikke til stede | semester | automaattinen vastaus
    poissa
    autoodpow | automatyczna odpow | nieobecn | poza biurem | urlop | automaticka odpoved | nepritomn | mimo kancelar
    automatikus | szabadsag | raspuns automat | otomatik yanıt | otomatik cevap | ofis dısı | izindeyim
    trả lời tự động
    αυτοματη απαντηση | автоответ | автоматический ответ | автоматическое уведомление | вне офиса | отсутств
    в отпуске
    автоматична в | автоматичний | 自动回复 | 自動回覆 | 自动答复 | 自動回復 | 自動返信 | 自動応答 | 自动应答 | 不在
    休暇 | 外出中
    受付完了 | お問い合わせありがとう | 受け付け | 자동응답 | 자동 응답 | 자동 회신 | 자동회신 | 부재중 | 부재 중
    מענה אוטומטי | رد تلقائي
""")

# Somebody has to press a button before a message is let through.
CHALLENGE = folded("""
    please confirm | (verification) | confirm your | confirm that you | confirmation required | confirmation request
    confirmation needed | verify your | verification required | verification request | challenge | sender verification
    needs your confirmation | needs confirmation | needs verification | needs approval | awaits your confirm
    awaiting confirm | awaiting your confirm | boxbe | spam arrest | spamarrest | bluebottle | tmda | mailblocks
    please reply to this | please reply to confirm | action required: verify | action required: confirm | approve my
    waiting list | pending your | one-time verification | one time verification | prove you | spamblocker
    requests confirmation | guest list | requires verification | requires confirmation | allowed sender
""")

# A mailing list tells what became of what was sent to it.
MODERATION = folded("""
    awaits moderat | awaiting moderat | awaits approval | awaiting approval | moderat | held for | subscri
    not a member
    non-member | nonmember | members only | request to mailing list | post rejected | posting rejected
    posting denied
    submission rejected | request of the list | command results
""")
