"""The journal: an append-only file of JSON lines, one for each event of each run, readable by its owner alone.

Nothing is decided by it; the live systems are the truth. It records who did what, when and why, and with which result.
"""

from __future__ import annotations

import datetime
import errno
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from platformdirs import user_state_path

from reconciler.engine.model import Action, JsonObject, Made, Outcome, Status
from reconciler.engine.outcome_counts import count_acted, count_statuses
from reconciler.errors import ApplyError, StateError, clean
from reconciler.printable import escape_json
from reconciler.run_info import run_info, timestamp
from reconciler.version import __version__

LONGEST_LIST = 20
"""Items of a list that are written in full; a longer one is written as its count, its beginning and its digest."""

BEGINNING = '{"run": '
"""How each line begins."""


def state_folder() -> Path:
    """Return the folder of files about runs, by the XDG base directory specification."""
    return user_state_path("rubin-reconciler")


def shorten(value: Any) -> Any:
    """Return JSON with long lists cut and credentials removed."""
    if isinstance(value, Mapping):
        return {key: shorten(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        if len(value) > LONGEST_LIST:
            return {"count": len(value), "first": [shorten(inner) for inner in value[:3]], "sha256": digest(value)}
        return [shorten(inner) for inner in value]
    return clean(value) if isinstance(value, str) else value


def digest(value: Any) -> str:
    """Return the SHA-256 of JSON, which doesn't depend on the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


@dataclass
class Journal:
    """Journal of one run. It is opened before the first action: if it can't be written, nothing is changed.

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

        Raises
        ------
        reconciler.errors.ApplyError
            If it can't be written, so that the run ends instead of going on without a record.
        """
        line = json.dumps({"run": self.run, "time": timestamp(), "event": event, **shorten(facts)}, default=str)
        with self._refusal():
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._open(os.O_CREAT) as stream:
                if os.fstat(stream.fileno()).st_uid == os.geteuid():
                    os.fchmod(stream.fileno(), 0o600)  # a journal that was readable by others
                stream.write(f"{escape_json(line)}\n".encode())

    def check(self) -> None:
        """Check that the journal can be written, without creating it.

        Raises
        ------
        reconciler.errors.ApplyError
            If it can't.
        """
        with self._refusal():
            if os.path.lexists(self.path):
                self._open().close()
                return
            folder = next(parent for parent in self.path.absolute().parents if os.path.lexists(parent))
            if not folder.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, f"{folder} is not a folder")
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, f"no permission to write in {folder}")

    def _open(self, flags: int = 0) -> IO[bytes]:
        """Open the file; a FIFO or socket is refused, because writing to one may wait for ever."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | flags, 0o600)
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISCHR(mode)):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a regular file")
        return open(descriptor, "wb")  # unlike os.write, it never writes a part without an error

    @contextmanager
    def _refusal(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = "not a regular file" if error.errno == errno.ENXIO else error.strerror  # a FIFO that nobody reads
            hint = "choose another file with --journal"
            raise ApplyError(f"the journal {self.path} can't be written: {reason}", (hint,)) from error

    def begin(self, **facts: Any) -> None:
        """Record the start of a run: the state, its digest, the live systems, the number of actions."""
        self.write("begin", **run_info(), version=__version__, **facts)

    def action_begins(self, action: Action) -> None:
        """Record an action before it is executed."""
        self._began = timestamp()
        self.write("action begins", address=str(action.address), verb=action.verb, reason=action.reason, args=action.arguments)

    def action_ended(self, action: Action, outcome: str, made: Made, detail: str = "") -> None:
        """Record the end of an action: done or failed, what it made, and the error that it raised."""
        facts = {"outcome": outcome, "made": dict(made), "detail": detail, "began": self._began}
        self.write("action ended", address=str(action.address), verb=action.verb, **facts)

    def end(self, outcomes: list[Outcome], *, interrupted: bool) -> None:
        """Record the end of a run."""
        left = [
            {"address": str(o.address), "state": o.status, "detail": o.detail}
            for o in outcomes
            if o.status not in (Status.OK, Status.CHANGED)
        ]
        counts = {str(status): count for status, count in count_statuses(outcomes).items()}
        self.write("end", counts=counts, acted=count_acted(outcomes), left=left, interrupted=interrupted)


def read_journal(path: Path) -> Iterator[JsonObject]:
    """Yield the events of a journal in order; one that was cut by a crash is skipped, but not the next one on its line.

    Raises
    ------
    reconciler.errors.StateError
        If there is no journal.
    """
    try:
        if path.is_fifo():  # reading one may wait for ever
            raise StateError(f"{path}: no journal: not a regular file")
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError as error:
        raise StateError(f"there is no journal at {path}", ("reconcile apply writes it, or give --journal",)) from error
    except OSError as error:
        raise StateError(f"{path}: no journal: {error.strerror}") from error
    for line in text.splitlines():
        event = _parse_event(line) or _parse_event(line[line.rfind(BEGINNING) :])
        if event is not None:
            yield event


def _parse_event(line: str) -> JsonObject | None:
    try:
        event = json.loads(line)
    except json.JSONDecodeError:
        return None
    return event if isinstance(event, dict) and "run" in event and "event" in event else None
