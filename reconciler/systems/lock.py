"""Locks that allow one apply, or one check of a state, at a time.

The operating system or PostgreSQL releases them when the process ends, even by kill -9.

If the registry is on PostgreSQL, the lock is an advisory one on that server, so it holds between hosts. Otherwise it is a lock on
a file: next to a SQLite database, or in the user's own folder for a repository that doesn't exist yet and for Rucio scopes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from reconciler.errors import ApplyError, LockHeld, ReconcileError, clean
from reconciler.run_info import run_info
from reconciler.systems.butler.connection import registry_of
from reconciler.systems.butler.errors import explain

if TYPE_CHECKING:
    from reconciler.systems.butler.repository import Repository

PAUSE = 0.5
"""Seconds between two attempts to acquire a lock."""


class Lock(Protocol):
    """Something that one process at a time can acquire."""

    def acquire(self) -> None:
        """Acquire the lock without waiting; raise `LockHeld` if another process holds it, `ApplyError` if it can't be used."""

    def release(self) -> None:
        """Release the lock."""


@contextlib.contextmanager
def hold(lock: Lock, name: str, timeout: float, notify: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock while this context lasts.

    Parameters
    ----------
    lock : `Lock`
        The lock to acquire.
    name : `str`
        What is locked, for messages.
    timeout : `float`
        Seconds to wait until the lock is acquired.
    notify : callable
        Called once, with a message that names the current holder, if the lock isn't free.

    Raises
    ------
    reconciler.errors.LockHeld
        If the lock isn't acquired before the timeout.
    reconciler.errors.ApplyError
        If it can't be acquired for another reason.
    """
    deadline = time.monotonic() + timeout
    notified = False
    while True:
        try:
            lock.acquire()
            break
        except LockHeld as error:
            if time.monotonic() >= deadline:
                hint = "wait for that run, or give --lock-timeout 10m to wait for the lock"
                raise LockHeld(f"{name} is locked: {error}", (hint,)) from error
            if not notified:
                notify(f"waiting for {name}: {error}")
                notified = True
            time.sleep(min(PAUSE, max(deadline - time.monotonic(), 0)))
    try:
        yield
    finally:
        lock.release()


class _FileLock:
    """A lock on a file; a second file next to it names the holder."""

    def __init__(self, path: Path) -> None:
        from filelock import FileLock

        self.path = path
        self.note = path.with_suffix(".holder")
        self.lock = FileLock(str(path), mode=0o600)

    def acquire(self) -> None:
        from filelock import Timeout

        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.lock.acquire(timeout=0)
        except Timeout as error:
            raise LockHeld(_describe_holder(_read_holder(self.note))) from error
        except OSError as error:
            raise ApplyError(f"the lock {self.path} can't be acquired: {error.strerror}") from error
        with contextlib.suppress(OSError):
            self.note.unlink(missing_ok=True)
            with open(os.open(self.note, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as stream:
                json.dump(run_info(), stream)

    def release(self) -> None:
        self.note.unlink(missing_ok=True)
        self.lock.release()


def _read_holder(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _describe_holder(info: dict[str, str]) -> str:
    if not info:
        return "another run holds it"
    return f"{info.get('user')} on {info.get('host')} (process {info.get('pid')}) has held it since {info.get('since')}"


class _AdvisoryLock:
    """A PostgreSQL advisory lock, held by a connection of its own."""

    def __init__(self, url: Any, namespace: str | None) -> None:
        import sqlalchemy

        info = run_info()
        name = f"reconcile {info['user']}@{info['host']} {info['pid']}"[:63]
        self.engine = sqlalchemy.create_engine(url, connect_args={"application_name": name}, poolclass=sqlalchemy.NullPool)
        self.key = int.from_bytes(hashlib.sha256(f"reconcile:{namespace}".encode()).digest()[:7], "big")
        self.connection: Any = None

    def acquire(self) -> None:
        import sqlalchemy

        try:
            self.connection = self.engine.connect()
            query = sqlalchemy.text("select pg_try_advisory_lock(:key)")
            if not self.connection.execute(query, {"key": self.key}).scalar():
                raise LockHeld(self._describe_holder())
            self.connection.commit()  # the session holds the lock; an open transaction would keep the server from vacuuming
        except LockHeld:
            self.release()
            raise
        except sqlalchemy.exc.SQLAlchemyError as error:
            self.release()
            message, hints = explain(error)
            raise ApplyError(f"the lock on the registry can't be acquired: {message}", hints) from error

    def _describe_holder(self) -> str:
        import sqlalchemy

        row = self.connection.execute(
            sqlalchemy.text(
                "select a.application_name, a.backend_start at time zone 'utc'"
                " from pg_locks l join pg_stat_activity a using (pid)"
                " where l.locktype = 'advisory' and l.granted and (l.classid::bigint << 32 | l.objid::bigint) = :key"
            ),
            {"key": self.key},
        ).first()
        if row is None:
            return "another run holds it"
        return f"{clean(row[0]).removeprefix('reconcile ')} has held it since {row[1]:%Y-%m-%dT%H:%M:%SZ}"

    def release(self) -> None:
        if self.connection is not None:
            with contextlib.suppress(Exception):
                self.connection.close()
        self.engine.dispose()


def repository_lock(repository: Repository, seed: str | None, folder: Path) -> Lock:
    """Return the lock of a repository.

    Parameters
    ----------
    repository : `reconciler.systems.butler.repository.Repository`
        The repository, which may not exist yet.
    seed : `str` or `None`
        Its seed configuration file.
    folder : `pathlib.Path`
        Folder of locks that have no better place.

    Raises
    ------
    reconciler.errors.ReconcileError
        If the configuration of the repository or its seed can't be read.
    """
    url, namespace = _find_registry(repository, seed)
    if url is not None and url.get_backend_name() == "postgresql":
        return _AdvisoryLock(url, namespace)
    if url is not None and url.database and Path(url.database).parent.is_dir():
        return _FileLock(Path(url.database).with_suffix(".reconcile.lock"))
    return named_lock(repository.uri, folder)


def named_lock(name: str, folder: Path) -> Lock:
    """Return the lock of something without a place of its own, such as a scope of a Rucio server; it holds on this host only."""
    return _FileLock(folder / "locks" / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.lock")


def database_lock(url: Any, name: str) -> Lock:
    """Return a lock of this name on a PostgreSQL server, which holds between hosts; ``url`` is a `sqlalchemy.engine.URL`."""
    return _AdvisoryLock(url, name)


def _find_registry(repository: Repository, seed: str | None) -> tuple[Any, str | None]:
    """Return the URL and schema of the registry that the repository has, or will have; None if that can't be found out."""
    from lsst.daf.butler import Config

    try:
        if repository.status == "absent" and not seed:
            return None, None
        url, namespace = registry_of(repository.config() if repository.status != "absent" else Config(seed))
    except ReconcileError:
        raise
    except Exception as error:
        message, hints = explain(error)
        raise ApplyError(f"the lock of {repository.uri} can't be acquired: {message}", hints) from error
    return (None, None) if "<butlerRoot>" in str(url) else (url, namespace)
