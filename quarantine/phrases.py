"""What mail systems write, by what they mean, in the languages that they write it in.

Each phrase is compared with an answer after `fold`: small letters, no accents, no addresses, single blanks. So
"User <ann@example.org> unknown" holds "user unknown". Phrases stand one to a line or between bars.
"""

import re
import unicodedata

# What accents leave behind, and what looks alike.
_ALIKE = str.maketrans({"ł": "l", "ø": "o", "ß": "ss", "ı": "i", "đ": "d", "æ": "ae", "’": "'", "‘": "'", "`": "'",
                        "´": "'", "“": '"', "”": '"', "\u00a0": " "})  # fmt: skip
_ADDRESS = re.compile(r"<?[^\s<>()\"':;,]{1,64}@[^\s<>()\"':;,.]{1,255}(?:\.[^\s<>()\"':;,.]{1,255}){0,20}>?")
# An answer of several lines repeats its codes at each (RFC 5321 section 4.2.1, RFC 2034 section 4).
_NEXT_LINE = re.compile(r" [45]\d\d-(?:#?[45]\.\d{1,3}\.\d{1,3} )?")


def fold(text: str) -> str:
    """Return a text for comparing: see above."""
    text = text.lower()
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text.translate(_ALIKE))
        text = "".join(letter for letter in text if not unicodedata.combining(letter))
    if "@" in text:
        text = _ADDRESS.sub(" ", text)
    text = " ".join(text.split())
    return _NEXT_LINE.sub(" ", text) if "-" in text else text


def holds(text: str, phrases: tuple[str, ...]) -> bool:
    """Say whether a folded text holds one of the phrases."""
    for phrase in phrases:  # noqa: SIM110 (half the time of any(), thousands of times a second)
        if phrase in text:
            return True
    return False


def folded(text: str) -> tuple[str, ...]:
    """Return the phrases of a table that stand one to a line or between bars, each once."""
    found = (fold(phrase) for line in text.splitlines() for phrase in line.split("|"))
    return tuple(dict.fromkeys(phrase for phrase in found if phrase))


# -- the mailbox is full ---------------------------------------------------------------------------------------------
FULL = folded("""
    exceeding their | used up | too many messages on | has too many messages
    exceeded the space | space allocated | quota reached | reached quota | quota has been reached | is at capacity
    mailbox full | mailbox is full | inbox full | inbox is full | box is full | box full | mail box full
    mbox is full
    over quota | overquota | over-quota | quota exceeded | quotaexceeded | exceeded quota | exceeds quota
    quota exceed | exceeded the quota | exceeded his quota | exceeded its quota | exceeded their quota
    exceed its quota | exceed quota | out of quota | quota full | quota is full | quota limit
    quota has been exceeded
    disk quota | storage quota | storage limit | out of storage | exceeded storage | exceeds storage | storage is full
    exceeded the storage | exceeds the storage | exceeded its storage | exceeded their storage
    storage exceeded | storage full | mailbox size limit | mailbox limit | mailbox exceeds | mailbox quota | mailfull
    mailbox has exceeded | mailbox exceeded | exceeded max mailbox | exceeds allowed size | folder is full
    exceeded mailbox | mailbox size exceeded | mailbox over | mailbox space | mailbox for user is full
    full mailbox | account is full | space is full | message store is full | user is full
    too many messages in | too many messages on | too many mails | zuviele mails | zu viele mails
    space not enough | exceeding their
    exceeding his | exceeding her | not enough space | not enough disk space | not enough storage
    insufficient disk space
    insufficient quota | not have enough space | diskspace quota | quota violation | over the maximum allowed
    over his quota | over her quota | over its quota | over their quota | over the quota | exceeded the local limit
    over allocated quota | would exceed mailbox allocation | would exceed | exceeded the allowed | exceeding its
    exceeding mailbox | no more space | does not have room | no room | p=overquota | mailbox store is over
    has reached its limit | over the limit of | too full | mail folder full | user disk full | local quota
    boite pleine | boite de reception pleine | boite aux lettres pleine | boite aux lettres est pleine
    boite du destinataire pleine | boite mail pleine | boite est pleine | quota depasse | depasse son quota
    quota est depasse | messagerie pleine | messagerie est pleine | saturee | est pleine | depassement de quota
    postfach voll | postfach ist voll | mailbox voll | mailbox ist voll | postfach uberfullt | quota uberschritten
    quota ist uberschritten | speicherplatz | uberfullt | ist voll | kontingent | maximale postfachgrosse
    buzon lleno | buzon esta lleno | esta lleno | buzon de correo lleno | cuota excedida | excedio su cuota
    sin espacio
    cuota superada | ha superado la cuota | cuota de disco | excedido la cuota | excede la cuota
    casella piena | casella e piena | casella di posta piena | casella postale piena | quota superata
    spazio esaurito
    superato la quota | e piena
    caixa cheia | caixa postal cheia | caixa de correio cheia | caixa de entrada cheia | esta cheia | cota excedida
    quota excedida | sem espaco | cota de disco | excedeu a cota | excedeu sua cota | lotada
    mailbox vol | postvak vol | postvak is vol | postbus vol | postbus is vol | is vol | quotum
    skrzynka pelna | skrzynka jest pelna | przepelnion | pojemnosc | jest pelna | brak miejsca | przekroczony limit
    schranka je plna | je plna | prekrocena kvota | prekrocen
    betelt | megtelt | kvota tullepese | kutu dolu | kota asimi | kotasi dolu | kotasini asmis
    postkassen er full | brevladan ar full | lådan är full | postboks er fuld | on taynna
    переполнен | превышена квота | превышен лимит | квота превышена | превышена дисковая квота | нет места
    недостаточно места | превысил квоту | переповнен
    邮箱已满 | 信箱已满 | 空间已满 | 已满 | 容量已满 | 空间不足 | 容量不足 | 超出配额 | 超过配额 | 超過配額 | 已滿
    爆滿 | 超过容量
    郵箱已滿 | 信箱已滿 | 空間不足 | 容量超過 | メールボックスが一杯 | メールボックスの容量 | 容量を超え | 一杯
    いっぱい | 満杯
    容量オーバー | 容量が | 保存容量 | 용량 초과 | 용량이 초과 | 용량초과 | 용량을 초과 | 편지함이 가득 | 메일함 용량
    공간이 부족 | 가득
""")

