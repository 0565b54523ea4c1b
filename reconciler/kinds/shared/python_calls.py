"""Python commands for what the ``butler`` and ``rucio`` commands can't do, or do differently from an apply."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.engine.commands import Command

BUTLER = (
    "import os; from uuid import UUID; from lsst.daf.butler import Butler, CollectionType; "
    "butler = Butler(os.environ['REPO'], writeable=True); "
)
RUCIO = "from rucio.client import Client; "
IDS_PER_COMMAND = 1000
"""Longer commands would come near the limit that Linux sets to one argument, 128 kB."""


def can_be_typed(names: Iterable[str]) -> bool:
    """Return whether ``butler`` reads names as they are: it splits lists at commas, but not within brackets."""
    return not any(name.startswith("-") or set(",[]").intersection(name) for name in names)


def butler_calls(*calls: str) -> Command:
    """Return the command that makes calls of a Butler, such as ``collections.redefine_chain('x', ['y'])``."""
    return Command("python", "-c", BUTLER + "; ".join(f"butler.{call}" for call in calls))


def registry_call(call: str) -> Command:
    """Return the command that makes a call of the registry, such as ``setCollectionDocumentation('x', 'y')``."""
    return butler_calls(f"registry.{call}")


def tag_calls(method: str, collection: str, ids: Sequence[str]) -> Iterator[Command]:
    """Yield the commands that ``associate`` or ``disassociate`` datasets, by UUID, with a TAGGED collection."""
    for start in range(0, len(ids), IDS_PER_COMMAND):
        refs = f"[butler.get_dataset(UUID(id)) for id in {list(ids[start : start + IDS_PER_COMMAND])!r}]"
        yield registry_call(f"{method}({collection!r}, {refs})")


def rucio_call(call: str) -> Command:
    """Return the command that makes a call of the Rucio client, such as ``move_replication_rule('…', 'X', {'copies': 2})``."""
    return Command("python", "-c", f"{RUCIO}Client().{call}")
