"""Plan files: what was decided, on which facts, for somebody to review before it is executed.

A plan file is never obeyed. It identifies actions by fingerprints; applying it loads the state file, observes and plans again,
and executes only those actions that the file also contains. So nothing written into a plan file can make apply do what its state
would not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reconciler.engine.journal import digest, shorten
from reconciler.engine.model import Address, DesiredState, DifferenceKind
from reconciler.engine.plan import Entry, Plan, PlanLimits
from reconciler.errors import StateError, clean
from reconciler.printable import escape_json
from reconciler.private_files import open_private_file
from reconciler.readable_files import is_readable
from reconciler.run_info import run_info
from reconciler.version import __version__

FORMAT = 2
DECIDING = (DifferenceKind.MAKE, DifferenceKind.CHANGE, DifferenceKind.REMOVE)
"""Differences that a plan is decided on; the progress of a delivery changes by itself."""
COMING = (DifferenceKind.LATER, DifferenceKind.WAITING)
SECRET = re.compile(
    r"(?<![a-z])pass(?![a-z])|pass(?:word|wd|phrase|code|file)|pwd|secret|token|credential|(?:api|access|private)[-_]?key",
    re.IGNORECASE,
)
"""Names of variables that are probably secrets, unlike ``passband``."""
LARGEST = 50_000_000
"""Largest plan file in bytes; larger files are rejected."""


class SavedAction(BaseModel):
    """One action."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    verb: str
    reason: str
    datasets: int = Field(ge=0)
    removes: int = Field(ge=0)
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="For a reader; long lists are cut, and apply doesn't use it."
    )


class SavedEntry(BaseModel):
    """What was decided about one resource."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    name: str
    fingerprint: str = Field(pattern="^[0-9a-f]{64}$", description="Digest of the facts that the actions were decided on.")
    actions: list[SavedAction]
    later: bool = Field(description="Whether it is planned again once the resources that it needs have changed.")


class SavedPlan(BaseModel):
    """A plan file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[2]
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
    def by_address(self) -> dict[Address, SavedEntry]:
        """The entries by address."""
        return {Address(entry.kind, entry.name): entry for entry in self.entries}


def fingerprint(entry: Entry, folder: Path | None = None) -> str:
    """Return the digest of what differs and what to do, which changes when the facts of a decision change.

    Paths below ``folder``, that of the state, count by what follows it: the same state in another place is the same decision.
    """
    facts = [
        [d.field, d.kind, d.observed, d.desired, d.detail, [dict(sorted(member.items())) for member in d.members]]
        for d in entry.differences
        if d.kind in DECIDING
    ]
    facts_and_actions = [facts, [[action.verb, action.arguments] for action in entry.actions]]
    return digest([str(entry.address), _shorten_paths(facts_and_actions, folder)])


def _shorten_paths(value: Any, folder: Path | None) -> Any:
    """Return a JSON value with paths below a folder relative to it."""
    if folder is None:
        return value
    if isinstance(value, str):
        return "." if value == str(folder) else value.removeprefix(f"{folder}/")
    if isinstance(value, Mapping):
        return {key: _shorten_paths(inner, folder) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_shorten_paths(inner, folder) for inner in value]
    return value


def save_plan(plan: Plan, path: Path, butler: str | None, rucio: str | None, *, prune: bool) -> int:
    """Write a plan file, readable by its owner alone, and return its number of actions.

    Raises
    ------
    reconciler.errors.StateError
        If a variable seems to be a secret, or the file can't be written.
    """
    secret = [name for name, value in plan.state.variables.items() if SECRET.search(name) or clean(value) != str(value)]
    if secret:
        raise StateError(
            f"variables {', '.join(secret)} seem to be secrets, and a plan file contains variables; remove them from the state"
        )
    entries = list(summarize_decisions(plan).values())
    saved = SavedPlan(
        format=FORMAT,
        version=__version__,
        made=run_info(),
        state=str(plan.state.path.absolute()),
        digest=plan.state.digest,
        variables=dict(plan.state.variables),
        butler=butler,
        rucio=rucio,
        prune=prune,
        entries=entries,
    )
    try:
        with open_private_file(path) as stream:
            stream.write(escape_json(saved.model_dump_json(indent=2)) + "\n")
    except OSError as error:
        raise StateError(f"{path}: can't be written: {error.strerror}") from error
    return sum(len(entry.actions) for entry in entries)


def folder_of(plan: Plan) -> Path:
    """Return the folder of the state file, from which its paths start."""
    return plan.state.path.absolute().parent


def summarize_decisions(plan: Plan) -> dict[Address, SavedEntry]:
    """Return what a plan decided, and a digest of the facts that it was decided on, for each resource to act on or wait for."""
    return {entry.address: _save_entry(entry, folder_of(plan)) for entry in plan.entries if entry.actions or entry.has(*COMING)}


def _save_entry(entry: Entry, folder: Path) -> SavedEntry:
    actions = [
        SavedAction(
            verb=action.verb,
            reason=clean(action.reason),
            datasets=action.cost.datasets,
            removes=len(action.removes),
            arguments=_shorten_paths(shorten(action.arguments), folder),
        )
        for action in entry.actions
    ]
    address = entry.address
    return SavedEntry(
        kind=address.kind, name=address.name, fingerprint=fingerprint(entry, folder), actions=actions, later=entry.has(*COMING)
    )


