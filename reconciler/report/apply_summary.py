"""What an operator is told of an apply: what it is going to do, and how it ended."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from reconciler.engine.executor import recap
from reconciler.engine.model import Outcome
from reconciler.engine.plan import Plan
from reconciler.report.formatting import Line, plural, seconds, size


def proposal(plan: Plan) -> Line:
    """Say in one line what would be done.

    Parameters
    ----------
    plan : `reconciler.engine.plan.Plan`
        The plan.

    Returns
    -------
    line : `Line`
        ``Plan: 4 actions, 12 datasets to ingest (0.3 GB), nothing to remove.``
    """
    cost, actions = plan.cost, plan.actions
    parts = [plural(len(actions), "action")]
    if cost.datasets:
        parts.append(f"{plural(cost.datasets, 'dataset')} to ingest or register" + (f" ({size(cost.size)})" if cost.size else ""))
    rules = sum(action.verb == "replicate" for action in actions)
    if rules:
        parts.append(f"{plural(rules, 'rule')} to add")
    removed = sum(action.destroys for action in actions)
    parts.append(f"{plural(removed, 'member')} to remove" if removed else "nothing to remove")
    return Line(f"Plan: {', '.join(parts)}.", bold=True)


def ending(outcomes: Collection[Outcome], elapsed: float, run: str) -> Iterator[Line]:
    """Say how a run ended.

    Parameters
    ----------
    outcomes : collection of `reconciler.engine.model.Outcome`
        Of all resources.
    elapsed : `float`
        Seconds it took.
    run : `str`
        Its name in the journal.

    Yields
    ------
    line : `Line`
        The counts, then what is not done and why.
    """
    counts = recap(outcomes)
    shown = [f"ok {counts['ok'] + counts['already']}", f"changed {counts['changed']}", f"waiting {counts['waiting']}"]
    shown += [f"blocked {counts['blocked']}", f"failed {counts['failed']}"]
    if counts["left"]:
        shown.append(f"not in sync {counts['left']}")
    if counts["refused"]:
        shown.append(f"refused {counts['refused']}")
    if counts["unknown"]:
        shown.append(f"could not be checked {counts['unknown']}")
    yield Line(f"{'   '.join(shown)}        {seconds(elapsed)}       run {run}", bold=True)
    for outcome in outcomes:
        if outcome.state in ("failed", "blocked", "waiting", "left", "unknown", "refused"):
            word = {"left": "Not in sync", "unknown": "Could not be checked"}.get(outcome.state, outcome.state.capitalize())
            colour = {"waiting": "cyan", "blocked": "magenta", "left": "magenta"}.get(outcome.state, "red")
            yield Line(f"{word}: {outcome.id}: {outcome.detail}", colour)
    if counts["waiting"]:
        yield Line("Run again, or use --wait, for what is waiting.")
