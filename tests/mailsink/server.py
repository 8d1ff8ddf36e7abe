"""The server behind `tests.mailsink`: plain asyncio, because it must be faster than what it measures."""

import argparse
import asyncio
import base64
import binascii
import collections
import contextlib
import json
import os
import random
import re
import socket
import ssl
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import Rule

EXTENSIONS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE", "ENHANCEDSTATUSCODES")
_PATH = re.compile(r"<([^>]*)>")
_ENVELOPE = re.compile(rb"MAIL FROM:<([!-=?-~]*)>(?: BODY=8BITMIME)?\r\nRCPT TO:<([!-=?-~]+)>\r\nDATA\r\n")
_ENVELOPE_VERBS = {"MAIL": 1, "RCPT": 1, "DATA": 1, "pipelined": 2}
_ENVELOPE_ANSWERS = b"250 2.1.0 OK\r\n250 2.1.5 OK\r\n354 End with a dot\r\n"


class Server:
    """What all connections share: the log, the rules, the counts."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.extensions = [name for name in EXTENSIONS if name not in options.without]
        self.log = os.open(options.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with Path(options.log).open("rb") as before:
            self.number = sum(1 for _line in before)
        self.stats: collections.Counter[str] = collections.Counter()
        self.tls = None
        if options.certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(options.certificate, options.key)
        self.set_rules([])

    def set_rules(self, rules: list[dict[str, Any]]) -> None:
        self.rules: dict[str, list[tuple[Rule, re.Pattern[str]]]] = {}
        self.left: dict[int, int] = {}
        for fields in rules:
            rule = Rule(**fields)
            self.rules.setdefault(rule.verb, []).append((rule, re.compile(rule.recipient)))
            if rule.count is not None:
                self.left[id(rule)] = rule.count

    def rule(self, verb: str, recipient: str) -> Rule | None:
        for rule, pattern in self.rules.get(verb, ()):
            if rule.recipient and not (recipient and pattern.search(recipient)):
                continue
            if self.left.get(id(rule), 1) <= 0 or random.random() >= rule.probability:
                continue
            if rule.count is not None:
                self.left[id(rule)] -= 1
            return rule
        return None

    def accept(self, sender: str, recipients: list[str], body: bytes) -> None:
        """Write a message down; the kernel has the line when this returns."""
        head = body[: body.find(b"\r\n\r\n") + 2]
        at = (b"\r\n" + head).lower().find(b"\r\nmessage-id:")
        message_id = head[at + 11 :].split(b"\r\n", 1)[0].strip().decode("utf-8", "replace") if at >= 0 else ""
        for recipient in recipients:
            self.number += 1
            line = f"{self.number}\t{time.time_ns()}\t{recipient}\t{len(body)}\t{message_id}\t{sender}\n"
            if self.options.keep:
                Path(self.options.keep, f"{self.number:08d}.eml").write_bytes(body)
            os.write(self.log, line.encode())


class Dialogue(asyncio.Protocol):
    """One connection. Commands are taken in order; while an answer is late, the rest waits in the buffer."""

    transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self.server, self.buffer, self.searched = server, bytearray(), 0
        self.sender: str | None = None
        self.recipients: list[str] = []
        self.in_data = self.busy = self.secure = self.closed = False
        self.out: list[bytes] = []
        self.timer: asyncio.TimerHandle | None = None
        self.verbs: dict[str, Callable[[str], None]] = {
            "EHLO": self.ehlo, "HELO": self.ehlo, "MAIL": self.mail, "RCPT": self.rcpt, "DATA": self.data,
            "RSET": self.rset, "NOOP": self.noop, "QUIT": self.quit,
            "STARTTLS": self.starttls, "AUTH": self.auth,
        }  # fmt: skip

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.secure = transport.get_extra_info("ssl_object") is not None
        self.server.stats["connections"] += 1
        self.server.stats["open"] += 1
        self.answer("CONNECT", "220 mailsink ESMTP")
        self.work()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        self.server.stats["open"] -= 1
        if self.timer:
            self.timer.cancel()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.busy:
            self.work()

    def work(self) -> None:
        """Take what the buffer holds, and write the answers together (RFC 2920 section 3.2)."""
        while not self.busy and not self.closed and self.take():
            pass
        self.flush()
        if self.server.options.idle:
            if self.timer:
                self.timer.cancel()
            self.timer = asyncio.get_running_loop().call_later(self.server.options.idle, self.idle)

    def take(self) -> bool:
        """Take the next thing that is whole, if any."""
        return self.take_body() if self.in_data else self.take_envelope() or self.take_command()

    def flush(self) -> None:
        if self.out and not self.transport.is_closing():
            self.transport.write(b"".join(self.out))
        self.out.clear()

    def idle(self) -> None:
        if not self.busy:
            self.out.append(b"421 4.4.2 Idle for too long\r\n")
            self.flush()
            self.close()

    def take_envelope(self) -> bool:
        """Take MAIL, RCPT and DATA of a well-behaved client at once: the same as one by one, but faster."""
        found = None if self.server.rules else _ENVELOPE.match(self.buffer)
        if not found or self.sender is not None:
            return False
        self.sender, self.recipients, self.in_data = found[1].decode(), [found[2].decode()], True
        del self.buffer[: found.end()]
        self.server.stats.update(_ENVELOPE_VERBS)
        self.out.append(_ENVELOPE_ANSWERS)
        return True

    def take_command(self) -> bool:
        end = self.buffer.find(b"\n")
        if end < 0:
            return False
        line = self.buffer[:end].decode("utf-8", "replace").rstrip("\r")
        del self.buffer[: end + 1]
        verb, _blank, rest = line.partition(" ")
        verb = verb.upper()
        self.server.stats[verb if verb in self.verbs else "unknown"] += 1
        if self.buffer:
            self.server.stats["pipelined"] += 1
        if handler := self.verbs.get(verb):
            handler(rest)
        else:
            self.say("500 5.5.2 Unknown command")
        return True

    def take_body(self) -> bool:
        if self.buffer.startswith(b".\r\n"):
            body, rest = b"", 3
        else:
            end = self.buffer.find(b"\r\n.\r\n", max(0, self.searched - 4))
            self.searched = len(self.buffer)
            if end < 0:
                return False
            body, rest = bytes(self.buffer[: end + 2]), end + 5
        del self.buffer[:rest]
        self.in_data, self.searched = False, 0
        if b"\r\n.." in body or body.startswith(b".."):
            body = re.sub(rb"(?m)^\.\.", b".", body)
        self.end(body)
        return True

    # -- the verbs ----------------------------------------------------------------------------------------------

    def ehlo(self, rest: str) -> None:
        offered = [f"SIZE {self.server.options.size}" if name == "SIZE" else name for name in self.server.extensions]
        if self.server.tls and not self.secure:
            offered.append("STARTTLS")
        if self.server.options.auth:
            offered.append("AUTH PLAIN")
        self.reset()
        self.answer("EHLO", "\n".join(["250 mailsink", *offered]))

    def mail(self, rest: str) -> None:
        found = _PATH.search(rest)
        size = re.search(r"(?i)\bSIZE=(\d+)", rest)
        if not found:
            return self.say("501 5.5.4 Syntax: MAIL FROM:<address>")
        if size and int(size[1]) > self.server.options.size:
            return self.say("552 5.3.4 Message too big")
        if self.answer("MAIL", "250 2.1.0 OK"):
            self.sender = found[1]
        return None

    def rcpt(self, rest: str) -> None:
        found = _PATH.search(rest)
        if self.sender is None or not found:
            return self.say("503 5.5.1 MAIL first")
        if self.answer("RCPT", "250 2.1.5 OK", found[1]):
            self.recipients.append(found[1])
        return None

    def data(self, rest: str) -> None:
        recipient = self.recipients[0] if self.recipients else ""
        usual = "354 End with a dot" if recipient else "554 5.5.1 No valid recipients"
        self.in_data = self.answer("DATA", usual, recipient)

    def end(self, body: bytes) -> None:
        sender, recipients = self.sender or "", self.recipients
        self.reset()
        if not recipients:
            return self.say("554 5.5.1 No valid recipients")
        if len(body) > self.server.options.size:
            return self.say("552 5.3.4 Message too big")
        rule = self.server.rule("END", recipients[0]) if self.server.rules else None
        if rule is None or (rule.accept and rule.answer[:1] not in ("4", "5")):
            self.server.accept(sender, recipients, body)
            self.server.stats["messages"] += 1
        if rule is None:
            return self.out.append(b"250 2.0.0 Accepted\r\n")
        self.obey(rule, "250 2.0.0 Accepted")
        return None

    def rset(self, rest: str) -> None:
        self.reset()
        self.answer("RSET", "250 2.0.0 OK")

    def noop(self, rest: str) -> None:
        self.answer("NOOP", "250 2.0.0 OK")

    def quit(self, rest: str) -> None:
        self.answer("QUIT", "221 2.0.0 Bye")
        self.flush()
        self.close()

    def auth(self, rest: str) -> None:
        given: list[str] = []
        with contextlib.suppress(binascii.Error):
            given = base64.b64decode(rest.partition(" ")[2]).decode("utf-8", "replace").split("\0")[1:]
        right = ":".join(given) == self.server.options.auth
        self.answer("AUTH", "235 2.7.0 Welcome" if right else "535 5.7.8 Wrong name or password")

    def starttls(self, rest: str) -> None:
        if not self.server.tls or self.secure:
            return self.say("502 5.5.1 Not offered")
        if self.answer("STARTTLS", "220 2.0.0 Ready"):
            self.transport.pause_reading()
            self.busy = True
            self.buffer.clear()  # what came in clear before is not to be believed afterwards (CVE-2011-0411)
            self.flush()
            self.task = asyncio.get_running_loop().create_task(self.encrypt())
        return None

    async def encrypt(self) -> None:
        try:
            assert self.server.tls
            secured = await asyncio.get_running_loop().start_tls(
                self.transport, self, self.server.tls, server_side=True
            )
        except (OSError, asyncio.IncompleteReadError):
            return self.close()
        assert isinstance(secured, asyncio.Transport)
        self.transport, self.secure, self.busy = secured, True, False
        self.work()
        return None

    # -- the answers --------------------------------------------------------------------------------------------

    def reset(self) -> None:
        self.sender, self.recipients = None, []

    def say(self, text: str) -> None:
        self.out.append(_on_the_wire(text))

    def answer(self, verb: str, usual: str, recipient: str = "") -> bool:
        """Answer as the rules want, else as usual; return whether the answer lets the dialogue go on."""
        rule = self.server.rule(verb, recipient) if self.server.rules else None
        if rule is None:
            self.say(usual)
            return usual[0] in "23"
        return self.obey(rule, usual)

    def obey(self, rule: Rule, usual: str) -> bool:
        answer = rule.raw.encode() if rule.raw else _on_the_wire(rule.answer or usual)
        if rule.delay or rule.trickle or rule.hang or rule.drop:
            self.busy = True
            self.flush()
            self.task = asyncio.get_running_loop().create_task(self.obey_slowly(rule, answer))
        else:
            self.out.append(answer)
        return answer[:1] in (b"2", b"3")

    async def obey_slowly(self, rule: Rule, answer: bytes) -> None:
        if rule.delay:
            least, most = (rule.delay, rule.delay) if isinstance(rule.delay, int | float) else rule.delay
            await asyncio.sleep(random.uniform(least, most) / 1000)
        if rule.hang:
            return None
        if rule.drop == "reset":
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.closed = True
            return self.transport.abort()
        if rule.drop == "before":
            return self.close()
        if rule.trickle:
            for byte in answer:
                await asyncio.sleep(rule.trickle)
                if not self.transport.is_closing():
                    self.transport.write(bytes([byte]))
        else:
            self.out.append(answer)
            self.flush()
        if rule.drop:
            return self.close()
        self.busy = False
        return self.work()

    def close(self) -> None:
        self.closed = True
        self.transport.close()


def _on_the_wire(text: str) -> bytes:
    """Return an answer with its code on each line (RFC 5321 section 4.2.1)."""
    code, rest = text[:3], text[4:].split("\n")
    return "".join(f"{code}{'-' if n < len(rest) else ' '}{line}\r\n" for n, line in enumerate(rest, 1)).encode()


async def serve(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    server = Server(options)
    immediate = server.tls if options.implicit_tls else None
    listening = await loop.create_server(
        lambda: Dialogue(server), options.host, options.port, ssl=immediate, backlog=1000
    )
    print(listening.sockets[0].getsockname()[1], flush=True)
    finished = loop.create_future()
    lines = bytearray()

    def control() -> None:
        if not (read := os.read(0, 1 << 16)):
            loop.remove_reader(0)
            if options.with_parent:
                finished.set_result(None)
        lines.extend(read)
        while (end := lines.find(b"\n")) >= 0:
            order = json.loads(lines[:end])
            del lines[: end + 1]
            if "rules" in order:
                server.set_rules(order["rules"])
            print(json.dumps(server.stats), flush=True)

    with contextlib.suppress(PermissionError):  # a plain file or /dev/null: nobody gives orders
        loop.add_reader(0, control)
    await finished
