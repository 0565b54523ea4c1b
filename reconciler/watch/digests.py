"""Digests of tables and of the input files that they name, from which the watch finds out that somebody edited one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from reconciler.engine.diff import canonical
from reconciler.engine.model import Address, DesiredState

MOST_BYTES_HASHED = 1 << 30
"""Input files that are larger are compared by size and modification time."""


def digest(value: Any) -> str:
    """Return a digest of JSON values; what JSON doesn't have counts by its text."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:32]


class TableDigests:
    """Digests of tables and of the input files that they name, each read once."""

    def __init__(self, state: DesiredState) -> None:
        self.state = state
        self.documents: dict[Address, Any] = {}
        self.files: dict[str, str] = {}

    def of_tables(self, addresses: Collection[Address]) -> str:
        """Return one digest of the tables of some addresses, whatever their order."""
        return digest(sorted([str(address), self._document(address)] for address in addresses))

    def of_inputs(self, addresses: Collection[Address]) -> str:
        """Return one digest of the names and contents of the local files that the tables of some addresses name.

        Of files above `MOST_BYTES_HASHED`, size and time count, and of one that can't be read, the error.
        """
        names = {name for address in addresses for name in _list_files(self._document(address))}
        return digest([[name, self._file(name)] for name in sorted(names)])

    def _document(self, address: Address) -> Any:
        if address not in self.documents:
            self.documents[address] = canonical(self.state.resources[address])
        return self.documents[address]

    def _file(self, name: str) -> str:
        if name not in self.files:
            self.files[name] = _hash_file(name)
        return self.files[name]


def _list_files(value: Any) -> Iterator[str]:
    """Yield the local files that a table names. Those on remote storage are not read, so an edit of one isn't noticed."""
    if isinstance(value, str):
        if os.path.isabs(value) and os.path.isfile(value):
            yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _list_files(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _list_files(inner)


def _hash_file(name: str) -> str:
    try:
        status = os.stat(name)
        if status.st_size > MOST_BYTES_HASHED:
            return f"{status.st_size} {status.st_mtime_ns}"
        with open(name, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"