# -- nobody has this address -----------------------------------------------------------------------------------------
# So plain that no other code beside them counts.
UNKNOWN = folded("""
    user unknown | unknown user | userunknown | user is unknown | no such user | no such mailbox | no such recipient
    unknown recipient | recipient unknown | unknown local user | unknown mailbox | mailbox unknown | no such person
    no such account | no such local user | nosuchuser | no mailbox here by that name | no user by that name
    user not found | mailbox not found | recipient not found | recipientnotfound | recipnotfound | account not found
    user does not exist | user doesn't exist | mailbox does not exist | mailbox doesn't exist | unknown local part
    recipient does not exist | recipient doesn't exist | account does not exist | account doesn't exist
    email account that you tried to reach does not exist | address does not exist | address doesn't exist
    bad destination mailbox address | unknown account | unknown address | address unknown
    no such email address | no such address | unrouteable address | unroutable address | not a known user
    unknown virtual mailbox | not our customer | no longer exists | not a valid mailbox | not a valid user
    utilisateur inconnu | destinataire inconnu | adresse inconnue | boite inconnue | boite aux lettres inexistante
    unbekannter benutzer | unbekannter empfanger | empfanger unbekannt | benutzer unbekannt | adresse unbekannt
    usuario desconocido | destinatario desconocido | usuario no existe | usuario inexistente | buzon inexistente
    usuario desconhecido | destinatario desconhecido | usuario nao existe | utente sconosciuto | utente inesistente
    destinatario sconosciuto | onbekende gebruiker | gebruiker onbekend | nieznany uzytkownik | neznamy uzivatel
    bilinmeyen kullanıcı | kullanıcı bulunamadı | ukendt bruger | okand anvandare | ukjent bruker
    неизвестный пользователь | пользователь не найден | пользователь не существует | адресат не найден
    用户不存在 | 收件人不存在 | 账号不存在 | 帐号不存在 | 邮箱不存在 | 地址不存在 | 用户未找到 | 使用者不存在
    無此使用者 | 查無此
    宛先不明 | あて先不明 | 宛先が見つかりません | ユーザが見つかりません | ユーザーが見つかりません
    ユーザは存在しません
""")
NO_USER = UNKNOWN + folded("""
    no mailbox with | no account with | no user with | unknown users
    not present | can't accept user | cannot accept user | no mail box available | no mailbox available
    not a local address | badrcptto | validrcptto | name is not found | missing home directory | are unknown
    requested action not taken: mailbox unavailable
    is not known | unknown local-part | account unavailable | user unavailable | recipient unavailable
    address unavailable
    destinataire invalide | invalid recipient | recipient invalid | recipient is invalid | invalid mailbox
    invalid address | address is invalid | address invalid | invalid user | invalid account | invalid local part
    invalid final delivery user | not a valid recipient | not valid recipient | not a valid address
    not a valid email
    address not found | user not known | not known here | not known at this | not known to | unknown at this
    unknown or illegal alias | unknown or invalid | no account by that name | no account here | nobody by that name
    no one by that name | nobody here | nobody here by that name | no such name | no such alias | no such id
    no such address here | no such destination | no such virtual | no such local | no such uid | no such e-mail
    recipient address rejected | recipient rejected | address rejected | user rejected | mailbox rejected
    this user doesn't have | addressee unknown | unknown addressee | unknown person | unknown username
    unknown user name | unknown recip | unknown destination address | unknown e-mail | unknown email | user not exist
    mailbox not exist | recipient not exist | account not exist | address not exist
    mailbox name not allowed | isn't a valid | not listed in | not in my user | not in address book
    not in the address book | did not exactly match | did not match any | not an active address | not an active
    unable to find user | unable to find the user | cannot find user | can't find user | couldn't be found
    could not be found | wasn't found | was not found | could not find the user | couldn't find any mailbox
    recipient name is not recognized | name is not recognized | e-mail account does not exist
    does not exist | doesn't exist | don't exist | nonexistent | non-existent | non existent
    receiver not found | receiver unknown | user not local | is not local | not a local user | no local mailbox
    no valid recipients | no recipients accepted
    no longer valid | no longer a valid | no longer on server | no longer here | no longer at | no longer with
    no longer employed | no longer works | no longer have | is no longer | has left | has moved | user not listed
    undeliverable address | undeliverable: no | not deliverable | bad address | bad recipient | bad destination
    bad user name | email address could not | wrong address | recipient was not | recipient cannot be
    mailbox is not | mailbox isn't | user name not | ambiguous address | does not have a mailbox | has no mailbox
    doesn't have a mailbox | does not have an account | doesn't have an account | does not have an email
    no email account | no mailbox found | no mail box | bad_recipient | not a known email | does not have a final
    domain, but the user | there is no user | there is no such | there is no one | no matches to nameserver query
    user account is invalid | account is not valid | not accepting mail at this address | not a member of this domain
    account has been removed | has been deleted | account deleted | account was deleted | user removed | user deleted
    n'existe pas | introuvable | adresse invalide | utilisateur non trouve | inexistant | inexistante | pas trouve
    pas valide | incorrecte | existiert nicht | nicht bekannt | nicht gefunden | nicht vorhanden | kein benutzer
    ungultige adresse | ungultiger empfanger | unbekannt | nicht zustellbar an | ist nicht bekannt
    no existe | no encontrado | no encontrada | no se encontro | no se encuentra | no se ha encontrado | inexistente
    direccion incorrecta | desconocid | no valida | nao existe | nao encontrado | nao foi encontrado | invalido
    desconhecid | nao localizado | non esiste | non trovato | indirizzo errato | inesistente | sconosciut
    non e stato trovato | non valido | bestaat niet | onbekend | niet gevonden | niet bekend
    nie istnieje | brak takiego | nieznany | nie ma takiego | nie znaleziono | neexistuje | nenalezen | neexistujici
    neznamy | nem letezik | ismeretlen | nem talalhato | nu exista | necunoscut | mevcut değil | bulunamadı
    böyle bir kullanıcı yok | finns inte | kunde inte hittas | hittades inte | findes ikke | finnes ikke
    blev ikke fundet | ikke funnet | ei loydy | ei ole olemassa | tuntematon | δεν υπαρχει | αγνωστος | δεν βρεθηκε
    не существует | нет такого | не найден | неизвестен | несуществующ | недействительн | неверный адрес | не знайдено
    не iснує | не існує | 不存在 | 无此用户 | 無此用戶 | 找不到 | 无效地址 | 地址无效 | 收件人无效 | 无效的收件
    無效的收件 | 没有找到
    找不到收件人 | 地址有误 | 地址错误 | 地址不正确 | 見つかりません | 存在しません | 存在しない | 見つからな
    不明なユーザ | アドレスが間違
    존재하지 않 | 없는 사용자 | 찾을 수 없 | 알 수 없는 사용자 | 없는 계정 | غير موجود | לא קיים
""")

