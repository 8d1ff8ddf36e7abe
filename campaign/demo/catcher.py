"""The mail server of the demonstration: it stores every message that it takes, and passes none on.

    python -m campaign.demo.catcher PORT FOLDER [--outage]

As real ones do, it refuses some recipients, and some messages come back a moment later (`provider`); those are put
into the folder `returned` beside FOLDER, as a mail server would put them into a mailbox. It listens on loopback only.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import django
from aiosmtpd.smtp import SMTP

from . import caught

HOST = "127.0.0.1"
COMES_BACK_AFTER = 1.0  # seconds


class Keeper:
    """Stores what the server accepts."""

    def __init__(self, where: Path, *, outage: bool) -> None:
        self.where, self.outage = where, outage
        self.returned = caught.returned(where)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        from . import provider

        if refused := provider.refusal(address):
            return refused
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        from . import provider

        body = envelope.content
        assert isinstance(body, bytes)  # noqa: S101 (the server is told not to decode)
        sender = (envelope.mail_from or "").removeprefix("<>")
        caught.keep(self.where, sender=sender, recipients=list(envelope.rcpt_tos), body=body)
        for recipient in envelope.rcpt_tos if sender else ():  # a report is never reported on (RFC 5321 section 6.1)
            if back := provider.comes_back(provider.Post(sender, recipient, body), outage=self.outage):
                asyncio.get_running_loop().call_later(COMES_BACK_AFTER, caught.put_back, self.returned, back)
        return "250 2.0.0 Caught"


async def serve(port: int, where: Path, *, outage: bool = False) -> asyncio.Server:
    """Start to listen; port 0 takes a free one."""
    where.mkdir(parents=True, exist_ok=True)
    caught.returned(where).mkdir(parents=True, exist_ok=True)

    def connection() -> SMTP:
        # A name is given so that none is asked of a name server; SMTPUTF8 carries mailboxes beyond ASCII (RFC 6531).
        keeper = Keeper(where, outage=outage)
        return SMTP(keeper, hostname="localhost", ident="Campaign mail catcher", enable_SMTPUTF8=True)

    return await asyncio.get_running_loop().create_server(connection, HOST, port)


async def _forever(port: int, where: Path, *, outage: bool) -> None:
    server = await serve(port, where, outage=outage)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    django.setup()
    asyncio.run(_forever(int(sys.argv[1]), Path(sys.argv[2]), outage="--outage" in sys.argv))
