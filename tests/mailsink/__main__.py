"""Run the mail sink: see `tests.mailsink`."""

import argparse
import asyncio
import contextlib
import os
from collections.abc import Sequence

from .server import serve


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="An SMTP server that accepts everything, or misbehaves on request.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", default=os.devnull, help="one line per message: number, ns, to, size, id, from")
    parser.add_argument("--keep", default="", help="a folder for the messages themselves")
    parser.add_argument("--without", default="", type=lambda names: names.split(","), help="extensions not to offer")
    parser.add_argument("--size", type=int, default=50_000_000)
    parser.add_argument("--certificate", default="", help="PEM file: offers STARTTLS")
    parser.add_argument("--key", default="")
    parser.add_argument("--implicit-tls", action="store_true", help="TLS from the first byte")
    parser.add_argument("--auth", default="", help="name:password that AUTH PLAIN takes")
    parser.add_argument("--idle", type=float, default=0, help="seconds without a command before 421")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input ends")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
