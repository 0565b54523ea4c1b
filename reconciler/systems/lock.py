"""Locks that allow one apply, or one check of a state, at a time.

The operating system or PostgreSQL releases them when the process ends, even by kill -9.

If the registry is on PostgreSQL, the lock is an advisory one on that server, so it holds between hosts. Otherwise it is a lock on
a file next to the SQLite database, which is known before the database exists. In addition each run locks the name of what it
changes in the user's own folder: for the time before the folder of a repository exists, and for Rucio scopes.

A lock that is lost is never acquired again: another run may have changed everything meanwhile.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from reconciler.errors import ApplyError, LockHeld, ReconcileError
from reconciler.systems.advisory_lock import AdvisoryLock
from reconciler.systems.butler.errors import explain
from reconciler.systems.butler.registry_database import registry_of
from reconciler.systems.file_lock import FileLock

if TYPE_CHECKING:
    from reconciler.systems.butler.repository import Repository

T = TypeVar("T")
DEFAULT_DATABASE = "gen3.sqlite3"
"""Name of the database that the Butler creates in the root of a repository."""
PAUSE = 0.5
"""Seconds between two attempts to acquire a lock."""


class Lock(Protocol):
    """Something that one process at a time can acquire."""

    def acquire(self) -> None:
        """Acquire the lock without waiting.

        Raises
        ------
        reconciler.errors.LockHeld
            If another process holds it.
        reconciler.errors.ApplyError
            If it can't be used.
        reconciler.errors.ObserveError
            If the repository can't be opened, so that the place of its lock isn't known.
        """

    def check(self, *, creating: bool) -> None:
        """Check before an action that the lock is still held; ``creating`` if the run creates what is locked.

        A lock whose place could not be locked before, because its folder doesn't exist, is acquired there if ``creating``; the
        folder is created for that.

        Raises
        ------
        reconciler.errors.LockLost
            If it isn't held any more.
        reconciler.errors.LockHeld
            If another process holds the lock of what is about to be created.
        reconciler.errors.ApplyError, reconciler.errors.ObserveError
            If that lock can't be acquired for another reason, or its place can't be found out.
        """

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
    reconciler.errors.ObserveError
        If the repository can't be opened, so that the place of its lock isn't known.
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


def _refuse_file_in_path(folder: Path) -> None:
    """Raise ApplyError if a folder can't be created because something above it is a file."""
    for parent in (folder, *folder.parents):
        if parent.is_dir():
            return
        if os.path.lexists(parent):
            text = f"the folder {folder} of the registry can't be created: {parent} is not a folder"
            raise ApplyError(text, ("correct uri in [repository], or registry.db in its seed configuration",))


class _RepositoryLock:
    """The lock of a repository, which may not exist yet: one on its name, and one at the place of its registry.

    The place can be locked before the registry exists, except while the folder that will contain it doesn't exist. Then it is
    locked before the first action of a run that creates the repository, so no other run can get in between.
    """

    def __init__(self, repository: Repository, seed: str | None, folder: Path, *, override: bool) -> None:
        self.repository, self.seed, self.override = repository, seed, override
        self.name = _named_file_lock(_translate(repository, lambda: _locate(repository.uri)), folder)
        self.place: Lock | None = None

    def acquire(self) -> None:
        self.name.acquire()
        try:
            self._acquire_place(creating=False)
        except BaseException:
            self.name.release()
            raise

    def _acquire_place(self, *, creating: bool) -> None:
        place = _translate(self.repository, self.find_place)
        if isinstance(place, FileLock) and not place.path.parent.is_dir():
            _refuse_file_in_path(place.path.parent)
            if not creating:
                return
            try:
                place.path.parent.mkdir(parents=True, exist_ok=True)  # as the Butler would make it
            except OSError as error:
                text = f"the folder {place.path.parent} of the registry can't be created: {error.strerror}"
                raise ApplyError(text) from error
        if place is not None:
            place.acquire()
            self.place = place

    def find_place(self) -> FileLock | AdvisoryLock | None:
        """Return the lock at the place of the registry that the repository has, or will have; None if that can't be found out."""
        from lsst.daf.butler import Config

        if self.repository.is_server:
            return None  # it is never changed
        exists = self.repository.status != "absent"
        url, namespace = registry_of(self.repository.config() if exists else Config(self.seed))
        if url.get_backend_name() == "postgresql":
            return AdvisoryLock(url, namespace)
        database = str(url.database or "")
        if not exists and (not self.override or "<butlerRoot>" in database):
            root = _locate(self.repository.uri)
            if not root.startswith("/"):
                return None
            database = f"{root}/{DEFAULT_DATABASE}"  # where the Butler creates it, whatever the seed names
        return FileLock(Path(database).with_suffix(".reconcile.lock")) if database.startswith("/") else None

    def check(self, *, creating: bool) -> None:
        self.name.check(creating=creating)
        if self.place is not None:
            self.place.check(creating=creating)
        elif creating:
            try:
                self._acquire_place(creating=True)
            except LockHeld as error:
                hint = "another apply is creating it; wait for that run, and run again"
                raise LockHeld(f"{self.repository.uri} is locked: {error}", (hint,)) from error

    def release(self) -> None:
        if self.place is not None:
            self.place.release()
        self.name.release()


