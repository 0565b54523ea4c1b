"""The history of checks: what was found, when it was first seen, and when each resource was last in sync.

Each check of a state is recorded in one transaction, which also reads the memory that the check is evaluated with. So a run that
is killed at any moment leaves each state either recorded or not, and two runs can't count one check twice. Differences and
resources belong to a repository and an address, not to a file, so a renamed state file or a moved table keeps its history.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import secrets
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from reconciler.errors import clean
from reconciler.run_info import current_user
from reconciler.systems.postgresql import SMALL_STATEMENT_LIMIT, Limits, limit_waits
from reconciler.version import __version__
from reconciler.watch.acknowledgements import Acknowledgements
from reconciler.watch.causes import ResourceMemory
from reconciler.watch.evaluation import LEFT_THE_STATE, DifferenceMemory, Memory, evaluate
from reconciler.watch.locations import HistoryError, HistoryLocation
from reconciler.watch.migrations import HEAD
from reconciler.watch.model import Cause, CheckedResource, CheckResult, DifferenceKey, Finding, Resolved, StateReport, Verdict
from reconciler.watch.tables import VERSION_TABLE, differences, notices, resources, runs, states, verdicts
from reconciler.watch.timeline import PastVerdict, ResolvedDifference

PATIENCE = 10.0
"""Seconds to wait for another process that holds a lock on the history."""
MIGRATION_LOCK = 0x7265636F6E63
"""Key of the PostgreSQL advisory lock under which the tables are created or changed."""

_FAULTS = (
    ("database is locked", "it is locked by another process", "is another program reading it? The next run tries again"),
    ("locking protocol", "its file system has no locks", "keep it on a local disk, or in PostgreSQL"),
    ("lock timeout", "it is locked by another process", "the next run tries again"),
    ("malformed", "it is corrupt", "restore it from a backup, or move it away to start a new one"),
    (
        "not a database",
        "it isn't a SQLite database, or is corrupt",
        "restore it from a backup, or move it away to start a new one",
    ),
    ("database or disk is full", "the disk is full", "free some space; --keep 400d prunes the history"),
    ("readonly database", "it is read-only", "may this user write the file and its folder?"),
    ("unable to open", "it can't be opened", "may this user write the file and its folder?"),
)


def format_time(moment: datetime.datetime) -> str:
    """Write a time as the tables have it: ISO form, UTC, milliseconds."""
    return moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime.datetime:
    """Read a time of the tables."""
    return datetime.datetime.fromisoformat(text)


def repository_of(check: CheckResult, address: str = "") -> str:
    """Return what a difference belongs to in the tables: the repository, or ``file:`` and the path of the state file.

    It is the file for what concerns no address, and for a state without a repository.
    """
    return check.repository if address and check.repository else f"file:{check.state}"


class History:
    """An open history; use `open_history`.

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
        with _translate_errors(self.location), self._engine.begin() as connection:
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

    def record(self, check: CheckResult, acknowledgements: Acknowledgements, now: datetime.datetime) -> StateReport:
        """Evaluate a check with what is known, and record the result, in one transaction.

        Raises
        ------
        reconciler.watch.locations.HistoryError
            If that failed; then nothing of the check is recorded.
        """
        with self.transaction() as connection:
            recorder = _Recorder(connection, check, now)
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
        """Return the latest differences of a state that are gone, the latest first."""
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

        The latest verdict of each state stays, however old it is, and so does what isn't resolved.
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


