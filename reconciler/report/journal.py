"""The journal as records of runs and of actions, newest first, and those as JSON and as aligned lines."""

from __future__ import annotations

import datetime
import fnmatch
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from reconciler.engine.model import parse_address
from reconciler.report.formatting import Line, count_of, plural


class RecordedRun(BaseModel):
    """One run of the journal."""

    model_config = ConfigDict(extra="forbid")

    run: str = Field(description="Its name.")
    began: str = Field("", description="When it began, in ISO form, UTC; empty if that was lost.")
    ended: str | None = Field(None, description="When it ended; null if it didn't end by itself.")
    user: str = Field("", description="User and host.")
    state: str = Field("", description="The state file.")
    butler: str | None = None
    rucio: str | None = None
    done: int = Field(0, description="Number of actions that succeeded.")
    failed: int = Field(0, description="Number of actions that failed.")
    end: Literal["ended", "interrupted", "did not end"] = "did not end"


class RecordedAction(BaseModel):
    """One action of the journal."""

    model_config = ConfigDict(extra="forbid")

    run: str = Field(description="Name of its run.")
    time: str = Field(description="When it began, or when it ended if its beginning was lost; ISO form, UTC.")
    address: str
    kind: str
    name: str
    verb: str
    outcome: str = Field(description="done, failed or never ended; journals of earlier versions may contain others.")
    reason: str = ""
    made: dict[str, Any] = Field(default_factory=dict, description="Numbers or lists by noun.")
    detail: str = Field("", description="The error, if it failed.")


class LogReport(BaseModel):
    """What ``reconcile log --format json`` prints."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    journal: str = Field(description="Path of the journal file.")
    runs: list[RecordedRun] = Field(default_factory=list, description="Newest first; empty if actions were asked for.")
    actions: list[RecordedAction] = Field(default_factory=list, description="Newest first; empty if runs were asked for.")
    more: int = Field(0, ge=0, description="Number of earlier ones that are left out.")


def log_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the log."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **LogReport.model_json_schema()}


def collect_runs(
    events: Iterable[Mapping[str, Any]], since: datetime.datetime | None = None, state: Path | None = None
) -> list[RecordedRun]:
    """Return the runs that began since a time, which has a time zone, and were for a state file, newest first; `None` for any."""
    runs: dict[str, RecordedRun] = {}
    for event in events:
        name = str(event["run"])
        run = runs.setdefault(name, RecordedRun(run=name))
        if event["event"] == "begin":
            run.began, run.state = str(event["time"]), str(event.get("state"))
            run.user = f"{event.get('user')}@{event.get('host')}"
            run.butler, run.rucio = event.get("butler"), event.get("rucio")
        elif event["event"] == "action ended":
            if event.get("outcome") == "failed":
                run.failed += 1
            else:
                run.done += 1
        elif event["event"] == "end":
            run.ended, run.end = str(event["time"]), "interrupted" if event.get("interrupted") else "ended"
    chosen = [run for run in runs.values() if _is_since(run.began, since) and (state is None or _is_state(run.state, state))]
    chosen.reverse()  # of equal times, the last is the newest
    chosen.sort(key=lambda run: run.began, reverse=True)
    return chosen


def collect_actions(
    events: Iterable[Mapping[str, Any]],
    run: str | None = None,
    address: str | None = None,
    since: datetime.datetime | None = None,
    state: Path | None = None,
) -> list[RecordedAction]:
    """Return actions, newest first.

    Parameters
    ----------
    events : `Iterable`
        The events of a journal, in order.
    run : `str` or `None`
        Name of the run; `None` for any.
    address : `str` or `None`
        Glob that the address matches, with or without quotes; `None` for any.
    since : `datetime.datetime` or `None`
        When they began at the earliest, with a time zone.
    state : `pathlib.Path` or `None`
        State file that the run was for.
    """
    states: dict[str, str] = {}
    begun: dict[tuple[str, str, str], RecordedAction] = {}
    found: list[RecordedAction] = []
    for event in events:
        name = str(event["run"])
        if event["event"] == "begin":
            states[name] = str(event.get("state"))
        elif state is not None and not _is_state(states.get(name, ""), state):
            continue
        elif event["event"] == "action begins" and _matches(event, run, address):
            action = _make_action(event, "never ended")
            begun[name, action.address, action.verb] = action
            found.append(action)
        elif event["event"] == "action ended" and _matches(event, run, address):
            ended = _make_action(event, str(event.get("outcome")))
            first = begun.pop((name, ended.address, ended.verb), None)
            if first is None:
                found.append(ended)
            else:
                first.outcome, first.made, first.detail = ended.outcome, ended.made, ended.detail
    chosen = [action for action in found if _is_since(action.time, since)]
    chosen.reverse()  # of equal times, the last is the newest
    chosen.sort(key=lambda action: action.time, reverse=True)
    return chosen


def format_runs(runs: Sequence[RecordedRun], more: int = 0) -> Iterator[Line]:
    """Yield one line for each run, in aligned columns."""
    rows = [(run.run, run.began, run.user, f"{run.done} done, {run.failed} failed", run.end, run.state) for run in runs]
    for run, text in zip(runs, _align(rows), strict=True):
        yield Line(text, "red" if run.failed else None)
    yield from _count_rest(more, "run")


def format_actions(actions: Sequence[RecordedAction], more: int = 0) -> Iterator[Line]:
    """Yield one line for each action, in aligned columns."""
    rows = [(action.time, action.run, action.address, action.verb, action.outcome, _explain(action)) for action in actions]
    for action, text in zip(actions, _align(rows), strict=True):
        yield Line(text, "red" if action.outcome in ("failed", "never ended") else None)
    yield from _count_rest(more, "action")


def _explain(action: RecordedAction) -> str:
    made = ", ".join(
        count_of(value, noun) if isinstance(value, int) else f"{value} {noun}" for noun, value in action.made.items()
    )
    return "   ".join(part for part in (action.reason, made, action.detail) if part)


def _align(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)] if rows else []
    for row in rows:
        yield "   ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()


def _count_rest(more: int, noun: str) -> Iterator[Line]:
    if more:
        yield Line(f"… and {plural(more, f'earlier {noun}')}; -n 0 lists all")


def _make_action(event: Mapping[str, Any], outcome: str) -> RecordedAction:
    text = str(event.get("address", ""))
    address = parse_address(text)
    return RecordedAction(
        run=str(event["run"]),
        time=str(event["time"]),
        address=text,
        kind=address.kind,
        name=address.name,
        verb=str(event.get("verb")),
        outcome=outcome,
        reason=str(event.get("reason") or ""),
        made=dict(event.get("made") or {}),
        detail=str(event.get("detail") or ""),
    )


def _is_since(time: str, since: datetime.datetime | None) -> bool:
    if since is None:
        return True
    try:
        return datetime.datetime.fromisoformat(time) >= since
    except (ValueError, TypeError):  # a journal that somebody edited
        return False


def _is_state(recorded: str, state: Path) -> bool:
    return recorded in (str(state), os.path.realpath(state))


def _matches(event: Mapping[str, Any], run: str | None, address: str | None) -> bool:
    if run is not None and event["run"] != run:
        return False
    # Quotes are left out, so that a glob needs no quotes inside the shell's.
    where = str(event.get("address", "")).replace('"', "")
    return address is None or fnmatch.fnmatchcase(where, address.replace('"', ""))
