"""A program of a user: bring a repository to its desired state, and report what happened."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import reconciler
from reconciler import Action, ApplyResult, DiffReport, Listener, LockHeld, Plan, ReconcileError, Status, open_session
from reconciler.errors import StateError


class Progress(Listener):
    """Prints each action as it begins."""

    def started(self, action: Action) -> None:
        """Print the address and the verb."""
        print(f"{action.address}: {action.verb}")


def count_datasets(plan: Plan) -> int:
    """Return the number of datasets that a plan ingests or registers."""
    return sum(action.cost.datasets for action in plan.actions)


def run(path: str) -> ApplyResult:
    """Apply a state."""
    with open_session(path, {"rse": "IN2P3_RAW_DISK", "copies": 2}) as session:
        plan = session.plan(only=["chain.*"], prune=True)
        for entry in plan.unknown:
            error: ReconcileError | None = entry.error
            print(entry.address.kind, entry.address.name, error)
        return session.apply(plan, prune=True, prune_limit=10, wait=60.0, listener=Progress())


def count_differences(reports: Sequence[DiffReport]) -> str:
    """Return a report: a format."""
    return str(sum(len(resource.differences) for report in reports for resource in report.resources))


render: reconciler.ReportFormat = count_differences


def main() -> int:
    """Run, and return an exit code."""
    try:
        result = run(sys.argv[1])
        result.raise_for_failures()
    except LockHeld:
        return 75
    except StateError as error:
        print(*error.problems, *error.hints, sep="\n")
        return 1
    waiting = [outcome.address for outcome in result.outcomes if outcome.status is Status.WAITING]
    print(reconciler.__version__, result.run, waiting)
    return result.exit_code
