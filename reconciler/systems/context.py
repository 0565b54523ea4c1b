"""The live systems as kinds use them: one Butler repository, one Rucio server, the storage behind both.

The modules of this package are the only ones that import ``lsst`` or ``rucio``, and they do so when something is first asked,
because importing them takes longer than most checks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler.errors import ObserveError
from reconciler.systems.bulk import Cancellation, ProgressReport, ignore_progress, pack_into_chunks, split_into_chunks
from reconciler.systems.existence import find_existing_names, find_existing_tokens
from reconciler.systems.policy import ComparisonPolicy
from reconciler.systems.stats import Stats
from reconciler.systems.workers import Workers

if TYPE_CHECKING:
    from reconciler.systems.butler.command_runs import ButlerCommands
    from reconciler.systems.butler.repository import Repository
    from reconciler.systems.butler.sources import SourceRepositories
    from reconciler.systems.lock import Lock
    from reconciler.systems.rucio.server import RucioServer

T = TypeVar("T")
MOST_FILES = 10_000
"""Files whose content `Context.read_file` keeps."""


@dataclass(frozen=True)
class ComingNames:
    """What the tables of a state bring, so that a name that doesn't exist yet may be right.

    Parameters
    ----------
    dataset_types : `frozenset` [`str`]
        The dataset types that tables define or need.
    dimensions : `Mapping` [`str`, `tuple` [`str`, ...]]
        The dimensions of the dataset types that have tables of their own.
    all_types : `bool`
        Whether a table may define dataset types that it doesn't name.
    elements : `frozenset` [`str`] or `None`
        The dimensions of which tables insert records that they don't name, such as exposures; `None` for any dimension.
    """

    dataset_types: frozenset[str] = frozenset()
    dimensions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    all_types: bool = False
    elements: frozenset[str] | None = frozenset()


@dataclass
class Context:
    """Everything that a kind may ask or change.

    Parameters
    ----------
    repository : `Repository` or `None`
        The Butler repository, if the state names one.
    server : `RucioServer` or `None`
        The Rucio server, if the state names one.
    rse : `str` or `None`
        This facility's RSE.
    owners : `Mapping` [`str`, `str`]
        The address of the state that provides a token: a kind that merely mentions such a thing leaves it to its owner.
    storage_classes : `Mapping` [`str`, `str`]
        The storage class of each dataset type that the state defines.
    coming : `ComingNames`
        What the tables of the state bring that doesn't exist yet.
    policy : `ComparisonPolicy`
        How thoroughly members are compared.
    cancellation : `Cancellation`
        The operator's request to stop.
    report_progress : `ProgressReport`
        Called with the progress of bulk work.
    workers : `Workers`
        Where bulk work is done.
    stats : `Stats`
        Counts of statements and calls, and times.
    locks : `list` [`Lock`]
        The locks that the run holds.
    """

    repository: Repository | None = None
    server: RucioServer | None = None
    rse: str | None = None
    owners: Mapping[str, str] = field(default_factory=dict)
    storage_classes: Mapping[str, str] = field(default_factory=dict)
    coming: ComingNames = field(default_factory=ComingNames)
    policy: ComparisonPolicy = field(default_factory=ComparisonPolicy)
    cancellation: Cancellation = field(default_factory=Cancellation)
    report_progress: ProgressReport = ignore_progress
    workers: Workers = field(default_factory=Workers)
    stats: Stats = field(default_factory=Stats)
    locks: list[Lock] = field(default_factory=list)
    _prepared: bool = False
    _found_files: dict[tuple[tuple[str, ...], str], list[str]] = field(default_factory=dict)
    _read_files: dict[Hashable, Any] = field(default_factory=dict)
    _command_options: dict[str, frozenset[str]] = field(default_factory=dict)
    _sources: SourceRepositories | None = None

    @property
    def butler(self) -> Repository:
        """The Butler repository.

        Raises
        ------
        reconciler.errors.ObserveError
            If the state names none.
        """
        if self.repository is None:
            raise ObserveError("the state has no [repository] table")
        return self.repository

    @property
    def rucio(self) -> RucioServer:
        """The Rucio server.

        Raises
        ------
        reconciler.errors.ObserveError
            If the state names none.
        """
        if self.server is None:
            raise ObserveError("the state has no [rucio] table")
        return self.server

    @property
    def sources(self) -> SourceRepositories:
        """The repositories whose datasets are registered in Rucio."""
        if self._sources is None:
            from reconciler.systems.butler.sources import SourceRepositories

            self._sources = SourceRepositories()
        return self._sources

    @property
    def commands(self) -> ButlerCommands:
        """The ``butler`` subcommands, for the Butler repository.

        Raises
        ------
        reconciler.errors.ObserveError
            If the state names no repository.
        """
        from reconciler.systems.butler.command_runs import ButlerCommands

        return ButlerCommands(self.butler, self.workers, self.cancellation, self._command_options)

    def prepare(self) -> None:
        """Import the Butler, unless that was done or the state names no repository.

        Raises
        ------
        reconciler.errors.ObserveError
            If it is not installed.
        """
        if self.repository is None or self._prepared:
            return
        from reconciler.systems.butler.connection import import_butler

        with self.phase("import lsst.daf.butler"):
            import_butler()
        self._prepared = True

    def find_existing(self, tokens: Collection[str]) -> set[str]:
        """Return the tokens that exist live; see `reconciler.systems.existence`.

        Raises
        ------
        reconciler.errors.ObserveError
            If a system can't be asked.
        """
        return find_existing_tokens(self, tokens) if tokens else set()

    def find_names(self, kind: str) -> Collection[str]:
        """Return the live names of one kind of token; none for DIDs, of which there may be millions.

        See `reconciler.systems.existence`.

        Raises
        ------
        reconciler.errors.ObserveError
            If a system can't be asked.
        """
        return find_existing_names(self, kind)

    def is_down(self, system: str) -> bool:
        """Return True if a system can't be asked, for whatever reason; False also if the state names none.

        An answer is cached until `forget`, so that an outage after it isn't noticed; the caller has to remember a failure.
        """
        try:
            if system == "butler" and self.repository is not None:
                self.repository.collections()
            elif system == "rucio" and self.server is not None:
                self.server.ping()
        except ObserveError:
            return True
        return False

    def find_missing_commands(self, names: Sequence[str]) -> list[str]:
        """Return the ``butler`` subcommands that aren't installed."""
        if not names:
            return []
        from reconciler.systems.butler.commands import missing_subcommands

        return missing_subcommands(names)

    def find_missing_classes(self, names: Sequence[str]) -> list[str]:
        """Return the classes that can't be imported; the packages of all of them are imported into this process."""
        if not names:
            return []
        from reconciler.systems.butler.commands import missing_classes

        return missing_classes(names)

    def find_missing_formatters(self, dataset_types: Sequence[str]) -> list[str]:
        """Return the dataset types whose default formatter can't be imported; none before the repository exists.

        Raises
        ------
        reconciler.errors.ObserveError
            If the repository can't be opened.
        """
        if not dataset_types or self.repository is None or not self.repository.ready:
            return []
        from reconciler.systems.butler.commands import missing_formatters

        return missing_formatters(self.repository, dataset_types, self.storage_classes)

    def find_files(self, locations: Sequence[str], pattern: str) -> list[str]:
        """Return the files below some folders, sorted, whose names match a regular expression: paths of local files, else URIs.

        The answer is cached: what is done to the Butler or to Rucio leaves files where they are. Raises
        `reconciler.errors.ObserveError` if a folder can't be listed.
        """
        from reconciler.systems import storage

        key = (tuple(locations), pattern)
        if key not in self._found_files:
            self._found_files[key] = storage.find(locations, pattern)
        return self._found_files[key]

    def read_file(self, key: Hashable, read: Callable[[], T]) -> T:
        """Return what ``read`` returns.

        It is cached by key until the cache of `find_files` is dropped, for the first `MOST_FILES` keys; an error isn't cached.
        """
        if key in self._read_files:
            known: T = self._read_files[key]
            return known
        found = read()
        if len(self._read_files) < MOST_FILES:
            self._read_files[key] = found
        return found

    def split_into_chunks(self, items: Sequence[T]) -> list[Sequence[T]]:
        """Cut bulk work into chunks of one size, of which only the last may be smaller.

        They are at most `Workers.width`, or more where one would have over `bulk.CHUNK` items.

        A registry on SQLite has one writer, so the number of workers doesn't count there.
        """
        return split_into_chunks(items, self.workers.width if self.butler.many_writers else 1)

    def pack_into_chunks(self, groups: Sequence[Sequence[T]]) -> list[list[Sequence[T]]]:
        """Cut bulk work into chunks as `split_into_chunks` does, without splitting a group."""
        return pack_into_chunks(groups, self.workers.width if self.butler.many_writers else 1)

    def check_lock(self, *, creating: bool) -> None:
        """Check before an action that the locks of the run are still held; see `reconciler.systems.lock.Lock.check`."""
        for lock in self.locks:
            lock.check(creating=creating)

    def forbid_writes(self) -> None:
        """Refuse everything that could change a live system from now on; call it before anything is asked."""
        if self.repository is not None:
            self.repository.connection.read_only = True
        if self.server is not None:
            self.server.connection.read_only = True

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Time a phase of the run for --stats."""
        return self.stats.phase(name)

    def forget(self, *systems: str) -> None:
        """Drop cached answers of some systems; without arguments, of all and of the storage."""
        if self.repository is not None and (not systems or "butler" in systems):
            self.repository.forget()
        if self.server is not None and (not systems or "rucio" in systems):
            self.server.forget()
        if self._sources is not None and (not systems or "rucio" in systems):
            self._sources.forget()
        if not systems:
            self._found_files.clear()
            self._read_files.clear()

    def close(self) -> None:
        """End the workers, and close the repositories; Rucio has no connection to close."""
        self.workers.close()
        for opened in (self.repository, self._sources):
            if opened is not None:
                opened.close()
