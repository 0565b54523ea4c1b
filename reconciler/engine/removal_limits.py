"""Limits on how many members one run may remove without --prune-limit."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.counts import plural
from reconciler.engine.model import Action
from reconciler.engine.plan import Entry, Plan
from reconciler.errors import RemovalRefused

LARGEST_SHARE = 0.30
"""Share of the members of one resource."""
MOST_RESOURCES = 10
"""Number of resources that lose members."""


def count_removals(plan: Plan) -> int:
    """Return the number of members that a plan removes, without those of actions that it doesn't permit."""
    return sum(len(action.removes) for action in plan.permitted_actions)


def count_pruned(plan: Plan) -> int:
    """Return the number of members that a plan removes because of --prune, and not because a key of the state asks for it."""
    return sum(len(action.removes) for action in plan.permitted_actions if not action.removes_by_key)


def check_removal_limits(plan: Plan, limit: int | None) -> None:
    """Refuse a plan that removes too much.

    Parameters
    ----------
    plan : `Plan`
        The plan.
    limit : `int` or `None`
        Members that may be removed in all; `None` for the usual limits: `LARGEST_SHARE` of the members of a resource,
        `MOST_RESOURCES`, and nothing that a key of the state asks to remove.

    Raises
    ------
    reconciler.errors.RemovalRefused
        If it removes more.
    """
    count = count_removals(plan)
    if limit is not None:
        if count > limit:
            text = f"{plural(count, 'member')} would be removed, more than --prune-limit {limit:,}"
            raise RemovalRefused(text, count, ("nothing was changed",))
        return
    losing = [
        (entry, removing)
        for entry in plan.entries
        if (removing := [action for action in entry.actions if action.removes and plan.permits(action)])
    ]
    problems = [text for entry, removing in losing for text in _check_share(entry, removing)]
    if len(losing) > MOST_RESOURCES:
        problems.append(f"{len(losing):,} resources would lose members, more than {MOST_RESOURCES}")
    if problems:
        hint = f"if that is intended, use --prune-limit {count}; nothing was changed"
        raise RemovalRefused(problems, count, (hint,))


def _check_share(entry: Entry, removing: Sequence[Action]) -> list[str]:
    """Return what is beyond the limits: too large a share of the members, or any that a key of the state asks to remove."""
    asked = [f"{entry.address}: {action.reason}" for action in removing if action.removes_by_key]
    lost = sum(len(action.removes) for action in removing if not action.removes_by_key)
    parts = entry.observed.members if entry.observed is not None else ()
    total = max((part.present + len(part.unwanted) for part in parts if part.unwanted), default=lost)
    if lost <= LARGEST_SHARE * total:
        return asked
    return [*asked, f"{entry.address}: {lost:,} of {total:,} members would be removed, more than {LARGEST_SHARE:.0%}"]