# -- no such domain, or one that takes no mail -----------------------------------------------------------------------
NO_DOMAIN = folded("""
    domain must exist
    host unknown | unknown host | host not found | host name not found | hostname not found | hostunknown
    domain not found | domain name not found | unknown domain | domain unknown | domain is unknown | no such domain
    domain does not exist | domain doesn't exist | domain name does not exist | dns domain does not exist
    domain wasn't found | domain couldn't be found | domain could not be found | the domain couldn't | no such host
    host or domain name not found | name or service not known | nxdomain | infodomainnonexistent | any host named
    no mx record | no mx or a | no mx host | no a or mx | no mail exchanger | no mail host | no valid mx
    no mail server
    couldn't find a mail exchanger | couldn't find any host | could not find any host | cannot find your host
    bad destination system | bad destination host | bad system address | illegal host | illegal domain
    invalid domain
    invalid host | invalid hostname | null mx | nullmx | does not accept mail | does not accept any mail
    does not accept email | domain takes no mail | domain isn't valid | domain is not valid | domain not exist
    unable to resolve host | unable to resolve domain | could not resolve host | cannot resolve host | can't resolve
    cannot be resolved | couldn't be resolved | could not be resolved | unrouteable mail domain
    unroutable mail domain
    mx records point to non-existent | dns type mx lookup | remote domain doesnt exist | remote domain doesn't exist
    no longer handles mail | no route to domain | no dns information | domain has expired | domain expired
    name server: host not found | recipient domain does not | domain of recipient | domain has been disabled
    no such domain at this location | host does not exist | host doesn't exist | remote host does not exist
    recipient's domain | unknown destination host | system not known | unregistered domain
    domaine inconnu | hote inconnu | domaine n'existe pas | domaine introuvable | domaine inexistant
    domain existiert nicht | unbekannte domain | unbekannter host | host unbekannt | domain unbekannt
    domane existiert nicht | unbekannte domane | domain konnte nicht gefunden | domane nicht gefunden
    dominio no existe | dominio desconocido | host desconocido | dominio inexistente | dominio no encontrado
    dominio inesistente | dominio sconosciuto | dominio non esiste | dominio nao existe | dominio desconhecido
    dominio nao encontrado | domein bestaat niet | onbekend domein | domena nie istnieje | nieznana domena
    domena neexistuje | домен не существует | домен не найден | неизвестный домен | 域名不存在 | 域名错误 | 域名无法
    找不到域名 | 網域不存在 | 域名解析 | ドメインが見つかりません | ドメインが存在しません | ドメインは存在しません
    宛先ドメイン | 도메인이 존재하지
    도메인을 찾을 수
""")
# Nothing was found out about the domain: it may well be there.
NO_ANSWER_OF_DNS = folded("""
    host not found, try again | try again later | servfail | temporary lookup failure | temporary failure in name
    dns server returned answer with no data | lookup failed temporarily | temporary dns | dns timeout
    dns lookup timed out
    dns query failed | dns lookup failure | lookup timed out | host lookup did not complete
""")

