"""When an apply last left resources in sync, from the journal."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from reconciler.engine.journal import read_journal
from reconciler.engine.model import JsonObject
from reconciler.errors import StateError


def read_last_applies(
    journal: Path | None, place: tuple[str, str | None, str | None], addresses: Collection[str], resources: int
) -> dict[str, str]:
    """Return when an apply of this very state, on these systems, last left some addresses in sync.

    An apply of a part of the state records nothing of the rest. So where the journal doesn't have as many outcomes as the state
    has resources, only resources with a finished action count.

    Parameters
    ----------
    journal : `pathlib.Path` or `None`
        The journal.
    place : `tuple` [`str`, `str` or `None`, `str` or `None`]
        Digest of the state, Butler repository and Rucio server, as an apply records them.
    addresses : `Collection` [`str`]
        The addresses that matter.
    resources : `int`
        Number of resources of the state.

    Returns
    -------
    times : `dict` [`str`, `str`]
        Times in ISO form by address; empty if there is no journal, or it can't be read.
    """
    if journal is None:
        return {}
    runs: dict[str, _AppliedRun] = {}
    found: dict[str, str] = {}
    try:
        for event in read_journal(journal):
            name = str(event["run"])
            if event["event"] == "begin":
                if (event.get("digest"), event.get("butler"), event.get("rucio")) == place:
                    runs[name] = _AppliedRun()
            elif name in runs and event["event"] == "action ended" and event.get("outcome") in ("done", "already"):
                runs[name].acted.add(str(event.get("address")))
            elif name in runs and event["event"] == "end":
                ended = runs[name].in_sync(event, addresses, resources)
                found |= dict.fromkeys(ended, str(event["time"]))
    except StateError:
        return {}
    return found


class _AppliedRun:
    """What one apply did, as the journal has it."""

    def __init__(self) -> None:
        self.acted: set[str] = set()

    def in_sync(self, end: JsonObject, addresses: Collection[str], resources: int) -> set[str]:
        left = end.get("left")
        counts = end.get("counts")
        if not isinstance(left, list) or not isinstance(counts, dict) or end.get("interrupted"):
            return set()
        kept = {str(item.get("address")) for item in left if item.get("state") != "already"}
        chosen = set(addresses) if sum(map(int, counts.values())) == resources else self.acted
        return (chosen & set(addresses)) - kept
