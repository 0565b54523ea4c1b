"""The counts of a plan, which its text, its JSON and its one line share, so that they can't disagree."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from reconciler.engine.model import DifferenceKind
from reconciler.engine.plan import Plan
from reconciler.engine.removal_limits import count_removals

WITHOUT_ACTION = (
    ("waiting", DifferenceKind.WAITING),
    ("in_conflict", DifferenceKind.CONFLICT),
    ("blocked", DifferenceKind.BLOCKED),
    ("degraded", DifferenceKind.DEGRADED),
    ("failing", DifferenceKind.FAILED),
)
"""How resources that differ and have no actions are counted: each once, under the first that applies."""


class PlanSummary(BaseModel):
    """How many resources differ, and what is to be done about them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    resources: int = Field(ge=0, description="Number of resources compared.")
    in_sync: int = Field(ge=0, description="Number of resources in sync.")
    differing: int = Field(ge=0, description="Number of resources that differ; those in the next six fields are among them.")
    to_change: int = Field(ge=0, description="Number of resources with actions.")
    waiting: int = Field(ge=0, description="Number of resources without actions that wait for a delivery.")
    in_conflict: int = Field(ge=0, description="Number of resources whose name or definition is taken by something else.")
    blocked: int = Field(ge=0, description="Number of resources that can't be changed before something else is.")
    degraded: int = Field(ge=0, description="Number of resources that exist and are unhealthy.")
    failing: int = Field(ge=0, description="Number of expectations that fail.")
    unknown: int = Field(ge=0, description="Number of resources that could not be checked.")
    with_unwanted: int = Field(ge=0, description="Number of resources with unwanted members.")
    removals: int = Field(ge=0, description="Number of members that the actions remove, move or overwrite.")
    by_count: int = Field(ge=0, description="Number of resources of which members were compared by count only.")
    actions: int = Field(ge=0, description="Number of actions.")
    datasets: int = Field(ge=0, description="Number of datasets to ingest or register.")
    bytes: int = Field(ge=0, description="Size of these datasets.")


def summarize(plan: Plan) -> PlanSummary:
    """Count the resources of a plan."""
    rest = [entry for entry in plan.differing if not entry.actions]
    counts: dict[str, int] = {}
    for name, kind in WITHOUT_ACTION:
        counts[name] = sum(entry.has(kind) for entry in rest)
        rest = [entry for entry in rest if not entry.has(kind)]
    cost = plan.cost
    return PlanSummary(
        resources=len(plan.entries),
        in_sync=sum(entry.in_sync for entry in plan.entries),
        differing=len(plan.differing),
        to_change=sum(bool(entry.actions) for entry in plan.entries),
        unknown=len(plan.unknown),
        with_unwanted=sum(entry.has(DifferenceKind.REMOVE) for entry in plan.entries),
        removals=count_removals(plan),
        by_count=len(plan.compared_by_count),
        actions=len(plan.permitted_actions),
        datasets=cost.datasets,
        bytes=cost.size,
        **counts,
    )


def add(summaries: list[PlanSummary]) -> PlanSummary:
    """Return the counts of several plans together."""
    return PlanSummary(**{name: sum(getattr(each, name) for each in summaries) for name in PlanSummary.model_fields})


def describe(name: str, counts: PlanSummary) -> str:
    """Return a plan in one line, such as ``DRIFT ccms1: 7 of 61 differ, 4 to change, 0 unknown``.

    The first word is UNKNOWN if anything could not be checked, else DRIFT if anything differs, else OK.
    """
    word = "UNKNOWN" if counts.unknown else "OK" if counts.in_sync == counts.resources else "DRIFT"
    verb = "differs" if counts.differing == 1 else "differ"
    text = f"{word} {name}: {counts.differing:,} of {counts.resources:,} {verb}, {counts.to_change:,} to change"
    parts = [f"{count:,} {kind.replace('_', ' ')}" for kind, _ in WITHOUT_ACTION if (count := getattr(counts, kind))]
    if counts.with_unwanted:
        parts.append(f"{counts.with_unwanted:,} with unwanted members")
    parts.append(f"{counts.unknown:,} unknown")
    if counts.by_count:
        parts.append(f"{counts.by_count:,} by count only")
    return ", ".join([text, *parts])
