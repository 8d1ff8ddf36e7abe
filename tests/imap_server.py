"""A small IMAP server for tests: real sockets, and as much of RFC 3501 as fetching mail needs, with MOVE and UIDPLUS.

with ImapServer({"INBOX": [b"Subject: ..."]}) as server:
    server.url                                  imap://reader:secret@127.0.0.1:port/INBOX
    server.folders["INBOX"]                     what lies there now
"""

import asyncio
import re
import ssl
import threading
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote

USER, PASSWORD = "reader@example.org", 'pass "word" /@'
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\([^)]*\))|(\S+)')


@dataclass
class Stored:
    """A message of a folder."""

    uid: int
    raw: bytes
    flags: set[str] = field(default_factory=set)


class ImapServer:
    """Serve folders until the block ends. `capabilities` are those announced beside IMAP4rev1."""

    def __init__(
        self, folders: dict[str, list[bytes]], *, capabilities: str = "MOVE UIDPLUS", tls: ssl.SSLContext | None = None
    ) -> None:
        self.capabilities, self.tls = capabilities, tls
        self.folders = {name: [Stored(10 + n, raw) for n, raw in enumerate(raws)] for name, raws in folders.items()}
        self.commands: list[str] = []  # what was asked, without arguments of LOGIN
        self.refused: set[str] = set()  # commands that are answered NO
        self.cut_at = ""  # a command at which the connection is cut
        self._next = 1_000
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        scheme = "imaps" if self.tls else "imap"
        host = "localhost" if self.tls else "127.0.0.1"
        return f"{scheme}://{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@{host}:{self.port}/INBOX"

    def add(self, raw: bytes, *flags: str) -> None:
        self._next += 1
        self.folders["INBOX"].append(Stored(self._next, raw, set(flags)))

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = _Session(self, writer)
        writer.write(b"* OK ready\r\n")
        try:
            while line := await reader.readline():
                tag, _blank, rest = line.decode("ascii").strip().partition(" ")
                words = [a.replace('\\"', '"').replace("\\\\", "\\") or b or c for a, b, c in _WORD.findall(rest)]
                name = " ".join(words[:2]).upper() if words[0].upper() == "UID" else words[0].upper()
                self.commands.append(name)
                if name == self.cut_at:
                    return
                answer = "NO not today" if name in self.refused else session.answer(name, words)
                writer.write(f"{tag} {answer}\r\n".encode())
                await writer.drain()
                if name == "LOGOUT":
                    return
        except ConnectionError:
            pass
        finally:
            writer.close()


class _Session:
    """One connection: who has logged in, and the folder that is open."""

    def __init__(self, server: ImapServer, writer: asyncio.StreamWriter) -> None:
        self.server, self.writer = server, writer
        self.known, self.folder = False, ""

    def answer(self, name: str, words: list[str]) -> str:
        """Do a command; return the end of its answer."""
        if name == "CAPABILITY":
            self.say(f"* CAPABILITY IMAP4rev1 {self.server.capabilities}")
            return "OK done"
        if name == "LOGIN":
            self.known = words[1:] == [USER, PASSWORD]
            return "OK done" if self.known else f"NO wrong password {words[2]}"
        if name == "LOGOUT":
            self.say("* BYE")
            return "OK done"
        if not self.known:
            return "NO log in first"
        if name == "SELECT":
            if words[1] not in self.server.folders:
                return "NO no such folder"
            self.folder = words[1]
            self.say(f"* {len(self.here)} EXISTS")
            return "OK [READ-WRITE] done"
        return self.of_messages(name, words)

    def of_messages(self, name: str, words: list[str]) -> str:
        if name == "EXPUNGE":
            self.expunge([one for one in self.here if r"\Deleted" in one.flags])
            return "OK done"
        if name == "UID SEARCH":
            low, high = map(int, words[2].split(":"))
            found = [one for one in self.here[low - 1 : high] if r"\Deleted" not in one.flags]
            if "UNSEEN" in words:
                found = [one for one in found if r"\Seen" not in one.flags]
            self.say("* SEARCH " + " ".join(str(one.uid) for one in found))
            return "OK done"
        chosen = [one for one in self.here if str(one.uid) in words[2].split(",")]
        if name == "UID FETCH":
            for one in chosen:
                self.fetched(one, words[3])
        elif name == "UID STORE":
            for one in chosen:
                one.flags.add(words[4].strip("()"))
        elif name == "UID COPY" or (name == "UID MOVE" and "MOVE" in self.server.capabilities):
            if words[3] not in self.server.folders:
                return "NO [TRYCREATE] no such folder"
            self.server.folders[words[3]] += [Stored(one.uid, one.raw) for one in chosen]
            if name == "UID MOVE":
                self.expunge(chosen)
        elif name == "UID EXPUNGE" and "UIDPLUS" in self.server.capabilities:
            self.expunge([one for one in chosen if r"\Deleted" in one.flags])
        else:
            return "BAD unknown"
        return "OK done"

    @property
    def here(self) -> list[Stored]:
        return self.server.folders[self.folder]

    def expunge(self, chosen: list[Stored]) -> None:
        for one in chosen:
            self.say(f"* {self.here.index(one) + 1} EXPUNGE")
            self.here.remove(one)

    def fetched(self, one: Stored, asked: str) -> None:
        number = self.here.index(one) + 1
        if "RFC822.SIZE" in asked:
            self.say(f"* {number} FETCH (RFC822.SIZE {len(one.raw)} UID {one.uid})")
            return
        part = one.raw[: int(asked.partition("<0.")[2].partition(">")[0])]
        self.writer.write(f"* {number} FETCH (BODY[]<0> {{{len(part)}}}\r\n".encode() + part)
        self.say(f" UID {one.uid})")

    def say(self, line: str) -> None:
        self.writer.write(line.encode() + b"\r\n")


def self_signed(folder: Any) -> tuple[ssl.SSLContext, str]:
    """Return a context of a server with a new certificate for localhost, and the file of that certificate."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file, secret = folder / "server.pem", folder / "server.key"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, secret)
    return context, str(file)