# -- the mailbox was closed ------------------------------------------------------------------------------------------
CLOSED = folded("""
    is terminated | suspend the service | domain is disabled | ete supprime | ete fermee | ete ferme
    has cancelled | est desactive | geschlossen | gekundigt | account is currently suspended | has been shut down
    account disabled | account is disabled | account has been disabled | mailbox disabled | mailbox is disabled
    mailbox has been disabled | user disabled | user is disabled | recipient disabled | recipient is disabled
    account that you tried to reach is disabled | account is inactive | account inactive | user is inactive
    account that you tried to reach is inactive | mailbox is inactive | mailbox inactive | user inactive
    inactive user
    inactive recipient | inactive mailbox | inactive account | account is not active | account not active
    user is not active | mailbox is not active | recipient is not active | not active | no longer active
    no longer in use
    no longer used | no longer in service | no longer available | no longer accept | no longer receives
    no longer accepts
    account closed | account is closed | account has been closed | mailbox closed | account deactivated | deactivated
    account is deactivated | has been deactivated | account suspended | account is suspended | mailbox suspended
    user suspended | user is suspended | recipient suspended | has been suspended | mailbox is suspended | user locked
    account locked | account is locked | mailbox is locked | mailbox locked | account expired | account has expired
    mailbox has been closed | account terminated | has been terminated | account is terminated | account cancelled
    archived recipient | destinataire archive | boite du destinataire archivee | discontinued | this account has been
    address is administratively disabled | administratively disabled | not accepting any mail
    mailbox expired | user expired | dead account | dormant | is frozen | account frozen | abandoned
    address has been retired | decommissioned
    account is currently disabled | mailbox currently suspended | mailbox unavailable or disabled
    is blocked from receiving
    compte desactive | compte suspendu | compte ferme | boite desactivee | boite fermee | n'est plus | compte inactif
    inactif | suspendue | deaktiviert | stillgelegt | gesperrt | nicht mehr | geloscht | abgeschaltet | inaktiv
    desactivada | desactivado | inactiva | suspendida | deshabilitad | cancelada | inactivo
    disabilitat | disattivat | sospes | non e piu | desativad | inativ | suspensa | bloqueada | encerrada
    nieaktywn | zablokowan | wylaczon | usuniet | deaktivovan | zablokovan | zrusen | opgeheven | niet meer
    заблокирован | отключен | неактив | деактивирован | удален | больше не | 停用 | 禁用 | 冻结 | 注销 | 被封 | 凍結
    锁定
    利用停止 | 休止 | 解約 | 無効になって | 휴면 | 정지 | 해지 | 탈퇴
""")

