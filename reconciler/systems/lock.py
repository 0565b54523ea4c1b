"""One apply at a time: a lock that the operating system or PostgreSQL lets go of when its process ends, kill -9 included.

Where the registry is on PostgreSQL the lock is an advisory one on that server, so it holds between hosts. Elsewhere it is a
lock on a file: beside a SQLite database, or, for a repository that does not exist yet and for Rucio's scopes, in the user's own
folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.engine.run_info import holder
from reconciler.errors import ApplyError, ReconcileError, clean
from reconciler.systems.butler.connection import registry_of
from reconciler.systems.butler.errors import explain

if TYPE_CHECKING:
    from reconciler.systems.butler.datasets import Repository

PAUSE = 0.5


class Held(ReconcileError):
    """Another apply holds the lock."""


@contextlib.contextmanager
def held(take: Callable[[], Any], name: str, timeout: float, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock.

    Parameters
    ----------
    take : callable
        Tries once; returns what to close, or raises `Held`.
    name : `str`
        What is locked, for messages.
    timeout : `float`
        Seconds to wait for it.
    say : callable
        Told, once, whom one waits for.

    Yields
    ------
    nothing : `None`
        While it is held.

    Raises
    ------
    Held
        If it is not to be had in time.
    """
    deadline = time.monotonic() + timeout
    told = False
    while True:
        try:
            lock = take()
            break
        except Held as error:
            if time.monotonic() >= deadline:
                raise Held(
                    f"{name} is locked: {error}", ("wait for that run, or give --lock-timeout 10m to wait in line",)
                ) from error
            if not told:
                say(f"waiting for {name}: {error}")
                told = True
            time.sleep(min(PAUSE, max(deadline - time.monotonic(), 0)))
    try:
        yield
    finally:
        lock.close()


class _FileLock:
    """A lock on a file; what is in the file only says who holds it."""

    def __init__(self, path: Path) -> None:
        from filelock import FileLock, Timeout

        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.lock = FileLock(str(path), mode=0o600)
            self.lock.acquire(timeout=0)
        except Timeout as error:
            raise Held(_tell(_read(path.with_suffix(".holder")))) from error
        except OSError as error:
            raise ApplyError(f"the lock {path} can't be taken: {error.strerror}") from error
        note = path.with_suffix(".holder")
        with contextlib.suppress(OSError):
            note.unlink(missing_ok=True)
            with open(os.open(note, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as stream:
                json.dump(holder(), stream)
        self.note = note

    def close(self) -> None:
        self.note.unlink(missing_ok=True)
        self.lock.release()


def _read(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _tell(facts: dict[str, str]) -> str:
    if not facts:
        return "another apply holds it"
    return f"{facts.get('user')} on {facts.get('host')} (process {facts.get('pid')}) holds it since {facts.get('since')}"


class _AdvisoryLock:
    """A PostgreSQL advisory lock, held by a connection of its own."""

    def __init__(self, url: Any, namespace: str | None) -> None:
        import sqlalchemy

        mine = holder()
        about = f"reconcile {mine['user']}@{mine['host']} {mine['pid']}"[:63]
        self.engine = sqlalchemy.create_engine(url, connect_args={"application_name": about}, poolclass=sqlalchemy.NullPool)
        number = int.from_bytes(hashlib.sha256(f"reconcile:{namespace}".encode()).digest()[:7], "big")
        try:
            self.connection = self.engine.connect()
            got = self.connection.execute(sqlalchemy.text("select pg_try_advisory_lock(:n)"), {"n": number}).scalar()
            if not got:
                raise Held(self._who(number))
            self.connection.commit()  # the lock is the session's, and an open transaction would keep rows alive
        except Held:
            self.close()
            raise
        except sqlalchemy.exc.SQLAlchemyError as error:
            self.engine.dispose()
            message, hints = explain(error)
            raise ApplyError(f"the lock on the registry can't be taken: {message}", hints) from error

    def _who(self, number: int) -> str:
        import sqlalchemy

        row = self.connection.execute(
            sqlalchemy.text(
                "select a.application_name, a.backend_start at time zone 'utc'"
                " from pg_locks l join pg_stat_activity a using (pid)"
                " where l.locktype = 'advisory' and l.granted and (l.classid::bigint << 32 | l.objid::bigint) = :n"
            ),
            {"n": number},
        ).first()
        if row is None:
            return "another apply holds it"
        return f"{clean(row[0]).removeprefix('reconcile ')} holds it since {row[1]:%Y-%m-%dT%H:%M:%SZ}"

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.connection.close()
        self.engine.dispose()


def of_repository(repository: Repository, seed: str | None, folder: Path) -> Callable[[], Any]:
    """Find the lock of a repository.

    Parameters
    ----------
    repository : `reconciler.systems.butler.datasets.Repository`
        Perhaps not made yet.
    seed : `str` or `None`
        Its seed configuration.
    folder : `pathlib.Path`
        For locks that have no better place.

    Returns
    -------
    take : callable
        Tries once to take it.
    """
    url, namespace = _registry(repository, seed)
    if url is not None and url.get_backend_name() == "postgresql":
        return lambda: _AdvisoryLock(url, namespace)
    if url is not None and url.database and Path(url.database).parent.is_dir():
        path = Path(url.database).with_suffix(".reconcile.lock")
        return lambda: _FileLock(path)
    return of_name(repository.uri, folder)


def of_name(name: str, folder: Path) -> Callable[[], Any]:
    """Find the lock for something that has no place of its own.

    Parameters
    ----------
    name : `str`
        Such as a Rucio server and a scope.
    folder : `pathlib.Path`
        Where such locks lie; they hold on this machine only.

    Returns
    -------
    take : callable
        Tries once to take it.
    """
    path = folder / "locks" / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.lock"
    return lambda: _FileLock(path)


def _registry(repository: Repository, seed: str | None) -> tuple[Any, str | None]:
    """Find the registry's database, of the repository or of what it is going to be."""
    from lsst.daf.butler import Config

    try:
        if repository.status == "absent" and not seed:
            return None, None
        url, namespace = registry_of(repository.config() if repository.status != "absent" else Config(seed))
    except ReconcileError:
        raise
    except Exception as error:
        message, hints = explain(error)
        raise ApplyError(f"the lock of {repository.uri} can't be taken: {message}", hints) from error
    return (None, None) if "<butlerRoot>" in str(url) else (url, namespace)
