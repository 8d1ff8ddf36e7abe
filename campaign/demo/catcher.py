"""The mail server of the demonstration: it accepts every message, stores it, and passes none on.

    python -m campaign.demo.catcher PORT FOLDER

It listens on loopback only.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

from . import caught

HOST = "127.0.0.1"


class Keeper:
    """Stores what the server accepts."""

    def __init__(self, where: Path) -> None:
        self.where = where

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        body = envelope.content
        assert isinstance(body, bytes)  # noqa: S101 (the server is told not to decode)
        caught.keep(self.where, sender=envelope.mail_from or "", recipients=list(envelope.rcpt_tos), body=body)
        return "250 2.0.0 Caught"


async def serve(port: int, where: Path) -> asyncio.Server:
    """Start to listen; port 0 takes a free one."""
    where.mkdir(parents=True, exist_ok=True)

    def connection() -> SMTP:
        # A name is given so that none is asked of a name server; SMTPUTF8 carries mailboxes beyond ASCII (RFC 6531).
        return SMTP(Keeper(where), hostname="localhost", ident="Campaign mail catcher", enable_SMTPUTF8=True)

    return await asyncio.get_running_loop().create_server(connection, HOST, port)


async def _forever(port: int, where: Path) -> None:
    server = await serve(port, where)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_forever(int(sys.argv[1]), Path(sys.argv[2])))
