"""A proxy for PostgreSQL that counts round trips, and can hang: a client waits after each Query and each Sync message.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Bench

    from reconciler.playground.world import World

WAITED_FOR = (b"Q", b"S")
"""Types of the messages after which a client waits for an answer: Query, and the Sync that ends a pipeline."""
STATEMENTS = (b"Q", b"P")
"""Types of the messages that carry the text of a statement: Query and Parse."""
SOCKET = ".s.PGSQL.5432"


def listen_at(bench: Bench, world: World, folder: Path) -> None:
    """Let a test's repository reach its database through the proxy in ``folder``."""
    yaml = bench.repo / "butler.yaml"
    yaml.write_text(yaml.read_text().replace(f"host={world.read_record()['postgres']}", f"host={folder}"))


class RoundTrips:
    """Number of times that clients waited for the server, and number of these after an INSERT.

    From a statement with the text ``hang_at`` on, nothing is forwarded any more, and new connections get no answer.
    """

    def __init__(self) -> None:
        self.count = self.inserts = 0
        self.hang_at: bytes | None = None
        self.hanging = threading.Event()


@contextlib.contextmanager
def counting_round_trips(folder: Path, server: str) -> Iterator[RoundTrips]:
    """Listen in ``folder`` for the server whose Unix socket is in ``server``, until the context is left."""
    trips = RoundTrips()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / SOCKET))
        listening.listen()
        threading.Thread(target=_accept, args=(listening, f"{server}/{SOCKET}", trips), daemon=True).start()
        yield trips


def _accept(listening: socket.socket, server: str, trips: RoundTrips) -> None:
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        upstream = socket.socket(socket.AF_UNIX)
        upstream.connect(server)
        threading.Thread(target=_forward_requests, args=(client, upstream, trips), daemon=True).start()
        threading.Thread(target=_forward_answers, args=(upstream, client, trips), daemon=True).start()


def _forward_requests(client: socket.socket, upstream: socket.socket, trips: RoundTrips) -> None:
    kind_length = 0  # the first message of a connection has no type
    pending = b""
    inserting = False
    with contextlib.suppress(OSError):  # the server went first
        while data := client.recv(1 << 16):
            pending += data
            while len(pending) >= kind_length + 4:
                (length,) = struct.unpack(">I", pending[kind_length : kind_length + 4])
                if len(pending) < kind_length + length:
                    break
                kind = pending[:kind_length]
                if trips.hang_at is not None and kind in STATEMENTS and trips.hang_at in pending[: kind_length + length]:
                    trips.hanging.set()
                if trips.hanging.is_set():
                    pending = b""
                    break
                if kind in STATEMENTS:
                    inserting = b"INSERT INTO" in pending[: kind_length + length]
                if kind in WAITED_FOR:
                    trips.count += 1
                    trips.inserts += inserting
                upstream.sendall(pending[: kind_length + length])
                pending = pending[kind_length + length :]
                kind_length = 1
        upstream.shutdown(socket.SHUT_RDWR)  # the other thread is reading from it
    upstream.close()


def _forward_answers(upstream: socket.socket, client: socket.socket, trips: RoundTrips) -> None:
    with contextlib.suppress(OSError):
        while data := upstream.recv(1 << 16):
            if not trips.hanging.is_set():
                client.sendall(data)
    if not trips.hanging.is_set():
        client.close()