def is_plan(path: Path) -> bool:
    """Return True if a file begins as JSON does, as a plan file and unlike a state file."""
    try:
        if not path.is_file():  # reading another one could wait for ever, and a pipe can be read only once
            return False
        with path.open("rb") as stream:
            return stream.read(64).lstrip()[:1] == b"{"
    except OSError:
        return False


def load_plan(path: Path) -> SavedPlan:
    """Read a plan file without trusting it.

    Raises
    ------
    reconciler.errors.StateError
        If it can't be read, is larger than `LARGEST`, isn't a plan file, or is one of another format.
    """
    try:
        if not is_readable(path):
            raise StateError(f"{path}: is not a regular file")
        if path.stat().st_size > LARGEST:
            raise StateError(f"{path}: not a plan file: larger than {LARGEST // 1_000_000} MB")
        document = json.loads(path.read_bytes())
        if isinstance(document, dict) and document.get("format") not in (FORMAT, None):
            version = document.get("version", "another version")
            hint = "make a new plan with reconcile diff --out"
            raise StateError(f"{path}: a plan of reconcile {clean(version)}, whose format this version doesn't read", (hint,))
        return SavedPlan.model_validate(document)
    except OSError as error:
        raise StateError(f"{path}: can't be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise StateError(f"{path}: not a plan file: {where}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        hints = ("reconcile plan --out saves one; reconcile plan shows what a state file would do",)
        raise StateError(f"{path}: not a plan file: {str(error)[:200] if is_plan(path) else 'it is not JSON'}", hints) from error


def check_origin(saved: SavedPlan, state: DesiredState, butler: str | None, rucio: str | None, *, changed: bool = False) -> None:
    """Refuse a plan of another state, unless ``changed`` allows that, or of another repository or server.

    Raises
    ------
    reconciler.errors.StateError
        If any of them differs from what the plan was made for.
    """
    if saved.digest != state.digest and not changed:
        hints = (
            "make a new plan with reconcile diff --out",
            "or give --state FILE to apply those parts of the plan whose facts are the same in that file",
        )
        raise StateError(f"{state.path}: the state was changed since the plan was made", hints)
    for what, then, now in (("repository", saved.butler, butler), ("Rucio server", saved.rucio, rucio)):
        if then != now:
            raise StateError(f"the plan was made for another {what}: {then}, and this is {now}", ("make a new plan here",))


def find_limits(decided: Mapping[Address, SavedEntry], plan: Plan) -> PlanLimits:
    """Return which parts of a plan may be executed, given what was decided earlier."""
    done = find_done_entries(decided, plan)
    stale = find_stale_entries(decided, plan)
    refused = {address: reason for address, reason in stale.items() if address not in done}
    entries = [entry for entry in plan.entries if entry.address in decided and entry.address not in stale]
    # Equal fingerprints mean that these are the members whose removal was decided; where nothing was, nothing is removed.
    removals = {entry.address: entry.removes for entry in entries if decided[entry.address].actions}
    return PlanLimits(allowed_verbs(decided, stale), refused, removals, done)


def find_done_entries(decided: Mapping[Address, SavedEntry], plan: Plan) -> tuple[Address, ...]:
    """Return the addresses for which a plan had actions, and that have nothing left to do now.

    They have no action, and nothing is missing, to change or to remove, blocked or in conflict; what waits, comes later or is
    unhealthy counts as done. What could not be checked, or is no longer in the state, is not done.
    """
    return tuple(
        entry.address
        for entry in plan.entries
        if entry.address in decided
        and decided[entry.address].actions
        and entry.error is None
        and not entry.actions
        and not entry.has(*DECIDING, DifferenceKind.BLOCKED, DifferenceKind.CONFLICT)
    )


def find_stale_entries(decided: Mapping[Address, SavedEntry], plan: Plan) -> dict[Address, str]:
    """Return by address why what was decided no longer holds, also where it was done meanwhile; see `find_done_entries`.

    Where no action was decided, nothing is stale.
    """
    stale = {}
    entries = {entry.address: entry for entry in plan.entries}
    for address, earlier in decided.items():
        if not earlier.actions:
            continue
        entry = entries.get(address)
        if entry is None:
            stale[address] = "it is not in the state"
        elif entry.error is not None:
            stale[address] = "it could not be checked"
        elif fingerprint(entry, folder_of(plan)) != earlier.fingerprint:
            then = "; ".join(action.reason for action in earlier.actions)
            now = "; ".join(action.reason for action in entry.actions) or "nothing to do"
            stale[address] = f"it changed since the plan was made: {then} then, {now} now"
    return stale


def allowed_verbs(decided: Mapping[Address, SavedEntry], refused: Mapping[Address, str]) -> dict[Address, frozenset[str] | None]:
    """Return the verbs that applying a plan may use by address; `None` for any, where planning happens later."""
    return {
        address: None if entry.later else frozenset(action.verb for action in entry.actions)
        for address, entry in decided.items()
        if address not in refused
    }


def plan_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of plan files."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **SavedPlan.model_json_schema()}
