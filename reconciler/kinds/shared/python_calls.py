"""Python commands for what the ``butler`` and ``rucio`` commands can't do, or do differently from an apply."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.engine.model import Command

BUTLER = (
    "import os; from uuid import UUID; from lsst.daf.butler import Butler, CollectionType; "
    "butler = Butler(os.environ['REPO'], writeable=True); "
)
RUCIO = "from rucio.client import Client; "
IDS_PER_COMMAND = 1000
"""Longer commands would come near the limit that Linux sets to one argument, 128 kB."""


def registry_call(call: str) -> Command:
    """Return the command that makes a call of the registry, such as ``setCollectionDocumentation('x', 'y')``."""
    return Command("python", "-c", f"{BUTLER}butler.registry.{call}")


def tag_calls(method: str, collection: str, ids: Sequence[str]) -> Iterator[Command]:
    """Yield the commands that ``associate`` or ``disassociate`` datasets, by UUID, with a TAGGED collection."""
    for start in range(0, len(ids), IDS_PER_COMMAND):
        refs = f"[butler.get_dataset(UUID(id)) for id in {list(ids[start : start + IDS_PER_COMMAND])!r}]"
        yield registry_call(f"{method}({collection!r}, {refs})")


def rucio_call(call: str) -> Command:
    """Return the command that makes a call of the Rucio client, such as ``move_replication_rule('…', 'X', {'copies': 2})``."""
    return Command("python", "-c", f"{RUCIO}Client().{call}")
