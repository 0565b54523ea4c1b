"""A saved plan for a reader: whose it is and how old, what it would do, and what became of it since."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from reconciler.engine.model import Address
from reconciler.engine.plan import Plan
from reconciler.engine.plan_file import SavedAction, SavedEntry, SavedPlan
from reconciler.report.formatting import Line, format_seconds, plural
from reconciler.report.markdown import format_checks

MOST_NAMES = 10


class ShownEntry(BaseModel):
    """What was decided about one resource."""

    model_config = ConfigDict(extra="forbid")

    address: str
    kind: str
    name: str
    later: bool = Field(description="Whether it is planned again once what it needs has changed or was delivered.")
    actions: list[SavedAction]


class ShowReport(BaseModel):
    """What ``reconcile show --format json`` prints."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    plan: str = Field(description="Path of the plan file.")
    version: str = Field(description="Version of the program that made it.")
    made: dict[str, str] = Field(description="By whom, where and when.")
    age: float | None = Field(description="Seconds since it was made; null if that is not known.")
    state: str = Field(description="Path of the state file.")
    state_unchanged: bool | None = Field(description="Whether the state file is as it was; null if it can't be read here.")
    variables: dict[str, str | int | float | bool]
    butler: str | None
    rucio: str | None
    prune: bool
    actions: int = Field(description="Number of actions.")
    datasets: int = Field(description="Number of datasets that they ingest or register.")
    removes: int = Field(description="Number of members that they remove.")
    entries: list[ShownEntry]


def show_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a plan that is shown."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ShowReport.model_json_schema()}


def introduce(saved: SavedPlan, chosen: Path, now: datetime.datetime | None = None) -> Iterator[Line]:
    """Yield two lines: for which state file a plan is, and who made it when; ``chosen`` is the state file that is taken."""
    origin = "" if str(chosen) == saved.state else f", made for {saved.state}"
    acting = [entry for entry in saved.entries if entry.actions]
    actions = sum(len(entry.actions) for entry in acting)
    count = f"{plural(actions, 'action')} for {plural(len(acting), 'resource')}"
    yield Line(f"Plan for the state file {chosen}{origin}: {count}.", bold=True)
    made = saved.made
    age = find_age(saved, now)
    ago = f", {format_seconds(age)} ago" if age is not None else ""
    yield Line(f"Made by {made.get('user')} on {made.get('host')} at {made.get('since')}{ago}.")


def find_age(saved: SavedPlan, now: datetime.datetime | None = None) -> float | None:
    """Return the seconds since a plan was made; `None` if its time isn't one, or is not over yet."""
    try:
        made = datetime.datetime.fromisoformat(saved.made.get("since", ""))
        age = ((now or datetime.datetime.now(datetime.UTC)) - made).total_seconds()
    except (ValueError, TypeError):  # a plan that somebody edited
        return None
    return age if age >= 0 else None


def report_limits(plan: Plan) -> Iterator[Line]:
    """Yield what is done since an earlier plan was made, and what of it is refused and why."""
    done = [str(address) for address in plan.limits.done]
    if done:
        more = f" and {len(done) - MOST_NAMES:,} more" if len(done) > MOST_NAMES else ""
        yield Line(f"Done since the plan was made: {', '.join(done[:MOST_NAMES])}{more}", "green")
    yield from (Line(f"Refused: {address}: {why}", "red") for address, why in plan.limits.refused.items())


def format_saved_plan(saved: SavedPlan, path: Path, *, state_unchanged: bool | None) -> Iterator[Line]:
    """Yield a saved plan as text: its origin, the live systems, and the actions of each resource."""
    yield from introduce(saved, Path(saved.state))
    systems = [f"Butler  {saved.butler}" if saved.butler else "", f"Rucio  {saved.rucio}" if saved.rucio else ""]
    yield Line("     ".join(part for part in systems if part))
    if saved.variables:
        yield Line("Variables")
        yield from (Line(f"  {name} = {json.dumps(value, ensure_ascii=False)}") for name, value in saved.variables.items())
    yield Line("")
    for entry in saved.entries:
        yield Line(str(_address(entry)), bold=True)
        yield from _list_actions(entry)
    yield Line("")
    yield from _conclude(path, state_unchanged=state_unchanged)


def format_saved_markdown(saved: SavedPlan, path: Path, *, state_unchanged: bool | None) -> str:
    """Return a saved plan as Markdown, for the comment of somebody who asks for its review."""
    rows = [(Path(saved.state).stem, " ".join(line.text for line in introduce(saved, Path(saved.state))))]
    sections = [(str(_address(entry)), list(_list_actions(entry))) for entry in saved.entries]
    removed = sum(action.removes for entry in saved.entries for action in entry.actions)
    title = f"reconcile plan: {plural(removed, 'member')} to remove" if removed else "reconcile plan: nothing to remove"
    rows += [("", line.text) for line in _conclude(path, state_unchanged=state_unchanged)]
    return format_checks(title, rows, sections)


def _list_actions(entry: SavedEntry) -> Iterator[Line]:
    yield from (Line(f"  {_describe(action)}", "red" if action.removes else None) for action in entry.actions)
    if entry.later:
        yield Line("  planned again once what it needs has changed or was delivered", "cyan")


def _conclude(path: Path, *, state_unchanged: bool | None) -> Iterator[Line]:
    """Yield whether the plan still fits its state file, and how to apply it."""
    if state_unchanged is False:
        yield Line(
            "The state file was changed since, so apply refuses this plan; make a new one, or see apply --state.", "yellow"
        )
    elif state_unchanged is None:
        yield Line("The state file can't be read here, so it is not known whether it was changed since.", "yellow")
    yield Line(f"To apply: reconcile apply {path}. Facts are checked again then; what changed since is refused.")


def report_saved_plan(saved: SavedPlan, path: Path, *, state_unchanged: bool | None) -> ShowReport:
    """Return a saved plan as JSON."""
    actions = [action for entry in saved.entries for action in entry.actions]
    return ShowReport(
        plan=str(path),
        version=saved.version,
        made=saved.made,
        age=find_age(saved),
        state=saved.state,
        state_unchanged=state_unchanged,
        variables=saved.variables,
        butler=saved.butler,
        rucio=saved.rucio,
        prune=saved.prune,
        actions=len(actions),
        datasets=sum(action.datasets for action in actions),
        removes=sum(action.removes for action in actions),
        entries=[
            ShownEntry(address=str(_address(entry)), kind=entry.kind, name=entry.name, later=entry.later, actions=entry.actions)
            for entry in saved.entries
        ],
    )


def _address(entry: SavedEntry) -> Address:
    return Address(entry.kind, entry.name)


def _describe(action: SavedAction) -> str:
    datasets = f", {plural(action.datasets, 'dataset')}" if action.datasets else ""
    removes = f", removes {plural(action.removes, 'member')}" if action.removes else ""
    return f"{action.verb}: {action.reason}{datasets}{removes}"
