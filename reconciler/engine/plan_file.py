"""Saved plans: what was decided, on which facts, for somebody to review before it is done.

A plan file is never obeyed. It names actions by fingerprints; its application loads the state file, looks anew and plans anew,
and does of that only what the file names. So nothing that is written into a plan file can make apply do what its state would
not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reconciler import __version__
from reconciler.engine.journal import digest, private_file, short
from reconciler.engine.model import Id
from reconciler.engine.plan import Entry, Plan
from reconciler.engine.run_info import holder
from reconciler.errors import StateError, clean
from reconciler.state.loader import State

FORMAT = 1
DECIDING = ("make", "change", "remove")
"""Sorts of differences that a plan is decided on; how far a delivery is changes by itself."""
SECRET = re.compile(r"pass|secret|token|credential", re.IGNORECASE)
LARGEST = 50_000_000
"""Bytes of a plan file; a larger one is none."""


class SavedAction(BaseModel):
    """One thing to do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    verb: str
    reason: str
    datasets: int = Field(ge=0)
    destroys: int = Field(ge=0)
    args: dict[str, Any] = Field(default_factory=dict, description="For a reader; long lists are cut, and none is obeyed.")


class SavedEntry(BaseModel):
    """What was decided about one resource."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    name: str
    fingerprint: str = Field(pattern="^[0-9a-f]{64}$", description="Of the facts that it was decided on.")
    actions: list[SavedAction]
    later: bool = Field(description="Whether it is planned when what it needs was made.")


class SavedPlan(BaseModel):
    """A plan file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1]
    version: str
    made: dict[str, str] = Field(description="By whom, where and when.")
    state: str = Field(description="The state file.")
    digest: str = Field(description="SHA-256 of the state file and its variables.")
    variables: dict[str, str | int | float | bool]
    butler: str | None
    rucio: str | None
    prune: bool
    entries: list[SavedEntry]

    @property
    def by_id(self) -> dict[Id, SavedEntry]:
        return {Id(entry.kind, entry.name): entry for entry in self.entries}


def fingerprint(entry: Entry) -> str:
    """Compute what tells whether the facts of a decision still hold.

    Parameters
    ----------
    entry : `reconciler.engine.plan.Entry`
        A resource of a plan.

    Returns
    -------
    fingerprint : `str`
        SHA-256 of what differs and of what is to be done.
    """
    facts = [
        [d.field, d.sort, d.observed, d.desired, d.detail, [dict(sorted(m.items())) for m in d.members]]
        for d in entry.differences
        if d.sort in DECIDING
    ]
    return digest([str(entry.id), facts, [[action.verb, dict(action.args)] for action in entry.actions]])


