"""What the history of checks knows of one resource, for ``reconcile explain``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reconciler.watch.latest import OpenDifference, open_reading, read_differences
from reconciler.watch.locations import HistoryLocation

IN_SYNC = "select state, address, in_sync_at from reconcile_resources order by in_sync_at desc"


@dataclass(frozen=True)
class ResourceHistory:
    """What the history knows of a resource.

    Parameters
    ----------
    differences : `tuple` [`OpenDifference`, ...]
        What differed at the last check of it, the oldest first.
    last_in_sync : `str` or `None`
        When it was last in sync, in ISO form, UTC.
    """

    differences: tuple[OpenDifference, ...] = ()
    last_in_sync: str | None = None


def read_resource_history(location: HistoryLocation, state: Path, address: str) -> ResourceHistory:
    """Return what the history knows of a resource of a state file.

    Where it doesn't know the path, a state file of the same name is taken, because checks may run on another host.

    Raises
    ------
    reconciler.watch.locations.HistoryError
        If the history can't be read.
    """
    found = [difference for difference in read_differences(location) if difference.address == address]
    with open_reading(location) as query:
        rows = [(str(row[0]), str(row[2])) for row in query(IN_SYNC) if row[1] == address]
    known = {difference.state for difference in found} | {path for path, _ in rows}
    path = str(state.resolve())
    states = {path} if path in known else {other for other in known if Path(other).name == state.name}
    differences = tuple(difference for difference in found if difference.state in states)
    return ResourceHistory(differences, next((moment for path, moment in rows if path in states), None))
