"""How much one run may take away without being told so in so many words."""

from __future__ import annotations

from reconciler.engine.plan import Entry, Plan
from reconciler.errors import PlanError

MOST_OF_A_RESOURCE = 0.30
MOST_RESOURCES = 10


def doomed(plan: Plan) -> list[Entry]:
    """Find the resources that lose members.

    Parameters
    ----------
    plan : `reconciler.engine.plan.Plan`
        The plan.

    Returns
    -------
    entries : `list` [`reconciler.engine.plan.Entry`]
        In its order.
    """
    return [entry for entry in plan.entries if any(action.destroys for action in entry.actions)]


def count(plan: Plan) -> int:
    """Count the members that a plan takes away.

    Parameters
    ----------
    plan : `reconciler.engine.plan.Plan`
        The plan.

    Returns
    -------
    count : `int`
        All of them.
    """
    return sum(action.destroys for action in plan.actions)


def check(plan: Plan, limit: int | None) -> None:
    """Refuse a plan that takes away too much.

    Parameters
    ----------
    plan : `reconciler.engine.plan.Plan`
        The plan.
    limit : `int` or `None`
        Members that may be taken away in all; `None` for the ordinary limits.

    Raises
    ------
    reconciler.errors.PlanError
        If it takes away more.
    """
    if limit is not None:
        if count(plan) > limit:
            raise PlanError(f"{count(plan):,} members would be removed, and --prune-limit is {limit:,}", ("nothing was changed",))
        return
    losing = doomed(plan)
    problems = []
    for entry in losing:
        lost = sum(action.destroys for action in entry.actions)
        members = entry.seen.members if entry.seen is not None else ()
        total = max((m.present + len(m.extra) for m in members if m.extra), default=lost)
        if lost > MOST_OF_A_RESOURCE * total:
            problems.append(f"{entry.id}: {lost:,} of {total:,} members would be removed, more than {MOST_OF_A_RESOURCE:.0%}")
    if len(losing) > MOST_RESOURCES:
        problems.append(f"{len(losing):,} resources would lose members, more than {MOST_RESOURCES}")
    if problems:
        raise PlanError("\n".join(problems), (f"if that is meant, give --prune-limit {count(plan)}; nothing was changed",))
