"""How an apply ended, as JSON: ``reconcile apply --format json``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from reconciler.engine.model import Outcome, Status
from reconciler.engine.outcome_counts import count_acted, count_statuses
from reconciler.engine.plan import PlanLimits
from reconciler.errors import ReconcileError
from reconciler.report.json import FORMAT, ErrorReport, make_error_document
from reconciler.report.summary import PlanSummary


class OutcomeReport(BaseModel):
    """How one resource ended."""

    model_config = ConfigDict(extra="forbid")

    address: str
    kind: str
    name: str
    status: Status
    detail: str = Field(description="Why, in one phrase; empty for a resource that is as desired.")
    hints: list[str] = Field(description="What to do about an error.")
    actions: int = Field(ge=0, description="Number of actions that were begun, those that failed included.")
    made: dict[str, Any] = Field(description="What the actions made: numbers or lists by noun.")


class RunReport(BaseModel):
    """One apply of one state file."""

    model_config = ConfigDict(extra="forbid")

    state: str
    name: str = Field(description="Name of the state.")
    run: str | None = Field(description="Name of the run in the journal; null if the plan was not carried out.")
    plan: PlanSummary = Field(description="What was planned.")
    counts: dict[Status, int] = Field(description="Number of resources by status.")
    acted: int = Field(ge=0, description="Number of resources acted on, whatever their status.")
    seconds: float
    interrupted: bool
    exit_code: int
    done_since: list[str] = Field(description="Addresses of a saved plan whose work was done since it was made.")
    refused: list[str] = Field(description="Addresses of a saved plan that changed since it was made; they count as blocked.")
    outcomes: list[OutcomeReport]


class RunDocument(BaseModel):
    """What ``reconcile apply --format json`` prints."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = FORMAT
    exit_code: int
    states: list[RunReport]
    errors: list[ErrorReport] = Field(description="Why the next state was not applied; those after it were not tried.")


def report_outcome(outcome: Outcome) -> OutcomeReport:
    """Return the report of how a resource ended."""
    return OutcomeReport(
        address=str(outcome.address),
        kind=outcome.address.kind,
        name=outcome.address.name,
        status=outcome.status,
        detail=outcome.detail,
        hints=list(outcome.error.hints) if outcome.error is not None else [],
        actions=outcome.actions,
        made=dict(outcome.made),
    )


def report_run(
    state: tuple[str, str],
    plan: PlanSummary,
    outcomes: Collection[Outcome],
    *,
    run: str | None,
    seconds: float,
    interrupted: bool,
    exit_code: int,
    limits: PlanLimits | None = None,
) -> RunReport:
    """Return the report of a run.

    Parameters
    ----------
    state : `tuple` [`str`, `str`]
        Path and name of the state.
    plan : `PlanSummary`
        What was planned.
    outcomes : `Collection` [`Outcome`]
        How each resource ended.
    run : `str` or `None`
        Name of the run.
    seconds : `float`
        How long it took.
    interrupted : `bool`
        Whether it was asked to stop.
    exit_code : `int`
        Exit code of the command line for this state.
    limits : `PlanLimits`, optional
        What became of a saved plan since it was made.
    """
    limits = limits or PlanLimits()
    return RunReport(
        state=state[0],
        name=state[1],
        run=run,
        plan=plan,
        counts=count_by_status(outcomes),
        acted=count_acted(outcomes),
        seconds=round(seconds, 3),
        interrupted=interrupted,
        exit_code=exit_code,
        done_since=[str(address) for address in limits.done],
        refused=[str(address) for address in limits.refused],
        outcomes=[report_outcome(outcome) for outcome in outcomes],
    )


def count_by_status(outcomes: Collection[Outcome]) -> dict[Status, int]:
    """Return the number of resources for every status, zeros included."""
    counts = count_statuses(outcomes)
    return {status: counts[status] for status in Status}


def make_run_document(runs: Sequence[RunReport], exit_code: int, error: ReconcileError | None = None) -> RunDocument:
    """Return what ``--format json`` prints for the applies of some states, of which an error ended the last."""
    errors = [] if error is None else make_error_document(error, exit_code).errors
    return RunDocument(exit_code=exit_code, states=list(runs), errors=errors)
