"""What was done: an append-only file of JSON lines, one for each event of each run, readable by its owner alone.

Nothing is decided by it; the live systems are the truth. It tells who did what, when and why, and what came of it.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler import __version__
from reconciler.engine.model import Action, Outcome
from reconciler.engine.run_info import holder, now
from reconciler.errors import ApplyError, StateError, clean

LONGEST_LIST = 20
"""Items of a list that are written out; of a longer one the count, the beginning and the digest."""


def state_folder() -> Path:
    """Give the folder of files about runs.

    Returns
    -------
    folder : `pathlib.Path`
        By the XDG base directory specification.
    """
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "rubin-reconciler"


def short(value: Any) -> Any:
    """Cut long lists of JSON, and take out credentials.

    Parameters
    ----------
    value : `object`
        JSON.

    Returns
    -------
    value : `object`
        JSON; a long list as its count, its first items and its digest.
    """
    if isinstance(value, Mapping):
        return {key: short(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        if len(value) > LONGEST_LIST:
            return {"count": len(value), "first": [short(inner) for inner in value[:3]], "sha256": digest(value)}
        return [short(inner) for inner in value]
    return clean(value) if isinstance(value, str) else value


def digest(value: Any) -> str:
    """Compute the digest of JSON.

    Parameters
    ----------
    value : `object`
        JSON.

    Returns
    -------
    digest : `str`
        SHA-256, the same however the keys are ordered.
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


@dataclass
class Journal:
    """The journal of one run; opened before anything is done, so that a run that can't be told of does nothing.

    Parameters
    ----------
    path : `pathlib.Path`
        The file.
    run : `str`
        Name of the run.
    """

    path: Path
    run: str = field(default_factory=lambda: f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}")
    _began: str = ""

    def write(self, event: str, **facts: Any) -> None:
        """Append one event.

        Parameters
        ----------
        event : `str`
            What happened.
        **facts
            JSON.

        Raises
        ------
        reconciler.errors.ApplyError
            If it can't be written; the run ends then rather than go on untold.
        """
        line = json.dumps({"run": self.run, "time": now(), "event": event, **short(facts)}, default=str) + "\n"
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, line.encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            raise ApplyError(
                f"the journal {self.path} can't be written: {error.strerror}", ("--journal names another",)
            ) from error

    def begin(self, **facts: Any) -> None:
        """Tell of the start of a run.

        Parameters
        ----------
        **facts
            The state, its digest, the live systems, the number of actions.
        """
        self.write("begin", **holder(), version=__version__, **facts)

    def action_begins(self, action: Action) -> None:
        """Tell of an action that begins, before it does.

        Parameters
        ----------
        action : `reconciler.engine.model.Action`
            Which.
        """
        self._began = now()
        self.write("action begins", address=str(action.id), verb=action.verb, reason=action.reason, args=dict(action.args))

    def action_ended(self, action: Action, outcome: str, made: Mapping[str, Any], detail: str = "") -> None:
        """Tell of an action that ended.

        Parameters
        ----------
        action : `reconciler.engine.model.Action`
            Which.
        outcome : `str`
            done, already or failed.
        made : mapping
            What it made.
        detail : `str`
            Why it failed.
        """
        facts = {"outcome": outcome, "made": dict(made), "detail": detail, "began": self._began}
        self.write("action ended", address=str(action.id), verb=action.verb, **facts)

    def end(self, outcomes: list[Outcome], *, interrupted: bool) -> None:
        """Tell of the end of a run.

        Parameters
        ----------
        outcomes : `list` [`reconciler.engine.model.Outcome`]
            Of its resources.
        interrupted : `bool`
            Whether the operator stopped it.
        """
        left = [
            {"address": str(o.id), "state": o.state, "detail": o.detail} for o in outcomes if o.state not in ("ok", "changed")
        ]
        counts: dict[str, int] = {}
        for outcome in outcomes:
            counts[outcome.state] = counts.get(outcome.state, 0) + 1
        self.write("end", counts=counts, left=left, interrupted=interrupted)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Read a journal.

    Parameters
    ----------
    path : `pathlib.Path`
        The file.

    Yields
    ------
    event : `dict`
        In order; a line that was cut by a crash is passed over.

    Raises
    ------
    reconciler.errors.StateError
        If there is no journal.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise StateError(f"{path}: no journal: {error.strerror}") from error
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(event, dict) and "run" in event and "event" in event:
            yield event


@contextmanager
def private_file(path: Path) -> Iterator[Any]:
    """Write a file about a run, readable by its owner alone, in one step.

    Parameters
    ----------
    path : `pathlib.Path`
        Replaced when all is written.

    Yields
    ------
    stream : `io.TextIOBase`
        To write to.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            yield stream
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
