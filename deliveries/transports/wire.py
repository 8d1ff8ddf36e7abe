"""A connection to an SMTP server: what is said, and what is heard within a time (RFC 5321 section 4.2).

`smtplib` gives each reading a time-out of its own, so a server that sends one byte a second holds a message for as
long as it likes, while its lease runs out. Here the whole answer has until a moment.
"""

import contextlib
import socket
import ssl
import time
from dataclasses import dataclass

# RFC 5321 section 4.5.3.1.5 allows 512; some servers write whole paragraphs.
LONGEST_LINE, MOST_LINES = 8_192, 200
# Below so much of a difference the time-out of the socket is left as it is: changing it costs two system calls.
NEAR_ENOUGH = 0.5  # seconds


class Garbled(Exception):
    """What was heard is no SMTP answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; the lines of `text` are without their codes. All that is in it comes from strangers."""

    code: int
    text: str


class Wire:
    """One connection. Raises OSError when it breaks or takes too long, and Garbled."""

    def __init__(self, host: str, port: int, *, patience: float, context: ssl.SSLContext | None = None) -> None:
        self._patience, self._heard = patience, bytearray()
        self._socket = socket.create_connection((host, port), timeout=patience)
        # The final dot goes in a packet of its own: without this it waits for the receiving side's delayed
        # acknowledgement of the message, 40 ms each time (RFC 896 and RFC 1122 section 4.2.3.2 together).
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self.encrypt(context, host)

    def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """Go on in TLS, with a server that proves to be `host`."""
        if self._heard:  # said in clear, to be believed afterwards: CVE-2011-0411
            self.close()
            raise Garbled("The server spoke before the encryption began.")
        try:
            self._socket = context.wrap_socket(self._socket, server_hostname=host)
        except OSError:
            self.close()
            raise

    def say(self, data: bytes) -> None:
        self._socket.sendall(data)

    def hear(self, *, until: float) -> Reply:
        """Return the next answer, complete before `until` (of time.monotonic())."""
        lines: list[str] = []
        code = b""
        while len(lines) < MOST_LINES:
            line = self._line(until)
            if not line[:3].isdigit() or line[3:4] not in (b" ", b"-", b"") or code not in (b"", line[:3]):
                raise Garbled(line.decode("utf-8", "replace"))
            code = line[:3]
            lines.append(line[4:].decode("utf-8", "replace"))
            if line[3:4] != b"-":
                return Reply(int(code), "\n".join(lines))
        raise Garbled(lines[0])

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()

    def _line(self, until: float) -> bytes:
        while (end := self._heard.find(b"\n")) < 0:
            if len(self._heard) > LONGEST_LINE:
                raise Garbled(self._heard[:100].decode("utf-8", "replace"))
            self._listen(until)
        line = bytes(self._heard[:end]).rstrip(b"\r")
        del self._heard[: end + 1]
        return line

    def _listen(self, until: float) -> None:
        """Wait for more to be heard; the socket's own time-out serves unless the moment is nearer."""
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError("The server took too long to answer.")
        if hurried := left < self._patience - NEAR_ENOUGH:
            self._socket.settimeout(left)
        try:
            data = self._socket.recv(1 << 16)
        except TimeoutError:
            return
        finally:
            if hurried:
                self._socket.settimeout(self._patience)
        if not data:
            raise ConnectionResetError("The server closed the connection.")
        self._heard += data
