"""Why there is a difference: a pure function of the difference, the memory of earlier checks, the journal and the digests.

The live systems are the truth about what differs; memory only answers why, and since when.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.watch.check_result import UNKNOWN_KIND, CheckedResource, FoundDifference
from reconciler.watch.state_report import Cause

NEW_AFTER = 24 * 3600.0
"""Seconds after which what is new is overdue, unless the table has ``new_after``."""
NOT_INHERITED = (Cause.UNKNOWN, Cause.DEGRADED, Cause.ACKNOWLEDGED)
"""Causes that don't explain why an expectation fails."""
MILDEST_FIRST = (Cause.ACKNOWLEDGED, Cause.WAITING, Cause.NEW, Cause.UNAPPLIED, Cause.DEGRADED, Cause.DRIFTED, Cause.UNKNOWN)


@dataclass(frozen=True)
class ResourceMemory:
    """What is known of a resource from the last time that it was in sync.

    Parameters
    ----------
    in_sync_at : `datetime.datetime`
        When that was, in UTC.
    table_digest, inputs_digest : `str`
        Those of `CheckedResource` at that time.
    members : `Mapping` [`str`, `tuple` [`int`, `int`]]
        Number of desired members at that time, and the largest number of present ones at that time and since, by noun.
    """

    in_sync_at: datetime.datetime
    table_digest: str
    inputs_digest: str
    members: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def find_cause(
    difference: FoundDifference,
    resource: CheckedResource | None,
    memory: ResourceMemory | None,
    *,
    in_sync_by_journal: bool = False,
    causes_of_predecessors: Iterable[Cause] = (),
) -> Cause:
    """Return the cause of a difference that no acknowledgement covers.

    Parameters
    ----------
    difference : `FoundDifference`
        What differs.
    resource : `CheckedResource` or `None`
        The resource as it was observed; `None` if it could not be.
    memory : `ResourceMemory` or `None`
        What the history knows of it; `None` if it was never in sync.
    in_sync_by_journal : `bool`
        Whether an apply of the state as it is now left the resource in sync.
    causes_of_predecessors : `Iterable` [`Cause`]
        Causes of what explains a failed expectation in the resources that it depends on.

    Returns
    -------
    cause : `Cause`
        Never acknowledged.
    """
    by_kind = {UNKNOWN_KIND: Cause.UNKNOWN, "waiting": Cause.WAITING, "degraded": Cause.DEGRADED}
    if difference.kind in by_kind:
        return by_kind[difference.kind]
    inherited = _inherit_cause(difference, resource, causes_of_predecessors)
    if inherited is not None:
        return inherited
    if in_sync_by_journal and (memory is None or _was_edited(resource, memory)):
        return Cause.DRIFTED
    if memory is None or _was_edited(resource, memory):
        return Cause.UNAPPLIED
    return Cause.NEW if _source_grew(difference, resource, memory) else Cause.DRIFTED


def is_overdue(cause: Cause, resource: CheckedResource | None, age: datetime.timedelta) -> bool:
    """Return True if something has been new, or waited for, longer than its table allows."""
    if cause is Cause.NEW:
        limit = resource.new_after if resource is not None else None
        return age.total_seconds() > (NEW_AFTER if limit is None else limit)
    if cause is Cause.WAITING and resource is not None and resource.deadline is not None:
        return age.total_seconds() > resource.deadline
    return False


def worst_cause(causes: Iterable[Cause]) -> Cause | None:
    """Return the worst of some causes; None for none."""
    return max(causes, key=MILDEST_FIRST.index, default=None)


def _inherit_cause(difference: FoundDifference, resource: CheckedResource | None, causes: Iterable[Cause]) -> Cause | None:
    """Return the worst cause among the dependencies of a failed expectation, which is only their consequence; else None."""
    if difference.kind != "failed" or resource is None:
        return None
    explaining = [cause for cause in causes if cause not in NOT_INHERITED]
    return worst_cause(explaining)


def _was_edited(resource: CheckedResource | None, memory: ResourceMemory) -> bool:
    if resource is None:
        return False
    return (resource.table_digest, resource.inputs_digest) != (memory.table_digest, memory.inputs_digest)


def _source_grew(difference: FoundDifference, resource: CheckedResource | None, memory: ResourceMemory) -> bool:
    """Return True if members are missing only because there are more to have, and none that was present is gone."""
    if resource is None or difference.kind != "make" or difference.field not in resource.members:
        return False
    desired, present = resource.members[difference.field]
    desired_before, most_present = memory.members.get(difference.field, (0, 0))
    return desired > desired_before and present >= most_present
