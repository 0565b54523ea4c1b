"""Diffs and errors as JSON, by the schemas that ship in ``schemas/``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from reconciler.engine.model import Action, Comparison, Difference, DifferenceKind
from reconciler.engine.plan import Entry, Plan
from reconciler.errors import ReconcileError
from reconciler.report.summary import PlanSummary, add, summarize
from reconciler.systems.stats import Stats
from reconciler.version import __version__

FORMAT: Literal[1] = 1
"""Version of the form of all JSON output; a key is never removed or given another meaning without a new one."""
MOST_MEMBERS = 1000


class DifferenceReport(BaseModel):
    """One difference."""

    model_config = ConfigDict(extra="forbid")

    kind: DifferenceKind = Field(description="What it means.")
    field: str | None = Field(description="The key, or the noun of the members, that differs; null for the whole resource.")
    observed: Any = None
    desired: Any = None
    detail: str = ""
    count: int = Field(0, ge=0, description="Number of members concerned.")
    members: list[dict[str, Any]] = Field(default_factory=list, description=f"The first {MOST_MEMBERS} of them.")


class ComparedReport(BaseModel):
    """How the members of one part were compared."""

    model_config = ConfigDict(extra="forbid")

    field: str
    desired: int
    present: int
    compared: Comparison


class ActionReport(BaseModel):
    """One action."""

    model_config = ConfigDict(extra="forbid")

    verb: str
    reason: str
    datasets: int
    files: int = Field(description="The same number as datasets; kept for programs that read it.")
    bytes: int
    removes: int = Field(description="Number of members that it removes, moves or overwrites.")


class ResourceReport(BaseModel):
    """One resource."""

    model_config = ConfigDict(extra="forbid")

    address: str
    kind: str = Field(description="The TOML table, such as chain.")
    name: str = Field(description="The name in that table.")
    line: int
    in_sync: bool
    error: str | None = None
    differences: list[DifferenceReport]
    compared: list[ComparedReport]
    unobserved: list[str] = Field(description="Keys of the table that can't be observed, so that they were not compared.")
    actions: list[ActionReport]


class StatsReport(BaseModel):
    """Number of queries and calls, with ``--stats``."""

    model_config = ConfigDict(extra="forbid")

    statements: int = Field(description="SQL statements of the Butler.")
    calls: int = Field(description="HTTP requests to Rucio.")
    seconds: dict[str, float] = Field(description="Time of each phase; phases that run at the same time overlap.")


class DiffReport(BaseModel):
    """The diff of one state file."""

    model_config = ConfigDict(extra="forbid")

    program: str = Field(description="Name and version of the program.")
    state: str
    name: str = Field(description="Name of the state.")
    digest: str = Field(description="SHA-256 of the state file and its variables.")
    butler: str | None
    rucio: str | None
    in_sync: bool
    by_count: int = Field(0, ge=0, description="Number of resources of which members were compared by count only.")
    seconds: float
    stats: StatsReport | None = None
    summary: PlanSummary
    resources: list[ResourceReport]


class ErrorReport(BaseModel):
    """One problem of an error that ended a command, or the error of one action."""

    model_config = ConfigDict(extra="forbid")

    message: str
    hints: list[str] = Field(default_factory=list, description="What to do about it.")


class DiffDocument(BaseModel):
    """What ``reconcile diff --format json`` prints."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = FORMAT
    in_sync: bool
    summary: PlanSummary = Field(description="The counts of all states together.")
    states: list[DiffReport]


class ErrorDocument(BaseModel):
    """What a command with ``--format json`` or ``jsonl`` prints if it can't do its work."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = FORMAT
    exit_code: int
    errors: list[ErrorReport]


def make_document(reports: Sequence[DiffReport]) -> DiffDocument:
    """Return what ``--format json`` prints for the diffs of some states."""
    return DiffDocument(
        in_sync=all(report.in_sync for report in reports),
        summary=add([report.summary for report in reports]),
        states=list(reports),
    )


def make_error_document(error: ReconcileError, exit_code: int) -> ErrorDocument:
    """Return what ``--format json`` prints for an error; hints that concern all of its problems are listed with the last one."""
    problems = [ErrorReport(message=problem or type(error).__name__) for problem in error.problems]
    problems[-1].hints.extend(error.hints)
    return ErrorDocument(exit_code=exit_code, errors=problems)


def report_diff(plan: Plan, butler: str | None, rucio: str | None, elapsed: float, stats: Stats | None = None) -> DiffReport:
    """Return the report of a plan, of which a document has one for each state.

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
        name=plan.state.name,
        digest=plan.state.digest,
        butler=butler,
        rucio=rucio,
        in_sync=plan.in_sync,
        by_count=len(plan.compared_by_count),
        seconds=round(elapsed, 3),
        stats=None if stats is None else StatsReport(statements=stats.statements, calls=stats.calls, seconds=stats.seconds),
        summary=summarize(plan),
        resources=[_report_resource(plan, entry) for entry in plan.entries],
    )


def diff_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of what ``diff --format json`` prints: of a `DiffDocument`."""
    return make_schema(DiffDocument)


def error_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of an error: of an `ErrorDocument`."""
    return make_schema(ErrorDocument)


def make_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of what a model is printed as."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema(mode="serialization")}


def _report_resource(plan: Plan, entry: Entry) -> ResourceReport:
    return ResourceReport(
        address=str(entry.address),
        kind=entry.address.kind,
        name=entry.address.name,
        line=plan.state.lines.get(entry.address, 1),
        in_sync=entry.in_sync,
        error=None if entry.error is None else str(entry.error),
        differences=[_report_difference(difference) for difference in entry.differences],
        compared=[
            ComparedReport(field=part.field, desired=part.desired, present=part.present, compared=part.compared)
            for part in (entry.observed.members if entry.observed else ())
        ],
        unobserved=list(entry.observed.unobserved) if entry.observed else [],
        actions=[report_action(action) for action in entry.actions],
    )


def _report_difference(difference: Difference) -> DifferenceReport:
    return DifferenceReport(
        kind=difference.kind,
        field=difference.field or None,
        observed=difference.observed,
        desired=difference.desired,
        detail=difference.detail,
        count=len(difference.members),
        members=[dict(member) for member in difference.members[:MOST_MEMBERS]],
    )


def report_action(action: Action) -> ActionReport:
    """Return the report of an action."""
    return ActionReport(
        verb=action.verb,
        reason=action.reason,
        datasets=action.cost.datasets,
        files=action.cost.datasets,
        bytes=action.cost.size,
        removes=len(action.removes),
    )
