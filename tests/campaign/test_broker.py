"""The broker made of files hands over whole messages only."""

import threading
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from campaign import broker


@pytest.fixture
def connection(tmp_path: Path) -> Any:
    broker.install()
    for name in ("queue", "processed", "control"):
        (tmp_path / name).mkdir()
    options = {
        "data_folder_in": str(tmp_path / "queue"), "data_folder_out": str(tmp_path / "queue"),
        "processed_folder": str(tmp_path / "processed"), "control_folder": str(tmp_path / "control"),
    }  # fmt: skip
    return Connection("filesystem://localhost", transport_options=options)


def test_it_is_the_transport_of_celery(connection: Any) -> None:
    assert isinstance(connection.transport, broker.Transport)


def test_readers_that_race_with_a_writer_get_every_message_whole(connection: Any) -> None:
    """With kombu's own way of writing, a reader meets an empty file within some hundred messages."""
    wanted, got, failures = 1500, [], []

    def read() -> None:
        from queue import Empty

        with connection.clone() as mine:
            channel = mine.channel()
            while len(got) < wanted and not failures:
                try:
                    got.append(channel._get("work")["number"])
                except Empty:
                    continue
                except ValueError as error:
                    failures.append(error)

    readers = [threading.Thread(target=read) for _n in range(2)]
    for reader in readers:
        reader.start()
    channel = connection.channel()
    for number in range(wanted):
        channel._put("work", {"number": number, "padding": "x" * 2000})
    for reader in readers:
        reader.join(60)
    assert failures == []
    assert sorted(got) == list(range(wanted))