# -- the way there, for now ------------------------------------------------------------------------------------------
AWAY = folded("""
    not been collected | aborted after | failing for a long time | timed out | timeout | could not be delivered for
    days, giving up
    time-out | time out | connection refused | connection reset | connection dropped
    lost connection
    connection closed | connection failed | connection error | no route to host | network is unreachable
    network unreachable | host unreachable | unreachable host | host is down | retry time | retry timeout | too long
    message expired | expired | in the queue | in queue | in the mail queue | unable to connect | could not connect
    couldn't connect | can't connect | cannot connect | connect failed | failed to connect
    establish an smtp connection
    not respond | no response | didn't respond | not responding | not reachable | unreachable | temporar
    try again | try later | retry later | undeliverable after | delivery attempts | hasn't been able to
    failed 20 attempts | maximum retries | retries exceeded | deferred | still being retried
    service not available | host not available | server is down | server unavailable
    delai d'attente | delai depasse | connexion impossible | injoignable | temporaire | zeituberschreitung | zeitlimit
    nicht erreichbar | keine verbindung | vorubergehend | tiempo de espera | tiempo agotado | temporal | no responde
    timeout scaduto | temporane | non raggiungibile | tempo esgotado | tempo limite | nao responde | temporari
    przekroczono czas | polaczenia | nedostupn | время ожидания | недоступен | временно | не отвечает
    не удалось соединиться
    超时 | 逾時 | 连接失败 | 无法连接 | 無法連接 | 无法连线 | 稍后 | 暂时 | 暫時 | タイムアウト | 接続できません
    応答がありません | 一時的
    시간 초과 | 연결할 수 없 | 응답이 없 | 일시적
""")