def save(plan: Plan, path: Path, butler: str | None, rucio: str | None, *, prune: bool) -> int:
    """Write a plan file, readable by its owner alone.

    Parameters
    ----------
    plan : `reconciler.engine.plan.Plan`
        What is to be done.
    path : `pathlib.Path`
        Where.
    butler, rucio : `str` or `None`
        The live systems.
    prune : `bool`
        Whether it removes anything.

    Returns
    -------
    count : `int`
        How many actions it holds.

    Raises
    ------
    reconciler.errors.StateError
        If a variable looks like a secret, or the file can't be written.
    """
    secret = [name for name, value in plan.state.variables.items() if SECRET.search(name) or clean(value) != str(value)]
    if secret:
        raise StateError(
            f"variables {', '.join(secret)} look like secrets, and a plan file keeps variables; leave them out of the state"
        )
    entries = [
        SavedEntry(
            kind=entry.id.kind,
            name=entry.id.name,
            fingerprint=fingerprint(entry),
            actions=[
                SavedAction(verb=a.verb, reason=a.reason, datasets=a.cost.datasets, destroys=a.destroys, args=short(dict(a.args)))
                for a in entry.actions
            ],
            later=entry.has("later", "waiting"),
        )
        for entry in plan.entries
        if entry.actions or entry.has("later", "waiting")
    ]
    saved = SavedPlan(
        format=FORMAT,
        version=__version__,
        made=holder(),
        state=str(plan.state.path.resolve()),
        digest=plan.state.digest,
        variables=dict(plan.state.variables),
        butler=butler,
        rucio=rucio,
        prune=prune,
        entries=entries,
    )
    try:
        with private_file(path) as stream:
            stream.write(saved.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise StateError(f"{path}: can't be written: {error.strerror}") from error
    return sum(len(entry.actions) for entry in entries)


def is_plan(path: Path) -> bool:
    """Tell a plan file from a state file.

    Parameters
    ----------
    path : `pathlib.Path`
        A file.

    Returns
    -------
    plan : `bool`
        Whether it begins as JSON does.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(64).lstrip()[:1] == b"{"
    except OSError:
        return False


def load_plan(path: Path) -> SavedPlan:
    """Read a plan file, trusting nothing of it.

    Parameters
    ----------
    path : `pathlib.Path`
        The file.

    Returns
    -------
    plan : `SavedPlan`
        What it says.

    Raises
    ------
    reconciler.errors.StateError
        If it is not a plan file.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise StateError(f"{path}: not a plan file: it is too large")
        document = json.loads(path.read_bytes())
        return SavedPlan.model_validate(document)
    except OSError as error:
        raise StateError(f"{path}: can't be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise StateError(f"{path}: not a plan file: {where}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise StateError(f"{path}: not a plan file: {str(error)[:200]}") from error


def check_made_for(saved: SavedPlan, state: State, butler: str | None, rucio: str | None) -> None:
    """Refuse a plan of another state, repository or server.

    Parameters
    ----------
    saved : `SavedPlan`
        The plan.
    state : `reconciler.state.loader.State`
        Its state file, as it is now.
    butler, rucio : `str` or `None`
        The live systems, as they are now.

    Raises
    ------
    reconciler.errors.StateError
        If anything is another than when the plan was made.
    """
    if saved.digest != state.digest:
        raise StateError(
            f"{state.path}: the state was changed since the plan was made", ("make a new plan: reconcile diff --out",)
        )
    for what, then, now in (("repository", saved.butler, butler), ("Rucio server", saved.rucio, rucio)):
        if then != now:
            raise StateError(f"the plan was made on another {what}: {then}, and this is {now}", ("make a new plan here",))


def stale(saved: SavedPlan, plan: Plan) -> dict[Id, str]:
    """Find decisions whose facts no longer hold.

    Parameters
    ----------
    saved : `SavedPlan`
        What was decided.
    plan : `reconciler.engine.plan.Plan`
        What would be decided now.

    Returns
    -------
    stale : `dict`
        What changed since, by address.
    """
    found = {}
    entries = {entry.id: entry for entry in plan.entries}
    for id, decided in saved.by_id.items():
        if not decided.actions:
            continue
        entry = entries.get(id)
        if entry is None or entry.error is not None:
            found[id] = "it could not be looked at" if entry is not None else "it is not in the state"
        elif fingerprint(entry) != decided.fingerprint:
            then = "; ".join(action.reason for action in decided.actions)
            now = "; ".join(action.reason for action in entry.actions) or "nothing is to be done"
            found[id] = f"it changed since the plan was made: {then} then, {now} now"
    return found


def allowed(saved: SavedPlan, refused: Mapping[Id, str]) -> dict[Id, frozenset[str] | None]:
    """Say what the application of a plan may do.

    Parameters
    ----------
    saved : `SavedPlan`
        What was decided.
    refused : mapping
        Addresses whose facts no longer hold.

    Returns
    -------
    allowed : `dict`
        Verbs by address; `None` for anything, where the plan itself is made later.
    """
    return {
        id: None if entry.later else frozenset(action.verb for action in entry.actions)
        for id, entry in saved.by_id.items()
        if id not in refused
    }


def plan_schema() -> dict[str, Any]:
    """Make the schema of plan files.

    Returns
    -------
    schema : `dict`
        JSON Schema, draft 2020-12.
    """
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **SavedPlan.model_json_schema()}
