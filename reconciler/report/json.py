"""A diff as JSON, by the schema that ships in ``schemas/``."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from reconciler.engine.model import Action, Comparison, Difference, DifferenceKind
from reconciler.engine.plan import Entry, Plan
from reconciler.printable import escape_json
from reconciler.redaction import redact_json
from reconciler.systems.stats import Stats
from reconciler.version import __version__

MOST_MEMBERS = 1000


class DifferenceReport(BaseModel):
    """One difference."""

    model_config = ConfigDict(extra="forbid")

    sort: DifferenceKind = Field(description="What it means.")
    field: str | None = Field(description="The key that differs; null for the whole resource.")
    observed: Any = None
    desired: Any = None
    detail: str = ""
    count: int = Field(0, ge=0, description="Number of members concerned.")
    members: list[dict[str, Any]] = Field(default_factory=list, description=f"The first {MOST_MEMBERS} of them.")


class ComparedReport(BaseModel):
    """How the members of one part were compared."""

    model_config = ConfigDict(extra="forbid")

    field: str
    wanted: int
    present: int
    compared: Comparison


class ActionReport(BaseModel):
    """One action."""

    model_config = ConfigDict(extra="forbid")

    verb: str
    reason: str
    datasets: int
    files: int
    bytes: int
    destroys: int


class ResourceReport(BaseModel):
    """One resource."""

    model_config = ConfigDict(extra="forbid")

    address: str
    line: int
    in_sync: bool
    error: str | None = None
    differences: list[DifferenceReport]
    compared: list[ComparedReport]
    actions: list[ActionReport]


class StatsReport(BaseModel):
    """Number of queries and calls, with ``--stats``."""

    model_config = ConfigDict(extra="forbid")

    statements: int = Field(description="SQL statements of the Butler.")
    calls: int = Field(description="HTTP requests to Rucio.")
    seconds: dict[str, float] = Field(description="Time of each phase; phases that run at the same time overlap.")


class DiffReport(BaseModel):
    """What ``reconcile diff --format json`` prints."""

    model_config = ConfigDict(extra="forbid")

    program: str = Field(description="Name and version of the program.")
    state: str
    digest: str = Field(description="SHA-256 of the state file and its variables.")
    butler: str | None
    rucio: str | None
    in_sync: bool
    by_count: int = Field(0, ge=0, description="Number of resources of which members were compared by count only.")
    seconds: float
    stats: StatsReport | None = None
    resources: list[ResourceReport]


def format_json(value: Any) -> str:
    """Format JSON, indented, without credentials and without unprintable characters."""
    return escape_json(json.dumps(redact_json(value), indent=2, ensure_ascii=False))


def report(plan: Plan, butler: str | None, rucio: str | None, elapsed: float, stats: Stats | None = None) -> DiffReport:
    """Return a plan as JSON.

    Parameters
    ----------
    plan : `Plan`
        The plan.
    butler, rucio : `str` or `None`
        The live systems.
    elapsed : `float`
        Seconds that it took.
    stats : `Stats`, optional
        Counts of statements and calls, if they were asked for.
    """
    return DiffReport(
        program=f"reconcile {__version__}",
        state=str(plan.state.path),
        digest=plan.state.digest,
        butler=butler,
        rucio=rucio,
        in_sync=plan.in_sync,
        by_count=len(plan.compared_by_count),
        seconds=round(elapsed, 3),
        stats=None if stats is None else StatsReport(statements=stats.statements, calls=stats.calls, seconds=stats.seconds),
        resources=[_report_resource(plan, entry) for entry in plan.entries],
    )


def report_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the report."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **DiffReport.model_json_schema()}


def _report_resource(plan: Plan, entry: Entry) -> ResourceReport:
    return ResourceReport(
        address=str(entry.address),
        line=plan.state.lines.get(entry.address, 1),
        in_sync=entry.in_sync,
        error=None if entry.error is None else str(entry.error),
        differences=[_report_difference(difference) for difference in entry.differences],
        compared=[
            ComparedReport(field=part.field, wanted=part.desired, present=part.present, compared=part.compared)
            for part in (entry.observed.members if entry.observed else ())
        ],
        actions=[_report_action(action) for action in entry.actions],
    )


def _report_difference(difference: Difference) -> DifferenceReport:
    return DifferenceReport(
        sort=difference.kind,
        field=difference.field or None,
        observed=difference.observed,
        desired=difference.desired,
        detail=difference.detail,
        count=len(difference.members),
        members=[dict(member) for member in difference.members[:MOST_MEMBERS]],
    )


def _report_action(action: Action) -> ActionReport:
    return ActionReport(
        verb=action.verb,
        reason=action.reason,
        datasets=action.cost.datasets,
        files=action.cost.datasets,
        bytes=action.cost.size,
        destroys=len(action.removes),
    )
