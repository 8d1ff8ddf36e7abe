"""The broker made of files, for one machine, with messages that appear whole.

kombu's own opens a file under its final name and then writes it. A worker that lists the folder in between takes an
empty message, and dies of it. Here a message is written under another name first, and renamed.
"""

import uuid
from pathlib import Path
from time import monotonic
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.encoding import str_to_bytes
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """Puts messages into a folder, each by one rename."""

    def _put(self, queue: str, message: Any, **_: Any) -> None:  # type: ignore[override]
        folder = Path(self.data_folder_out)
        name = f"{round(monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        part = folder / f".{name}.part"  # not a name that a reader looks for
        part.write_bytes(str_to_bytes(dumps(message)))  # type: ignore[no-untyped-call]
        part.replace(folder / name)


class Transport(filesystem.Transport):
    Channel = Channel


def install() -> None:
    """Have `filesystem://` mean this transport."""
    TRANSPORT_ALIASES["filesystem"] = "campaign.broker:Transport"