def repository_lock(repository: Repository, seed: str | None, folder: Path, *, override: bool = False) -> Lock:
    """Return the lock of a repository.

    Parameters
    ----------
    repository : `reconciler.systems.butler.repository.Repository`
        The repository, which may not exist yet.
    seed : `str` or `None`
        Its seed configuration file.
    folder : `pathlib.Path`
        Folder of locks that have no better place.
    override : `bool`
        Whether the seed's registry takes precedence over the one derived from the location.

    Raises
    ------
    reconciler.errors.ReconcileError
        If its location can't be found out.
    """
    return _RepositoryLock(repository, seed, folder, override=override)


def find_holder(repository: Repository, folder: Path) -> str:
    """Return who holds the lock of a repository that exists; empty if nobody does.

    That of a file is held, shared, for a moment; an apply that starts just then may be refused.

    Parameters
    ----------
    repository : `reconciler.systems.butler.repository.Repository`
        The repository.
    folder : `pathlib.Path`
        Folder of locks that have no better place.

    Raises
    ------
    reconciler.errors.ReconcileError
        If that can't be found out.
    """
    lock = _RepositoryLock(repository, None, folder, override=False)
    place = _translate(repository, lock.find_place)
    holder = lock.name.find_holder()
    return holder if holder or place is None else place.find_holder()


def named_lock(name: str, folder: Path) -> Lock:
    """Return the lock of a name, such as a scope of a Rucio server; it holds for this user on this host only."""
    return _named_file_lock(name, folder)


def _named_file_lock(name: str, folder: Path) -> FileLock:
    return FileLock(folder / "locks" / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.lock")


def database_lock(url: Any, name: str) -> Lock:
    """Return a lock of this name on a PostgreSQL server, which holds between hosts; ``url`` is a `sqlalchemy.engine.URL`."""
    return AdvisoryLock(url, name)


def _locate(uri: str) -> str:
    """Return the root of a repository, the same for all ways to write it: its real path if it is local."""
    from lsst.daf.butler import Butler
    from lsst.resources import ResourcePath

    root = ResourcePath(Butler.get_repo_uri(uri, return_label=True))
    root = root.dirname() if root.getExtension() in (".yaml", ".yml") else ResourcePath(root, forceDirectory=True)
    return os.path.realpath(root.ospath) if root.isLocal else str(root.geturl())


def _translate(repository: Repository, find: Callable[[], T]) -> T:
    """Return what a function finds out about a repository; raise ApplyError in place of what the Butler raises."""
    try:
        return find()
    except ReconcileError:
        raise
    except Exception as error:
        message, hints = explain(error)
        raise ApplyError(f"the lock of {repository.uri} can't be acquired: {message}", hints) from error
