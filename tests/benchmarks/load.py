"""Send prepared HTTP requests over some kept connections, as fast as they are answered, and time each of them.

    python -m tests.benchmarks.load PORT CONNECTIONS < requests.json > times.json

An own process, so that the client takes nothing from the web server but a part of the processor.
"""

import json
import socket
import sys
import threading
import time
from collections.abc import Iterator


def answers(port: int, requests: Iterator[bytes], found: list[tuple[int, float]]) -> None:
    """Send requests one after the other; note (status, seconds) of each."""
    connection, buffer = socket.create_connection(("127.0.0.1", port)), b""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for request in requests:
        began = time.perf_counter()
        connection.sendall(request)
        while b"\r\n\r\n" not in buffer:
            if not (more := connection.recv(65536)):
                raise ConnectionError("closed")
            buffer += more
        head, _blank, buffer = buffer.partition(b"\r\n\r\n")
        lower = head.lower()
        length = int(lower.partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(buffer) < length:
            buffer += connection.recv(65536)
        buffer = buffer[length:]
        found.append((int(head.split(b" ", 2)[1]), time.perf_counter() - began))
        if b"connection: close" in lower:
            connection.close()
            connection = socket.create_connection(("127.0.0.1", port))


def main() -> None:
    port, connections = int(sys.argv[1]), int(sys.argv[2])
    requests = [text.encode() for text in json.load(sys.stdin)]
    source, lock = iter(requests), threading.Lock()

    def each() -> Iterator[bytes]:
        while True:
            with lock:
                request = next(source, None)
            if request is None:
                return
            yield request

    found: list[tuple[int, float]] = []
    threads = [threading.Thread(target=answers, args=(port, each(), found)) for _n in range(connections)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    json.dump({"seconds": time.perf_counter() - began, "answers": found}, sys.stdout)


if __name__ == "__main__":
    main()
