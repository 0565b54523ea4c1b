"""What an apply is going to do, and how it ended, as lines for an operator."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence

from reconciler.engine.model import Outcome, Status
from reconciler.engine.outcome_counts import count_acted, count_statuses
from reconciler.engine.plan import Plan
from reconciler.errors import ConflictError
from reconciler.report.formatting import Line, format_seconds, format_size, plural, without_name
from reconciler.report.run import RunReport

MOST_NAMES = 10
"""Refused resources that a quiet apply names."""
RECAP = (Status.OK, Status.CHANGED, Status.WAITING, Status.DEGRADED, Status.BLOCKED, Status.FAILED)
COLOURS = {Status.FAILED: "red", Status.BLOCKED: "magenta", Status.WAITING: "cyan", Status.DEGRADED: "magenta"}
"""Statuses that are listed one by one at the end."""


def summarize_plan(plan: Plan) -> Line:
    """Return one line such as ``Plan: 4 actions, 12 datasets to ingest or register (0.3 GB), nothing to remove.``"""
    cost, actions = plan.cost, plan.permitted_actions
    parts = [plural(len(actions), "action")]
    if cost.datasets:
        size = f" ({format_size(cost.size)})" if cost.size else ""
        parts.append(f"{plural(cost.datasets, 'dataset')} to ingest or register{size}")
    added = Counter(action.adds for action in actions if action.adds)
    parts += [f"{plural(count, noun)} to add" for noun, count in added.items()]
    removed = sum(len(action.removes) for action in actions)
    parts.append(f"{plural(removed, 'member')} to remove" if removed else "nothing to remove")
    return Line(f"Plan: {', '.join(parts)}.", bold=True)


def summarize_run(outcomes: Collection[Outcome], elapsed: float, run: str) -> Iterator[Line]:
    """Yield the number of resources by status, then what is not done and why; ``elapsed`` is in seconds, ``run`` the run's ID."""
    counts = count_statuses(outcomes)
    shown = "   ".join(f"{status} {counts[status]:,}" for status in RECAP)
    acted = plural(count_acted(outcomes), "resource")
    yield Line(f"{shown}        acted on {acted}   {format_seconds(elapsed)}       run {run}", bold=True)
    yield from _list_unfinished(outcomes)
    hints = [hint for outcome in outcomes if isinstance(outcome.error, ConflictError) for hint in outcome.error.hints]
    yield from (Line(f"  {hint}", COLOURS[Status.BLOCKED]) for hint in dict.fromkeys(hints))
    if counts[Status.WAITING]:
        yield Line("Run again, or use --wait, for what is waiting.")


def describe_run(run: RunReport) -> str:
    """Return one line such as ``CHANGED ccms1: ok 43, changed 16, waiting 1, degraded 0, blocked 0, failed 0``.

    The first word is INTERRUPTED, FAILED if the exit code is 1, DRIFT if something is left to do, CHANGED or OK; of a plan that
    was not executed it is DECLINED, and the line has the number of resources to change.
    """
    if run.run is None:
        return f"DECLINED {run.name}: {run.plan.to_change:,} to change, nothing was changed"
    done = "CHANGED" if run.acted else "OK"
    word = "INTERRUPTED" if run.interrupted else {0: done, 2: "DRIFT"}.get(run.exit_code, "FAILED")
    counts = ", ".join(f"{status} {run.counts[status]:,}" for status in RECAP)
    refused = f"; refused, because it changed since the plan was made: {_join(run.refused)}" if run.refused else ""
    return f"{word} {run.name}: {counts}{refused}"


def _join(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _list_unfinished(outcomes: Collection[Outcome]) -> Iterator[Line]:
    """Yield a line for each resource that isn't done; resources of one kind with the same reason are one line."""
    equal: dict[tuple[Status, str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.status in COLOURS:
            reason = without_name(outcome.detail, outcome.address.name)
            equal[outcome.status, outcome.address.kind, reason].append(outcome)
    for (status, kind, _), (first, *others) in equal.items():
        count = f" and {len(others):,} more of {kind}" if others else ""
        yield Line(f"{status.capitalize()}: {first.address}{count}: {first.detail}", COLOURS[status])