class _Recorder:
    """Reads what is known of one check's repository, and writes its report, on one connection."""

    def __init__(self, connection: Any, check: CheckResult, now: datetime.datetime) -> None:
        self.connection, self.check, self.now = connection, check, now
        self.places = [repository_of(check), *([check.repository] if check.repository else [])]
        self.replaced: frozenset[str] = frozenset()
        self.known: dict[str, ResourceMemory] = {}

    def memory(self) -> Memory:
        self.replaced = frozenset(self._find_replaced_states())
        self.known = self._read_resources()
        previous = self._read_previous()
        return Memory(
            resources=self.known,
            open_differences=self._read_differences(),
            replaced_states=self.replaced,
            previous=Verdict(previous.verdict) if previous is not None else None,
            previous_checked=parse_time(previous.checked) if previous is not None else None,
            last_success=self._read_last_success(),
        )

    def _find_replaced_states(self) -> Iterator[str]:
        """Find states of this repository and host whose file is gone, and whose resources this state has now."""
        if not self.check.repository:
            return
        query = sa.select(states.c.path).where(
            states.c.repository == self.check.repository,
            states.c.host == socket.gethostname(),
            states.c.path != self.check.state,
        )
        for path in self.connection.execute(query).scalars().all():
            if os.path.exists(path):
                continue
            owned = sa.select(resources.c.address).where(
                resources.c.repository == self.check.repository, resources.c.state == path
            )
            seen = sa.select(differences.c.address).where(
                differences.c.repository == self.check.repository, differences.c.state == path
            )
            if set(self.connection.execute(owned.union(seen)).scalars()) & set(self.check.addresses):
                yield path

    def _read_previous(self) -> Any:
        query = sa.select(verdicts.c.verdict, verdicts.c.checked).where(verdicts.c.state.in_([self.check.state, *self.replaced]))
        return self.connection.execute(query.order_by(verdicts.c.checked.desc(), verdicts.c.id.desc()).limit(1)).first()

    def _read_last_success(self) -> datetime.datetime | None:
        query = sa.select(sa.func.max(verdicts.c.checked)).where(
            verdicts.c.state.in_([self.check.state, *self.replaced]), verdicts.c.verdict != Verdict.UNKNOWN.value
        )
        found = self.connection.execute(query).scalar()
        return parse_time(found) if found else None

    def _read_resources(self) -> dict[str, ResourceMemory]:
        rows = self.connection.execute(sa.select(resources).where(resources.c.repository == self.check.repository))
        return {
            row.address: ResourceMemory(
                parse_time(row.in_sync_at),
                row.table_digest,
                row.inputs_digest,
                {name: (int(counts[0]), int(counts[1])) for name, counts in json.loads(row.members).items()},
            )
            for row in rows
        }

    def _read_differences(self) -> dict[DifferenceKey, DifferenceMemory]:
        self._reopen_moved()
        query = sa.select(differences).where(differences.c.repository.in_(self.places), differences.c.resolved.is_(None))
        return {
            (row.address, row.kind, row.field): DifferenceMemory(
                row.state,
                row.text,
                row.fingerprint,
                Cause(row.cause),
                bool(row.overdue),
                parse_time(row.first_seen),
                parse_time(row.last_seen),
                row.times_seen,
                row.first_count,
            )
            for row in self.connection.execute(query)
        }

    def _reopen_moved(self) -> None:
        """Reopen differences that were resolved only because their table left another state of the repository."""
        found = {difference.key for difference in self.check.differences if difference.address}
        query = (
            sa.select(differences)
            .where(differences.c.repository == self.check.repository, differences.c.resolution == LEFT_THE_STATE)
            .order_by(differences.c.id.desc())
        )
        for row in self.connection.execute(query).all():
            key = (row.address, row.kind, row.field)
            if key not in found:
                continue
            found.discard(key)
            if not self._is_open(key):
                change = differences.update().where(differences.c.id == row.id)
                self.connection.execute(change.values(resolved=None, resolution=None, state=self.check.state))

    def _is_open(self, key: DifferenceKey) -> bool:
        return self.connection.execute(sa.select(differences.c.id).where(*self._matches(key))).first() is not None

    def write(self, run: str, report: StateReport) -> None:
        self._write_state()
        for finding in report.findings:
            self._write_finding(finding)
        for gone in report.resolved:
            self._write_resolved(gone)
        for resource in self.check.resources:
            self._write_resource(resource)
        check = self.check
        self.connection.execute(
            verdicts.insert().values(
                run=run,
                state=check.state,
                name=check.name,
                repository=check.repository,
                checked=format_time(report.checked),
                seconds=round(check.seconds, 3),
                verdict=report.verdict.value,
                exit_code=report.verdict.exit_code,
                resources=len(check.addresses),
                deep=int(check.deep),
                digest=check.digest,
                causes=json.dumps(Counter(finding.cause.value for finding in report.findings), sort_keys=True),
                error=check.error,
                statements=check.statements,
                calls=check.calls,
            )
        )

    def _write_state(self) -> None:
        check = self.check
        known = self.connection.execute(sa.select(states).where(states.c.path == check.state)).first()
        row = {"name": check.name, "host": socket.gethostname(), "replaced_by": None}
        if known is None:
            self.connection.execute(states.insert().values(path=check.state, repository=check.repository, **row))
        else:
            change = states.update().where(states.c.path == check.state)
            self.connection.execute(change.values(repository=check.repository or known.repository, **row))
        for path in self.replaced:
            self.connection.execute(states.update().where(states.c.path == path).values(replaced_by=check.state))
            change = differences.update().where(differences.c.state == path, differences.c.resolved.is_(None))
            self.connection.execute(change.values(state=check.state))

    def _matches(self, key: DifferenceKey) -> tuple[Any, ...]:
        address, kind, name = key
        return (
            differences.c.repository == repository_of(self.check, address),
            differences.c.address == address,
            differences.c.kind == kind,
            differences.c.field == name,
            differences.c.resolved.is_(None),
        )

    def _write_finding(self, finding: Finding) -> None:
        difference = finding.difference
        accepted = finding.acknowledged_by
        row = {
            "state": self.check.state,
            "text": difference.text,
            "fingerprint": difference.fingerprint,
            "count": difference.count,
            "desired": difference.desired,
            "commands": json.dumps(difference.commands),
            "cause": finding.cause.value,
            "overdue": int(finding.overdue),
            "acknowledged_until": accepted.until.isoformat() if accepted else None,
            "acknowledged_reason": accepted.reason if accepted else None,
            "acknowledged_ticket": accepted.ticket if accepted else None,
            "last_seen": format_time(finding.last_seen),
            "times_seen": finding.times_seen,
        }
        changed = self.connection.execute(differences.update().where(*self._matches(difference.key)).values(**row))
        if changed.rowcount == 0:
            row |= {"first_seen": format_time(finding.first_seen), "first_count": finding.first_count}
            self.connection.execute(
                differences.insert().values(
                    repository=repository_of(self.check, difference.address),
                    address=difference.address,
                    kind=difference.kind,
                    field=difference.field,
                    **row,
                )
            )

    def _write_resolved(self, gone: Resolved) -> None:
        change = differences.update().where(*self._matches((gone.address, gone.kind, gone.field)))
        self.connection.execute(change.values(resolved=format_time(gone.resolved), resolution=gone.resolution))

    def _write_resource(self, resource: CheckedResource) -> None:
        known = self.known.get(resource.address)
        members = dict(resource.members)
        where = (resources.c.repository == self.check.repository, resources.c.address == resource.address)
        row: dict[str, object] = {"state": self.check.state}
        if resource.settled:
            row |= {
                "in_sync_at": format_time(self.now),
                "table_digest": resource.table_digest,
                "inputs_digest": resource.inputs_digest,
            }
        elif known is not None:
            members = {
                name: (desired, max(present, resource.members.get(name, (0, 0))[1]))
                for name, (desired, present) in known.members.items()
            }
        else:
            return
        row["members"] = json.dumps(members)
        if known is None:
            row |= {"repository": self.check.repository, "address": resource.address}
            self.connection.execute(resources.insert().values(**row))
        else:
            self.connection.execute(resources.update().where(*where).values(**row))


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
    with _translate_errors(location):
        engine = _connect_file(location.file, patience) if location.file is not None else _connect_server(location, patience)
        with engine.begin() as connection:
            _upgrade(connection, location)
    return History(location, engine)


