"""A TCP relay that stands between two real parties: it cuts the line, or does something at a moment of the dialogue.

with Relay(port) as relay:                      # relay.port leads to port
    relay.moment = Moment("body", 3, kill)
relay.cut(); ...; relay.mend()
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Self

from tests.servers import free_port

CHUNK = 1 << 16


class Moment:
    """A moment of the SMTP dialogue; the `count`-th time that it comes, `act` is called, once.

    "mail": the client has said MAIL. "body": half of a message has gone through. "accepted": the receiving side has
    taken a message, and its answer has not gone through. "answered": it just has.
    """

    def __init__(self, name: str, count: int, act: Callable[[], None]) -> None:
        self.name, self.left, self.act = name, count, act
        self._lock = threading.Lock()

    def comes(self) -> bool:
        """Count one; say whether it is the one."""
        with self._lock:
            self.left -= 1
            return self.left == 0


class Relay:
    """Listens on a free port, or the one given, and relays each connection to another port of loopback."""

    def __init__(self, target: int) -> None:
        self.target, self.port = target, free_port()
        self.moment: Moment | None = None
        self._down = self._held = False
        self._flows = threading.Event()
        self._flows.set()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Reset every connection, and each new one until `mend`."""
        self._down = True
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for end in pair:
                _reset(end)

    def hold(self) -> None:
        """Let nothing through, without a word, until `mend`."""
        self._flows.clear()

    def mend(self) -> None:
        self._down = False
        self._flows.set()

    def _listen(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            try:
                if self._down:
                    raise ConnectionError
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                _reset(client)
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._pairs.add((client, server))
            dialogue = _Dialogue(self, client, server)
            for flow in (dialogue.forth, dialogue.back):
                threading.Thread(target=flow, daemon=True).start()

    def wait_until_it_flows(self) -> None:
        self._flows.wait()

    def over(self, client: socket.socket, server: socket.socket) -> None:
        with self._lock:
            self._pairs.discard((client, server))
        for end in (client, server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class _Dialogue:
    """One relayed connection."""

    def __init__(self, relay: Relay, client: socket.socket, server: socket.socket) -> None:
        self.relay, self.client, self.server = relay, client, server
        self.in_body = False

    def forth(self) -> None:
        self._flow(self.client, self.server, self._from_client)

    def back(self) -> None:
        self._flow(self.server, self.client, self._from_server)

    def _flow(self, source: socket.socket, target: socket.socket, look: Callable[[bytes], bool]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                self.relay.wait_until_it_flows()
                if look(data):
                    break
                target.sendall(data)
        self.relay.over(self.client, self.server)

    def _from_client(self, data: bytes) -> bool:
        """Look at what the client says; return whether the line ends here."""
        moment = self.relay.moment
        if moment is None:
            return False
        if self.in_body:
            self.in_body = False
            if moment.name == "body" and moment.comes():
                self.server.sendall(data[: len(data) // 2])
                moment.act()
                return True
        elif moment.name == "mail" and b"MAIL FROM" in data.upper() and moment.comes():
            self.server.sendall(data[: data.find(b"\n") + 1])
            moment.act()
            return True
        return False

    def _from_server(self, data: bytes) -> bool:
        moment = self.relay.moment
        if b"354 " in data:
            self.in_body = True
        if moment is None or b"Accepted" not in data or moment.name not in ("accepted", "answered"):
            return False
        if moment.comes():
            if moment.name == "answered":
                self.client.sendall(data)
            moment.act()
            return True
        return False


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
