"""A diff as JSON, by the schema that ships in ``schemas/``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from reconciler import __version__
from reconciler.engine.plan import Plan
from reconciler.systems.stats import Stats

MOST_MEMBERS = 1000


class DifferenceReport(BaseModel):
    """One thing that differs."""

    model_config = ConfigDict(extra="forbid")

    sort: Literal["make", "change", "remove", "waiting", "unwell", "failed", "blocked", "conflict", "unknown", "later"]
    field: str | None = Field(description="Which part; null for the whole resource.")
    observed: Any = None
    desired: Any = None
    detail: str = ""
    count: int = Field(0, ge=0, description="Members concerned.")
    members: list[dict[str, Any]] = Field(default_factory=list, description=f"The first {MOST_MEMBERS} of them.")


class ComparedReport(BaseModel):
    """How a bulk part was compared."""

    model_config = ConfigDict(extra="forbid")

    field: str
    wanted: int
    present: int
    compared: Literal["members", "count"]


class ActionReport(BaseModel):
    """One thing to do."""

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
    """What it took, with ``--stats``."""

    model_config = ConfigDict(extra="forbid")

    statements: int = Field(description="Of SQL, by the Butler.")
    calls: int = Field(description="Of HTTP, to Rucio.")
    seconds: dict[str, float] = Field(description="By phase; what is looked at side by side overlaps.")


class DiffReport(BaseModel):
    """What ``reconcile diff --format json`` prints."""

    model_config = ConfigDict(extra="forbid")

    program: str = Field(description="Name and version of the program.")
    state: str
    digest: str = Field(description="SHA-256 of the state file and its variables.")
    butler: str | None
    rucio: str | None
    in_sync: bool
    seconds: float
    stats: StatsReport | None = None
    resources: list[ResourceReport]


def report(plan: Plan, butler: str | None, rucio: str | None, elapsed: float, stats: Stats | None = None) -> DiffReport:
    """Write a plan as JSON.

    Parameters
    ----------
    plan : `reconciler.engine.plan.Plan`
        What was found.
    butler, rucio : `str` or `None`
        The live systems.
    elapsed : `float`
        Seconds it took.
    stats : `reconciler.systems.stats.Stats`, optional
        What it took besides.

    Returns
    -------
    report : `DiffReport`
        To be printed.
    """
    resources = []
    for entry in plan.entries:
        differences = [
            DifferenceReport(
                sort=d.sort,
                field=d.field or None,
                observed=d.observed,
                desired=d.desired,
                detail=d.detail,
                count=len(d.members),
                members=[dict(facts) for facts in d.members[:MOST_MEMBERS]],
            )
            for d in entry.differences
        ]
        compared = [
            ComparedReport(field=m.field, wanted=m.wanted, present=m.present, compared=m.compared)
            for m in (entry.seen.members if entry.seen else ())
        ]
        actions = [
            ActionReport(
                verb=a.verb,
                reason=a.reason,
                datasets=a.cost.datasets,
                files=a.cost.files,
                bytes=a.cost.size,
                destroys=a.destroys,
            )
            for a in entry.actions
        ]
        resources.append(
            ResourceReport(
                address=str(entry.id),
                line=plan.state.lines.get(entry.id, 1),
                in_sync=entry.in_sync,
                error=None if entry.error is None else str(entry.error),
                differences=differences,
                compared=compared,
                actions=actions,
            )
        )
    return DiffReport(
        program=f"reconcile {__version__}",
        state=str(plan.state.path),
        digest=plan.state.digest,
        butler=butler,
        rucio=rucio,
        in_sync=plan.in_sync,
        seconds=round(elapsed, 3),
        stats=None if stats is None else StatsReport(statements=stats.statements, calls=stats.calls, seconds=stats.seconds),
        resources=resources,
    )


def report_schema() -> dict[str, Any]:
    """Make the schema of the report.

    Returns
    -------
    schema : `dict`
        JSON Schema, draft 2020-12.
    """
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **DiffReport.model_json_schema()}