def _connect_file(path: Path, patience: float) -> Any:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its journal the permissions of the database
    url = sa.engine.URL.create("sqlite+pysqlite", database=str(path))
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"timeout": patience})

    def use_our_transactions(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver would begin a transaction only at the first change

    def begin_immediately(connection: Any) -> None:
        connection.exec_driver_sql("begin immediate")  # so that what is read stays true until it is written

    sa.event.listen(engine, "connect", use_our_transactions)
    sa.event.listen(engine, "begin", begin_immediately)
    return engine


def _connect_server(location: HistoryLocation, patience: float) -> Any:
    options = {
        "application_name": "reconcile drift",
        "connect_timeout": int(max(patience, 2)),
        "options": f"-c lock_timeout={int(patience * 1000)}",
    }
    engine = sa.create_engine(server_url(location), poolclass=sa.NullPool, connect_args=options)
    limit_waits(engine, Limits(patience + SMALL_STATEMENT_LIMIT))
    return engine


def server_url(location: HistoryLocation) -> Any:
    """Return the `sqlalchemy.engine.URL` of a history on PostgreSQL, with the password that db-auth.yaml has for it."""
    from reconciler.systems.database_password import find_credentials

    url = sa.engine.make_url(str(location.url))
    user, password = find_credentials(url)
    return url.set(username=user, password=password)


def _upgrade(connection: Any, location: HistoryLocation) -> None:
    """Bring the tables to the version of this program."""
    if _read_version(connection, location) == HEAD:
        return
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("select pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
    version = _read_version(connection, location)
    if version == HEAD:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if version is not None and version not in known:
        raise HistoryError(
            f"the history {location} was written by a newer version of reconcile (version {version} of its tables)",
            ("update reconcile on this host, or give another --history",),
        )
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)


def _read_version(connection: Any, location: HistoryLocation) -> str | None:
    """Return the version of the tables; None if there are none yet."""
    inspector = sa.inspect(connection)
    if not inspector.has_table(VERSION_TABLE):
        others = inspector.get_table_names() if connection.dialect.name == "sqlite" else []
        if others:
            raise HistoryError(
                f"{location} is the database of another program (it has a table {others[0]})",
                ("give another file with --history",),
            )
        return None
    found = connection.execute(sa.text(f"select version_num from {VERSION_TABLE}")).scalar()  # noqa: S608  # a constant
    return str(found) if found is not None else None


@contextlib.contextmanager
def _translate_errors(location: HistoryLocation) -> Iterator[None]:
    try:
        yield
    except HistoryError:
        raise
    except sa.exc.SQLAlchemyError as error:
        raise _explain(location, error) from error
    except ImportError as error:
        extra = "[postgres]" if location.url is not None else ""
        raise HistoryError(
            f"the history {location} can't be used: {error}", (f"pip install 'rubin-reconciler{extra}'",)
        ) from error
    except OSError as error:
        raise HistoryError(f"the history {location} can't be used: {error.strerror}: {error.filename}") from error


def _explain(location: HistoryLocation, error: Exception) -> HistoryError:
    text = clean(getattr(error, "orig", None) or error)
    for pattern, meaning, hint in _FAULTS:
        if pattern in text:
            return HistoryError(f"the history {location} can't be used: {meaning}", (hint,))
    first = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return HistoryError(f"the history {location} can't be used: {first}")


@contextlib.contextmanager
def open_for_reading(location: HistoryLocation) -> Iterator[Callable[[str], list[tuple[Any, ...]]]]:
    """Open a history on PostgreSQL without creating anything; yields a function from a SQL statement to its rows.

    Raises
    ------
    reconciler.watch.locations.HistoryError
        If it can't be used, or a statement fails.
    """
    with _translate_errors(location):
        engine = _connect_server(location, PATIENCE)
        with engine.connect() as connection:
            yield lambda statement: [tuple(row) for row in connection.execute(sa.text(statement))]
