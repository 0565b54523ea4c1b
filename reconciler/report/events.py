"""The events of a diff or an apply as JSON lines: ``--format jsonl``.

Each line is an object with ``format``, ``event`` and ``time``. A program that reads them ignores events and keys that it doesn't
know, because later versions may add some.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from reconciler.engine.listener import Listener
from reconciler.engine.model import Action, Made, Outcome, Status
from reconciler.errors import ReconcileError
from reconciler.report.json import FORMAT, DiffReport, ErrorReport, make_document, make_error_document, make_schema
from reconciler.report.json_text import format_jsonl
from reconciler.report.run import OutcomeReport, RunReport, report_outcome
from reconciler.report.summary import PlanSummary
from reconciler.run_info import timestamp


class Event(BaseModel):
    """What every event has."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = FORMAT
    event: str
    time: str = Field(default_factory=timestamp, description="UTC, in ISO form.")


class DiffEvent(Event):
    """One state was compared."""

    event: Literal["diff"] = "diff"
    report: DiffReport


class DiffSummaryEvent(Event):
    """All states were compared."""

    event: Literal["diff summary"] = "diff summary"
    in_sync: bool
    summary: PlanSummary


class PlanEvent(Event):
    """A plan was made, and is about to be carried out."""

    event: Literal["plan"] = "plan"
    report: DiffReport


class _ActionEvent(Event):
    address: str
    kind: str
    name: str
    verb: str


class StartedEvent(_ActionEvent):
    """An action begins."""

    event: Literal["started"] = "started"
    reason: str


class EndedEvent(_ActionEvent):
    """An action has ended."""

    event: Literal["ended"] = "ended"
    outcome: Literal["done", "failed"]
    made: dict[str, Any]
    seconds: float
    error: ErrorReport | None = Field(description="Also of an action that is done, if its call reported an error.")


class ProgressEvent(Event):
    """Bulk work has written or read some of its items; at most one event a second."""

    event: Literal["progress"] = "progress"
    address: str
    what: str
    done: int
    total: int


class SettledEvent(Event):
    """A resource has an outcome; there is another event if it changes while the run waits, or in the check at its end."""

    event: Literal["settled"] = "settled"
    outcome: OutcomeReport


class WaitingEvent(Event):
    """The run waits for deliveries."""

    event: Literal["waiting"] = "waiting"
    addresses: list[str]
    seconds_left: float


class SummaryEvent(Event):
    """The apply of a state has ended; its outcomes are in the events ``settled``."""

    event: Literal["summary"] = "summary"
    state: str
    name: str
    run: str | None
    counts: dict[Status, int]
    acted: int
    seconds: float
    interrupted: bool
    exit_code: int
    done_since: list[str]
    refused: list[str]


class ErrorEvent(Event):
    """The command can't do its work."""

    event: Literal["error"] = "error"
    exit_code: int
    errors: list[ErrorReport]


AnyEvent = Annotated[
    DiffEvent
    | DiffSummaryEvent
    | PlanEvent
    | StartedEvent
    | EndedEvent
    | ProgressEvent
    | SettledEvent
    | WaitingEvent
    | SummaryEvent
    | ErrorEvent,
    Field(discriminator="event"),
]


class EventLine(RootModel[AnyEvent]):
    """One line of ``--format jsonl``."""


def event_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of one line."""
    return make_schema(EventLine)


def format_event(event: Event) -> str:
    """Return an event as one line."""
    return format_jsonl(event.model_dump(mode="json"))


def diff_events(reports: Sequence[DiffReport]) -> Iterator[Event]:
    """Yield an event for each state, and one for all of them."""
    for report in reports:
        yield DiffEvent(report=report)
    document = make_document(reports)
    yield DiffSummaryEvent(in_sync=document.in_sync, summary=document.summary)


def summary_event(run: RunReport) -> SummaryEvent:
    """Return the last event of an apply."""
    return SummaryEvent(**run.model_dump(exclude={"plan", "outcomes"}))


def error_event(error: ReconcileError, exit_code: int) -> ErrorEvent:
    """Return the event of an error that ends a command."""
    document = make_error_document(error, exit_code)
    return ErrorEvent(exit_code=exit_code, errors=document.errors)


class EventListener(Listener):
    """Turns what happens in a run into events.

    Parameters
    ----------
    emit : callable
        Called with each event.
    """

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self.emit = emit
        self._action: Action | None = None
        self._since = 0.0
        self._reported = 0.0

    def started(self, action: Action) -> None:
        """Report that an action begins."""
        self._action, self._since, self._reported = action, time.monotonic(), 0.0
        self.emit(StartedEvent(**_identify(action), reason=action.reason))

    def ended(self, action: Action, made: Made, error: ReconcileError | None, *, effective: bool = False) -> None:
        """Report that an action has ended; it is ``effective`` if its whole effect was found in spite of an error."""
        self._action = None
        problem = None if error is None else ErrorReport(message=str(error), hints=list(error.hints))
        outcome: Literal["done", "failed"] = "failed" if error is not None and not effective else "done"
        seconds = round(time.monotonic() - self._since, 3)
        self.emit(EndedEvent(**_identify(action), outcome=outcome, made=dict(made), seconds=seconds, error=problem))

    def report_bulk(self, what: str, done: int, total: int) -> None:
        """Report how far bulk work has come, at most once a second and at its end."""
        now = time.monotonic()
        if self._action is not None and (done >= total or now - self._reported >= 1):
            self._reported = now
            self.emit(ProgressEvent(address=str(self._action.address), what=what, done=done, total=total))

    def settled(self, outcome: Outcome) -> None:
        """Report the outcome of a resource."""
        self.emit(SettledEvent(outcome=report_outcome(outcome)))

    def waiting(self, outcomes: Collection[Outcome], seconds_left: float, pause: float) -> None:
        """Report what the run waits for."""
        addresses = [str(outcome.address) for outcome in outcomes]
        self.emit(WaitingEvent(addresses=addresses, seconds_left=round(seconds_left, 1)))


def _identify(action: Action) -> dict[str, str]:
    address = action.address
    return {"address": str(address), "kind": address.kind, "name": address.name, "verb": action.verb}
