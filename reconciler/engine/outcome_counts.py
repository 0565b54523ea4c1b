"""Counts of how resources ended, and the exit code of a run, in a module that doesn't import what executes one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from reconciler.engine.model import Outcome, Status
from reconciler.errors import ConflictError

DONE = (Status.OK, Status.CHANGED)
HELD_UP = (Status.WAITING, Status.BLOCKED, Status.DEGRADED)


def count_statuses(outcomes: Collection[Outcome]) -> Counter[Status]:
    """Return the number of resources by status."""
    return Counter(outcome.status for outcome in outcomes)


def count_acted(outcomes: Collection[Outcome]) -> int:
    """Return the number of resources on which a run acted, whatever their status."""
    return sum(bool(outcome.actions) for outcome in outcomes)


def exit_code(outcomes: Collection[Outcome]) -> int:
    """Return the exit code of a run: 0 in sync, 2 something is left undone, 1 a failure, a conflict, or something unchecked."""
    counts = count_statuses(outcomes)
    if counts[Status.FAILED] or any(isinstance(outcome.error, ConflictError) for outcome in outcomes):
        return 1
    return 2 if any(counts[status] for status in HELD_UP) else 0
