"""The history of checks: what was found, when it was first seen, and when each resource was last in sync.

Each check of a state is recorded in one transaction, which also reads the memory that the check is evaluated with. So a run that
is killed at any moment leaves each state either recorded or not, and two runs can't count one check twice. Differences and
resources belong to a repository and an address, not to a file, so a renamed state file or a moved table keeps its history.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import secrets
import socket
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from reconciler.engine.model import DifferenceKind
from reconciler.run_info import current_user
from reconciler.version import __version__
from reconciler.watch.acknowledgements import Acknowledgements
from reconciler.watch.check_recorder import CheckRecorder
from reconciler.watch.check_result import CheckResult
from reconciler.watch.evaluation import evaluate
from reconciler.watch.history_database import PATIENCE, open_engine, translate_errors
from reconciler.watch.locations import HistoryLocation
from reconciler.watch.state_report import Cause, StateReport, Verdict
from reconciler.watch.tables import differences, format_time, notices, parse_time, runs, states, verdicts
from reconciler.watch.timeline import PastVerdict, ResolvedDifference


class History:
    """An open history; use `open_history`. All methods raise `reconciler.watch.locations.HistoryError` if it can't be used.

    Parameters
    ----------
    location : `HistoryLocation`
        Where it is.
    engine : `sqlalchemy.engine.Engine`
        Connects to it; no connection is kept between transactions, so that processes can be forked.
    """

    def __init__(self, location: HistoryLocation, engine: Any) -> None:
        self.location, self._engine = location, engine
        self.run = ""

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Any]:
        """Yield a connection whose changes are kept if nothing fails; errors become `HistoryError`.

        On SQLite no other transaction runs until it ends.
        """
        with translate_errors(self.location), self._engine.begin() as connection:
            yield connection

    def begin_run(self, now: datetime.datetime) -> None:
        """Record the start of a run; `record` attributes checks to it, so it comes first."""
        self.run = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        row = {"host": socket.gethostname(), "user_name": current_user(), "version": __version__}
        with self.transaction() as connection:
            connection.execute(runs.insert().values(id=self.run, started=format_time(now), **row))

    def end_run(self, now: datetime.datetime) -> None:
        """Record that the run ended by itself."""
        with self.transaction() as connection:
            connection.execute(runs.update().where(runs.c.id == self.run).values(ended=format_time(now)))

    def last_deep(self, state: str) -> datetime.datetime | None:
        """Return when all members of a state were last listed in a check that succeeded; `None` if they never were."""
        query = sa.select(sa.func.max(verdicts.c.checked)).where(
            verdicts.c.state == state, verdicts.c.deep == 1, verdicts.c.verdict != Verdict.UNKNOWN.value
        )
        with self.transaction() as connection:
            found = connection.execute(query).scalar()
        return parse_time(found) if found else None

    def found_only_by_listing(self, state: str) -> bool:
        """Return True if the latest check of a state listed all members, and what it found may be seen only so."""
        open_ones = sa.select(differences.c.id).where(
            differences.c.state == state, differences.c.kind == DifferenceKind.BLOCKED.value, differences.c.resolved.is_(None)
        )
        query = sa.select(verdicts.c.deep, open_ones.exists()).where(verdicts.c.state == state)
        with self.transaction() as connection:
            row = connection.execute(query.order_by(verdicts.c.checked.desc(), verdicts.c.id.desc()).limit(1)).first()
        return row is not None and all(row)

    def record(self, check: CheckResult, acknowledgements: Acknowledgements, now: datetime.datetime) -> StateReport:
        """Evaluate a check with what is known, and record the result, in one transaction.

        Raises
        ------
        reconciler.watch.locations.HistoryError
            If that failed; then nothing of the check is recorded.
        """
        with self.transaction() as connection:
            recorder = CheckRecorder(connection, check, now)
            report = evaluate(check, recorder.memory(), acknowledgements, now)
            recorder.write(self.run, report)
        return report

    def read_past(self, state: str, limit: int) -> list[PastVerdict]:
        """Return the latest checks of a state, and of the files that it was renamed from, the oldest first."""
        query = sa.select(verdicts).where(verdicts.c.state.in_(_with_replaced(state)))
        with self.transaction() as connection:
            rows = connection.execute(query.order_by(verdicts.c.checked.desc(), verdicts.c.id.desc()).limit(limit)).all()
        return [
            PastVerdict(parse_time(row.checked), Verdict(row.verdict), json.loads(row.causes), row.error)
            for row in reversed(rows)
        ]

    def read_resolved(self, state: str, limit: int) -> list[ResolvedDifference]:
        """Return the latest differences that are gone, of a state and of the files that it was renamed from, the latest first."""
        query = sa.select(differences).where(differences.c.state.in_(_with_replaced(state)), differences.c.resolved.is_not(None))
        with self.transaction() as connection:
            rows = connection.execute(query.order_by(differences.c.resolved.desc(), differences.c.id.desc()).limit(limit)).all()
        return [
            ResolvedDifference(
                row.address,
                row.text,
                Cause(row.cause),
                parse_time(row.first_seen),
                parse_time(row.resolved),
                row.resolution or "",
            )
            for row in rows
        ]

    def prune(self, before: datetime.datetime) -> int:
        """Remove verdicts, resolved differences and runs from before a time, and return the number of verdicts removed.

        With a resolved difference goes the record that it was sent to a channel. The latest verdict of each state stays, however
        old it is, and so does what isn't resolved.
        """
        limit = format_time(before)
        newest = sa.select(sa.func.max(verdicts.c.id)).group_by(verdicts.c.state).scalar_subquery()
        with self.transaction() as connection:
            removed = connection.execute(verdicts.delete().where(verdicts.c.checked < limit, verdicts.c.id.not_in(newest)))
            connection.execute(differences.delete().where(differences.c.resolved < limit))
            connection.execute(notices.delete().where(notices.c.difference.not_in(sa.select(differences.c.id))))
            used = sa.select(verdicts.c.run)
            connection.execute(runs.delete().where(runs.c.started < limit, runs.c.id.not_in(used)))
        return int(removed.rowcount)


def _with_replaced(state: str) -> Any:
    """Return a query for the path of a state and those of the files that it was renamed from."""
    renamed = sa.select(states.c.path).where(states.c.replaced_by == state)
    return renamed.union(sa.select(sa.literal(state)))


def open_history(location: HistoryLocation, patience: float = PATIENCE) -> History:
    """Open a history; it is created, or brought to the version of this program, if necessary.

    Parameters
    ----------
    location : `HistoryLocation`
        Where it is.
    patience : `float`
        Seconds to wait for another process that holds a lock on it.

    Raises
    ------
    reconciler.watch.locations.HistoryError
        If it can't be used.
    """
    return History(location, open_engine(location, patience))