# -- who we are, and what we say -------------------------------------------------------------------------------------
TOO_BIG = folded("""
    message too large | message is too large | message too big | message is too big | message size exceeds
    mail too large
    message exceeds | exceeds maximum message size | exceeds the maximum message size | exceeds size limit
    exceeds the size limit | message size limit | maximum message size | exceeds message size | exceeds max message
    message length exceeds | message size is | size of the message | size limit exceeded | exceeds fixed maximum
    exceeded google's message size | maximum permitted | mail size limit | message size too | exceeds the maximum size
    lines in message | line too long | line length | too large to be delivered | file is too big | file too big
    exceeded maximum | max message size | data size exceeds
    incoming message size | inbound message size | exceeds the limit | larger than the current system limit
    larger than the limit
    message trop volumineux | trop volumineux | taille maximale | message trop gros | nachricht zu gross | zu gross
    nachrichtengrosse | tamano maximo | demasiado grande | troppo grande | dimensione massima | muito grande
    tamanho maximo | excede o tamanho | te groot | zbyt duz | prilis velk | слишком большой
    превышает максимальный размер
    превышен размер | 邮件过大 | 郵件過大 | 大小超过 | 太大 | 超过大小 | 邮件大小 | サイズが大き | サイズを超え
    サイズ制限 | 大きすぎ
    크기가 | 용량 제한
""")
CONTENT = folded("""
    content denied | content restriction | content presents | content rejected | content filter | message content
    mail content | contains a virus | infected | virus | malware | attachment | likely unsolicited | likely spam
    bad content | executable | phishing | message content rejected | message refused by | rejected by filter
    pieces jointes interdites | mail data refused | content blocked | objectionable | banned content
    内容被拒 | 邮件内容 | 病毒 | вирус | ウイルス
""")
SPAM = folded("""
    only accepting mail from | improper use of | bayesian | filtered | will not accept delivery of this | (hvu:
    (dny: | (rly: | (rtr: | for sender address
    message refused | denied [ | helo | mail from prohibited | rejected by this user | boxtrapper | ehlo
    sender has no | rejected this message | refused by policy | mail refused | message denied | not welcome
    rejected for spam | challenge
    spam | policy | rule imposed | administrative prohibition | administratively prohibited | unsolicited
    mail rejete
    junk mail | bulkmail | blocked by | message blocked | mail blocked | has been blocked | suspicious
    rejected for policy | security reasons | not authorized to send | not allowed to send | not permitted to send
    restricted from sending | is not allowed | sender is not | has not been accepted by the recipient | whitelist
    you are not authorized | not accepting mail from | not accept mail from | unwanted | refuses your
    refused mail from
    does not want mail | doesn't want mail | recipient preferences | refused due to recipient | rejected due to
    message rejected under | user refuses | user refused | user not accept | permission denied to send
    denied by | reject by | rejected by user | rejected by the recipient | restricted | not accept messages from
    indesirable | pourriel | abgelehnt | unerwunscht | verweigert | correo no deseado | rechazado por
    posta indesiderata
    спам | нежелательн | 垃圾邮件 | 垃圾郵件 | 拒绝 | 拒絕 | 拒收 | 反垃圾 | 迷惑メール | 受信拒否 | 拒否 | 스팸
    수신 거부 | 수신거부 | 차단
""")
BLOCKS = folded("""
    weren't sent | we have limits
    blocked | bloque | blacklist | black list | black-list | blocklist | block list | block-list | blocking list
    denylist | deny list | spamhaus | spamcop | barracuda | sorbs | reputation | banned | rate limit | rate-limit
    ratelimit | frequency limit | too many | too much mail | too fast | too quickly | trop de | slow down | throttl
    unusual rate | spam ip | traffic not accepted | not be accepted from | not accepted from
    connections not accepted
    connection will not be accepted | connections will not be accepted
    is listed in | ip address is listed | is listed at | is listed on | is listed by | your ip | sending ip
    problem occurred | excessive | 频率 | 发送过快 | 黑名单 | 黑名單
""")
LATER_BLOCKS = BLOCKS + folded("""
    greylist | graylist | grey list | gray list | grey-list | gray-list | greylisted | deferred | complaint | spam
    policy
    unsolicited | server busy | server is busy | service refuse
""")

# -- it is still on its way ------------------------------------------------------------------------------------------
DELAYED = folded("""
    not yet been delivered | not been delivered yet | has been delayed | is delayed | delivery is delayed
    still trying
    will continue to try | will keep trying | will be retried | will retry | will be attempted
    this is a warning message only
    do not need to resend | need not resend | not required to resend | being delayed | has been postponed
    delayed delivery | still queued
    has not been delivered to all | no action is required on your part | delivery attempts will continue
    ne necessite aucune action | n'a pas encore ete | est retarde | retardee | noch nicht zugestellt | verzogert
    todavia no | se ha retrasado | non e stato ancora | in ritardo | ainda nao foi | atrasad
    еще не доставлено | задерж | nog niet | まだ配信 | 配信が遅 | 遅延 | 延迟
""")
