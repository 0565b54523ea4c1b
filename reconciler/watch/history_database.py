"""The database of a history: connecting to it, creating its tables or bringing them to this version, and errors in words."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from reconciler.errors import clean
from reconciler.systems.postgresql import SMALL_STATEMENT_LIMIT, Limits, limit_waits
from reconciler.watch.locations import HistoryError, HistoryLocation
from reconciler.watch.migrations import HEAD
from reconciler.watch.tables import VERSION_TABLE

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


def open_engine(location: HistoryLocation, patience: float) -> Any:
    """Open a history; create its file and its tables if they are absent, and bring older tables to this version.

    Parameters
    ----------
    location : `HistoryLocation`
        The history.
    patience : `float`
        Seconds to wait for another process that holds a lock on it.

    Returns
    -------
    engine : `sqlalchemy.engine.Engine`
        An engine that keeps no connection.

    Raises
    ------
    reconciler.watch.locations.HistoryError
        If it can't be used, or was written by a newer version or another program.
    """
    with translate_errors(location):
        engine = _connect_file(location.file, patience) if location.file is not None else _connect_server(location, patience)
        with engine.begin() as connection:
            _upgrade(connection, location)
    return engine


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
def translate_errors(location: HistoryLocation) -> Iterator[None]:
    """Raise `HistoryError` for whatever keeps this context from using a history."""
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
    with translate_errors(location):
        engine = _connect_server(location, PATIENCE)
        with engine.connect() as connection:
            yield lambda statement: [tuple(row) for row in connection.execute(sa.text(statement))]
