"""One word for each resource of a plan, for lists and graphs."""

from __future__ import annotations

from enum import StrEnum

from reconciler.engine.model import DifferenceKind
from reconciler.engine.plan import Entry


class EntryStatus(StrEnum):
    """The status of a resource: the first of these that applies."""

    UNKNOWN = "unknown"  # it could not be checked
    CONFLICT = "conflict"  # its name or definition is taken by something else
    MISSING = "missing"  # it doesn't exist
    DIFFERS = "differs"
    BLOCKED = "blocked"
    WAITING = "waiting"  # Rucio has not delivered everything yet
    FAILING = "failing"  # an expectation fails
    DEGRADED = "degraded"
    UNWANTED = "unwanted"  # it contains unwanted members
    LATER = "later"  # known only after another resource has changed
    OK = "ok"


COLOURS = {
    EntryStatus.UNKNOWN: "red",
    EntryStatus.CONFLICT: "red",
    EntryStatus.MISSING: "green",
    EntryStatus.DIFFERS: "yellow",
    EntryStatus.BLOCKED: "magenta",
    EntryStatus.WAITING: "cyan",
    EntryStatus.FAILING: "red",
    EntryStatus.DEGRADED: "magenta",
    EntryStatus.UNWANTED: "red",
    EntryStatus.LATER: "cyan",
}
"""Terminal colours, as in a diff."""

_BY_KIND = (
    (DifferenceKind.BLOCKED, EntryStatus.BLOCKED),
    (DifferenceKind.WAITING, EntryStatus.WAITING),
    (DifferenceKind.FAILED, EntryStatus.FAILING),
    (DifferenceKind.DEGRADED, EntryStatus.DEGRADED),
)


def find_status(entry: Entry) -> EntryStatus:
    """Return the status of a resource of a plan; one without actions is as its differences are, the worst first."""
    if entry.observed is None:
        return EntryStatus.UNKNOWN
    if entry.has(DifferenceKind.CONFLICT):
        return EntryStatus.CONFLICT
    if entry.actions:
        return EntryStatus.MISSING if entry.observed.spec is None else EntryStatus.DIFFERS
    for kind, status in _BY_KIND:
        if entry.has(kind):
            return status
    if entry.has(DifferenceKind.MAKE, DifferenceKind.CHANGE):
        return EntryStatus.MISSING if entry.observed.spec is None else EntryStatus.DIFFERS
    if entry.has(DifferenceKind.REMOVE):
        return EntryStatus.UNWANTED
    return EntryStatus.LATER if entry.has(DifferenceKind.LATER) else EntryStatus.OK
