"""Everything that is known of one resource: what asks for it, what is live, what differs and since when, and what to do."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from reconciler.engine.diff import canonical
from reconciler.engine.graph import describe_token
from reconciler.engine.hindrances import describe_expected_hindrances
from reconciler.engine.model import Action, Address, Comparison, Difference, DifferenceKind
from reconciler.engine.plan import Entry, Plan, plan_once_delivered
from reconciler.report.entry_status import EntryStatus, find_status
from reconciler.report.journal import RecordedAction
from reconciler.report.json import ActionReport, report_action
from reconciler.report.shell import format_command
from reconciler.version import __version__

MOST_MEMBERS = 1000
_BLOCKING = (DifferenceKind.BLOCKED, DifferenceKind.CONFLICT, DifferenceKind.WAITING)


class _Report(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RelatedResource(_Report):
    """A resource that another one needs, or that needs it."""

    address: str
    kind: str
    name: str
    line: int
    status: EntryStatus | None = Field(description="Null if it was not checked.")
    because: str = Field("", description="What is needed of it; empty if it only has to come first.")


class UnprovidedNeed(_Report):
    """Something that the resource needs and no table provides."""

    token: str
    text: str
    exists: bool | None = Field(description="Whether it exists live; null if that could not be found out.")


class ObservedMembers(_Report):
    """How some members were compared."""

    field: str
    desired: int
    present: int
    compared: Comparison
    listed: str | None = Field(
        None,
        description="If a proof replaces a list of them: each was listed at this time or later; ISO form, UTC. Null if unknown.",
    )


class LiveState(_Report):
    """What exists, and how that was found out."""

    exists: bool | None = Field(description="Null if it could not be checked.")
    checked: str = Field(description="When, in ISO form, UTC.")
    systems: dict[str, str] = Field(description="The live systems that were asked, butler and rucio, and where they are.")
    resources: int = Field(description="Number of resources that were checked together: this one and all that it needs.")
    statements: int = Field(description="SQL statements for all of them.")
    calls: int = Field(description="HTTP requests to Rucio for all of them.")
    seconds: float
    facts: list[str] = Field(description="What else is known of what exists, one phrase each.")
    members: list[ObservedMembers]
    unobserved: list[str] = Field(description="Keys of the table that can't be observed, so that they were not compared.")
    error: list[str] = Field(default_factory=list, description="Why it could not be checked, and what to do.")


class ExplainedDifference(_Report):
    """One difference, and what the history of checks knows of it."""

    sort: DifferenceKind = Field(description="What it means.")
    field: str | None = Field(description="The key that differs; null for the whole resource.")
    observed: Any = None
    desired: Any = None
    detail: str = ""
    count: int = Field(0, ge=0, description="Number of members concerned.")
    members: list[dict[str, Any]] = Field(default_factory=list, description=f"The first {MOST_MEMBERS} of them.")
    first_seen: str | None = Field(None, description="When reconcile drift first saw it; null if it never did.")
    last_seen: str | None = None
    times_seen: int = 0
    cause: str | None = Field(None, description="Its cause at the last check, such as drifted or unapplied.")


class ExplainedAction(ActionReport):
    """One action, with its risk and its commands."""

    risk: str
    once_delivered: bool = Field(description="Whether it is for what Rucio has not delivered yet.")
    commands: list[str] = Field(description="The closest commands, for a shell.")


class ExplainReport(_Report):
    """What ``reconcile explain --format json`` prints."""

    format: Literal[1] = 1
    program: str = Field(description="Name and version of the program.")
    state: str = Field(description="Path of the state file.")
    address: str
    kind: str
    name: str
    line: int
    source: str = Field(description="That line of the state file.")
    status: EntryStatus
    manage: Literal["full", "create", "observe"]
    protect: bool
    note: str | None
    desired: dict[str, Any] = Field(description="The keys of the table that have a value.")
    needs: list[RelatedResource]
    unprovided: list[UnprovidedNeed]
    needed_by: list[RelatedResource]
    live: LiveState
    differences: list[ExplainedDifference]
    last_in_sync: str | None = Field(description="When reconcile drift last found it in sync; null if it never did.")
    actions: list[ExplainedAction]
    blocked_by: list[str] = Field(description="Why something is not done now, one reason each.")
    runs: list[RecordedAction] = Field(description="Its latest actions in the journal, newest first.")


@dataclass(frozen=True)
class SeenDifference:
    """What a history of checks knows of an open difference; times are text in ISO form, in UTC."""

    first_seen: str
    last_seen: str
    times_seen: int
    cause: str


@dataclass(frozen=True)
class KnownFacts:
    """What is known of a resource besides its plan.

    Parameters
    ----------
    source : `str`
        The line of the state file that asks for it.
    systems : `Mapping` [`str`, `str`]
        Where the live systems are.
    statements, calls, seconds
        What checking it and what it needs took.
    existing : `Mapping` [`str`, `bool`]
        Whether tokens exist: those that it needs and no table provides, and those of
        `reconciler.engine.hindrances.find_tokens_that_decide`; without those of which that is unknown.
    seen : `Mapping` [`tuple` [`str`, `str`], `SeenDifference`]
        Open differences of the history, by kind and field.
    last_in_sync : `str` or `None`
        When a check last found it in sync.
    runs : `Sequence` [`RecordedAction`]
        Its latest actions in the journal.
    """

    source: str = ""
    systems: Mapping[str, str] = field(default_factory=dict)
    statements: int = 0
    calls: int = 0
    seconds: float = 0.0
    existing: Mapping[str, bool] = field(default_factory=dict)
    seen: Mapping[tuple[str, str], SeenDifference] = field(default_factory=dict)
    last_in_sync: str | None = None
    runs: Sequence[RecordedAction] = ()


def explain_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of an explanation."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ExplainReport.model_json_schema()}


def explain(plan: Plan, address: Address, facts: KnownFacts) -> ExplainReport:
    """Return what is known of one resource, from a plan and other facts.

    To name commands, input files are read and folders on storage may be listed.

    Parameters
    ----------
    plan : `Plan`
        A plan that was made just now and contains the resource and all that it needs.
    address : `Address`
        The resource.
    facts : `KnownFacts`
        What the plan doesn't know.

    Raises
    ------
    reconciler.errors.StateError
        If an input file can't be read.
    """
    state, graph = plan.state, plan.graph
    entry = next(entry for entry in plan.entries if entry.address == address)
    statuses = {other.address: find_status(other) for other in plan.entries}
    spec = state.resources[address]
    needs = [
        _relate(plan, other, statuses, _describe_need(graph.needs[address].get(other, ""), other))
        for other in graph.order
        if other in graph.predecessors(address)
    ]
    needed_by = [
        _relate(plan, other, statuses, _describe_need(graph.needs[other].get(address, ""), address))
        for other in graph.order
        if address in graph.predecessors(other)
    ]
    unprovided = [
        UnprovidedNeed(token=str(token), text=describe_token(token), exists=facts.existing.get(token))
        for token in graph.unprovided.get(address, ())
    ]
    return ExplainReport(
        program=f"reconcile {__version__}",
        state=str(state.path),
        address=str(address),
        kind=address.kind,
        name=address.name,
        line=state.lines.get(address, 1),
        source=facts.source,
        status=statuses[address],
        manage=spec.manage,
        protect=spec.protect,
        note=spec.note,
        desired={key: _drop_nulls(value) for key, value in canonical(spec).items() if value not in (None, "", [], {})},
        needs=needs,
        unprovided=unprovided,
        needed_by=needed_by,
        live=_describe_live(plan, entry, facts),
        differences=[_explain_difference(difference, facts.seen) for difference in entry.differences],
        last_in_sync=facts.last_in_sync,
        actions=list(_explain_actions(plan, entry)),
        blocked_by=list(dict.fromkeys(_find_hindrances(plan, entry, facts, unprovided))),
        runs=list(facts.runs),
    )


def _drop_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _drop_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_drop_nulls(item) for item in value] if isinstance(value, list) else value


def _describe_need(token: str, provider: Address) -> str:
    """Describe why a resource needs the one that provides a token; the token of ``requires`` is the address itself."""
    if not token:
        return ""
    if token == str(provider):
        return "requires"
    kind, _, name = token.partition(":")
    if kind == "system":
        return "the repository" if name == "butler" else name
    return describe_token(token)


def _relate(plan: Plan, address: Address, statuses: Mapping[Address, EntryStatus], because: str) -> RelatedResource:
    return RelatedResource(
        address=str(address),
        kind=address.kind,
        name=address.name,
        line=plan.state.lines.get(address, 1),
        status=statuses.get(address),
        because=because,
    )


def _describe_live(plan: Plan, entry: Entry, facts: KnownFacts) -> LiveState:
    asked = plan.state.kind_of(entry.address).requirements(entry.spec).systems
    members = [
        ObservedMembers(
            field=part.field,
            desired=part.desired,
            present=part.present,
            compared=part.compared,
            listed=None if part.listed is None else _format_time(part.listed),
        )
        for part in (entry.observed.members if entry.observed is not None else ())
    ]
    return LiveState(
        exists=None if entry.observed is None else entry.observed.exists,
        checked=_format_time(datetime.datetime.now(datetime.UTC)),
        systems={name: place for name, place in facts.systems.items() if name in asked},
        resources=len(plan.entries),
        statements=facts.statements,
        calls=facts.calls,
        seconds=round(facts.seconds, 3),
        facts=list(entry.observed.facts) if entry.observed is not None else [],
        members=members,
        unobserved=list(entry.observed.unobserved) if entry.observed is not None else [],
        error=[] if entry.error is None else [*entry.error.problems, *entry.error.hints],
    )


def _format_time(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def history_key(difference: Difference) -> tuple[str, str]:
    """Return the kind and the field by which a history of checks knows a difference; what is waited for has an empty field."""
    waiting = difference.kind is DifferenceKind.WAITING
    return difference.kind.value, "" if waiting else difference.field or ""


def _explain_difference(difference: Difference, seen: Mapping[tuple[str, str], SeenDifference]) -> ExplainedDifference:
    known = seen.get(history_key(difference))
    return ExplainedDifference(
        sort=difference.kind,
        field=difference.field or None,
        observed=difference.observed,
        desired=difference.desired,
        detail=difference.detail,
        count=len(difference.members),
        members=[dict(member) for member in difference.members[:MOST_MEMBERS]],
        first_seen=known.first_seen if known else None,
        last_seen=known.last_seen if known else None,
        times_seen=known.times_seen if known else 0,
        cause=known.cause if known else None,
    )


def _explain_actions(plan: Plan, entry: Entry) -> Iterator[ExplainedAction]:
    for action in entry.actions:
        yield _explain_action(plan, action, once_delivered=False)
    if not entry.actions and entry.has(DifferenceKind.WAITING) and not entry.has(*_BLOCKING[:2]):
        for action in plan_once_delivered(plan.state, entry):
            yield _explain_action(plan, action, once_delivered=True)


def _explain_action(plan: Plan, action: Action, *, once_delivered: bool) -> ExplainedAction:
    return ExplainedAction(
        **report_action(action).model_dump(),
        risk=action.risk,
        once_delivered=once_delivered,
        commands=[format_command(command) for command in plan.state.kind_of(action.address).commands(action)],
    )


def _find_hindrances(plan: Plan, entry: Entry, facts: KnownFacts, unprovided: Iterable[UnprovidedNeed]) -> Iterator[str]:
    """Yield why something is not done now."""
    if entry.error is not None:
        yield from entry.error.problems
    yield from (need.text + " doesn't exist, and no table provides it" for need in unprovided if need.exists is False)
    if entry.in_sync:
        return
    hindrances = describe_expected_hindrances(plan, entry.address, lambda token: facts.existing.get(token, False))
    yield from hindrances
    for difference in entry.differences:
        if difference.kind in _BLOCKING and difference.detail and difference.detail not in hindrances:
            yield f"{difference.kind}: {difference.detail}"
        if difference.kind is DifferenceKind.REMOVE:
            yield (
                "unwanted members are kept: protect = true" if entry.spec.protect else "unwanted members are kept without --prune"
            )
    if entry.spec.manage == "observe":
        yield 'manage = "observe": differences are only reported'
    elif entry.spec.manage == "create" and entry.observed is not None and entry.observed.exists:
        yield 'manage = "create": what exists is never changed'
