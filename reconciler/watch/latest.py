"""The latest verdicts from the history alone, for `reconcile status`.

A SQLite history is read with the standard library: importing SQLAlchemy takes longer than all the rest. The statements are valid
for SQLite and PostgreSQL.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reconciler.watch.locations import HistoryError, HistoryLocation, MissingHistory
from reconciler.watch.migrations import HEAD
from reconciler.watch.state_report import Cause, Verdict

Query = Callable[[str], list[tuple[Any, ...]]]

VERSION = "select version_num from reconcile_history_version"
VERDICTS = """
select v.state, v.name, v.repository, v.verdict, v.checked, v.error, v.resources, v.deep, v.seconds, v.statements, v.calls
from reconcile_verdicts v
join (select state, max(id) as newest from reconcile_verdicts group by state) n on v.id = n.newest
join reconcile_states s on s.path = v.state
where s.replaced_by is null
order by v.name, v.state
"""
OPEN = """
select state, address, kind, field, text, cause, overdue, count, desired, first_seen, last_seen, times_seen, commands,
    acknowledged_until, acknowledged_reason, acknowledged_ticket, fingerprint
from reconcile_differences where resolved is null order by first_seen, id
"""
ATTEMPTS = """
select max(started) from reconcile_runs
"""


@dataclass(frozen=True)
class OpenDifference:
    """A difference that was there at the last check of it, as the history has it; times are text in ISO form, in UTC."""

    state: str
    address: str
    kind: str
    field: str
    text: str
    cause: Cause
    overdue: bool
    count: int
    desired: int
    first_seen: str
    last_seen: str
    times_seen: int
    commands: tuple[str, ...]
    acknowledged_until: str | None
    acknowledged_reason: str | None
    acknowledged_ticket: str | None
    fingerprint: str


@dataclass(frozen=True)
class LatestVerdict:
    """The latest verdict of one state.

    Parameters
    ----------
    state : `str`
        Path of the state file.
    name, repository : `str`
        Its name, and the identity of its live systems.
    verdict : `Verdict`
        The verdict of the check; unknown if it is older than allowed.
    checked : `datetime.datetime` or `None`
        When it was checked, in UTC; `None` if it never was.
    stale : `bool`
        Whether the check is older than allowed.
    error : `str`
        Why nothing could be checked.
    resources : `int`
        Number of resources.
    deep : `bool`
        Whether all members were listed.
    seconds : `float`
        Duration of the check.
    statements, calls : `int`
        Number of SQL statements and of Rucio calls.
    differences : `tuple` [`OpenDifference`, ...]
        What differs, the oldest first.
    """

    state: str
    name: str
    repository: str
    verdict: Verdict
    checked: datetime.datetime | None
    stale: bool = False
    error: str = ""
    resources: int = 0
    deep: bool = False
    seconds: float = 0.0
    statements: int = 0
    calls: int = 0
    differences: tuple[OpenDifference, ...] = ()

    def measure_oldest(self, now: datetime.datetime) -> float:
        """Return for how many seconds the oldest difference has lasted that isn't acknowledged; 0 if there is none."""
        since = [datetime.datetime.fromisoformat(d.first_seen) for d in self.differences if d.cause is not Cause.ACKNOWLEDGED]
        return max(((now - moment).total_seconds() for moment in since), default=0.0)


def read_latest(
    location: HistoryLocation, states: Sequence[Path] = (), *, max_age: float | None = None, now: datetime.datetime
) -> list[LatestVerdict]:
    """Return the latest verdict of each state, from the history alone.

    Parameters
    ----------
    location : `HistoryLocation`
        The history.
    states : `Sequence` [`pathlib.Path`]
        States to return, in this order; all that the history knows if empty. The verdict of one that it doesn't know is unknown.
    max_age : `float`, optional
        Seconds after which a verdict is unknown.
    now : `datetime.datetime`
        The current time, in UTC.

    Raises
    ------
    reconciler.watch.locations.HistoryError
        If the history can't be read.
    """
    with open_reading(location) as query:
        rows = query(VERDICTS)
        differences = [_read_difference(row) for row in query(OPEN)]
    found = {str(row[0]): _read_verdict(row, differences, max_age, now) for row in rows}
    if not states:
        return list(found.values())
    paths = [path.resolve() for path in states]
    return [found.get(str(path)) or LatestVerdict(str(path), path.stem, "", Verdict.UNKNOWN, None) for path in paths]


def read_differences(location: HistoryLocation) -> list[OpenDifference]:
    """Return all differences that aren't resolved, the oldest first.

    Raises
    ------
    reconciler.watch.locations.HistoryError
        If the history can't be read.
    """
    with open_reading(location) as query:
        return [_read_difference(row) for row in query(OPEN)]


def _read_verdict(
    row: Sequence[Any], differences: Sequence[OpenDifference], max_age: float | None, now: datetime.datetime
) -> LatestVerdict:
    state, name, repository, verdict, checked, error, resources, deep, seconds, statements, calls = row
    at = datetime.datetime.fromisoformat(checked)
    stale = max_age is not None and (now - at).total_seconds() > max_age
    return LatestVerdict(
        state=state,
        name=name,
        repository=repository,
        verdict=Verdict.UNKNOWN if stale else Verdict(verdict),
        checked=at,
        stale=stale,
        error=error,
        resources=resources,
        deep=bool(deep),
        seconds=seconds,
        statements=statements,
        calls=calls,
        differences=tuple(difference for difference in differences if difference.state == state),
    )


def _read_difference(row: Sequence[Any]) -> OpenDifference:
    found = OpenDifference(*row)
    return replace(found, cause=Cause(found.cause), overdue=bool(found.overdue), commands=tuple(json.loads(str(found.commands))))


@contextlib.contextmanager
def open_reading(location: HistoryLocation) -> Iterator[Query]:
    """Open a history for reading and check its version; yields a function from a SQL statement to its rows.

    What a killed writer left in a SQLite history is rolled back.

    Raises
    ------
    reconciler.watch.locations.MissingHistory
        If there is no file yet.
    reconciler.watch.locations.HistoryError
        If it can't be read, was written by a newer version or another program, or a statement fails.
    """
    opened = _read_file(location.file) if location.file is not None else _read_server(location)
    with opened as query:
        found = query(VERSION)
        if not found or str(found[0][0]) > HEAD:
            raise HistoryError(
                f"the history {location} was written by a newer version of reconcile", ("update reconcile on this host",)
            )
        yield query


@contextlib.contextmanager
def _read_file(path: Path) -> Iterator[Query]:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingHistory(f"there is no history at {path}", ("run reconcile drift, or give --history",)) from error
    except OSError as error:
        raise HistoryError(f"the history {path} can't be read: {error.strerror}") from error
    try:
        # Not mode=ro: a killed writer may have left a journal, which SQLite has to roll back before anybody can read.
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=10)) as connection:
            connection.execute("pragma query_only = on")
            yield lambda statement: connection.execute(statement).fetchall()
    except sqlite3.Error as error:
        if "no such table" in str(error):
            raise HistoryError(f"{path} isn't a history of reconcile", ("give another file with --history",)) from error
        raise HistoryError(f"the history {path} can't be read: {error}") from error


@contextlib.contextmanager
def _read_server(location: HistoryLocation) -> Iterator[Query]:
    from reconciler.watch.history_database import open_for_reading

    with open_for_reading(location) as query:
        yield query
