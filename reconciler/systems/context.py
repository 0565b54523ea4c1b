"""The live systems, as kinds see them: one Butler repository, one Rucio server, the storage behind both.

These modules are the only ones that import ``lsst`` or ``rucio``, and they do so when something is first asked, because the
imports cost more than many a check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from reconciler.errors import Interrupted, ObserveError
from reconciler.systems.stats import Stats
from reconciler.systems.workers import Workers

if TYPE_CHECKING:
    from reconciler.systems.butler.datasets import Repository
    from reconciler.systems.rucio.server import Rucio

CHUNK = 10_000
"""Datasets in one ingest: the fastest that still bounds what an interruption undoes."""
LISTED = 1_000
"""Up to so many members are listed at once, which costs no more than counting them."""

T = TypeVar("T")
Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


def quiet(what: str, done: int, total: int) -> None:
    """Report no progress."""


@dataclass
class Live:
    """Everything that a kind may ask or change.

    Parameters
    ----------
    repository : `reconciler.systems.butler.datasets.Repository` or `None`
        The Butler repository, where the state names one.
    server : `reconciler.systems.rucio.server.Rucio` or `None`
        The Rucio server, where the state names one.
    rse : `str` or `None`
        This facility's RSE.
    owners : mapping
        Which address of the state provides a token: a kind that merely mentions such a thing leaves it to its owner.
    progress : callable
        Told of bulk work.
    workers : `reconciler.systems.workers.Workers`
        Who does bulk work.
    deep : `bool`
        Whether members are compared everywhere, also where counts agree.
    stop : callable
        Tells whether the operator asked to stop.
    stats : `reconciler.systems.stats.Stats`
        What the looking took.
    """

    repository: Repository | None = None
    server: Rucio | None = None
    rse: str | None = None
    owners: Mapping[str, str] = field(default_factory=dict)
    progress: Progress = quiet
    workers: Workers = field(default_factory=Workers)
    deep: bool = False
    stop: Callable[[], bool] = lambda: False
    stats: Stats = field(default_factory=Stats)
    _walked: dict[tuple[tuple[str, ...], str], list[str]] = field(default_factory=dict)

    def files(self, locations: Sequence[str], pattern: str) -> list[str]:
        """Walk folders, once: what is done to the Butler or to Rucio leaves files where they are.

        Parameters
        ----------
        locations : sequence of `str`
            Folders.
        pattern : `str`
            Regular expression that names of files match.

        Returns
        -------
        files : `list` [`str`]
            Plain URIs.
        """
        from reconciler.systems import storage

        key = (tuple(locations), pattern)
        if key not in self._walked:
            self._walked[key] = storage.find(locations, pattern)
        return self._walked[key]

    def counts(self, wanted: int) -> bool:
        """Tell whether counts are compared first, and members only where counts differ.

        Parameters
        ----------
        wanted : `int`
            How many members are wanted.

        Returns
        -------
        counts : `bool`
            Not for few, and not where everything is to be looked at.
        """
        return wanted > LISTED and not self.deep

    def chunks(self, items: Sequence[T]) -> list[Sequence[T]]:
        """Cut bulk work into pieces: as large as pays, and enough of them for all workers.

        Parameters
        ----------
        items : sequence
            All of it.

        Returns
        -------
        chunks : `list`
            In order.
        """
        size = min(CHUNK, max(-(-len(items) // self.workers.width), 1)) if self.butler.many_writers else CHUNK
        return [items[start : start + size] for start in range(0, len(items), size)]

    def between_chunks(self) -> None:
        """End bulk work here, if the operator asked to stop.

        Raises
        ------
        reconciler.errors.Interrupted
            If so.
        """
        if self.stop():
            raise Interrupted

    def run_butler(self, commands: Sequence[Sequence[str]]) -> Iterator[None]:
        """Run ``butler`` subcommands of the Science Pipelines in workers.

        Parameters
        ----------
        commands : sequence of sequence of `str`
            Each a subcommand and its arguments.

        Yields
        ------
        nothing : `None`
            Each time that one has ended.

        Raises
        ------
        reconciler.errors.ApplyError
            If one failed.
        """
        from reconciler.systems.butler import write_definitions
        from reconciler.systems.butler.commands import run

        # What a command finds by its name it takes for whole, so the RUN collections without datasets are seen to first.
        empty = [name for name, c in self.butler.collections().items() if c.type == "RUN" and not c.dataset_types]
        write_definitions.complete_runs(self.butler, empty)
        chunks = [(list(words),) for words in commands]
        last = len(chunks) - 1
        for number, _ in enumerate(self.workers.each(run, chunks, side_by_side=self.butler.many_writers)):
            yield
            if number < last:
                self.between_chunks()

    @property
    def butler(self) -> Repository:
        """The Butler repository.

        Raises
        ------
        reconciler.errors.ObserveError
            If the state names none.
        """
        if self.repository is None:
            raise ObserveError("the state names no [repository]")
        return self.repository

    @property
    def rucio(self) -> Rucio:
        """The Rucio server.

        Raises
        ------
        reconciler.errors.ObserveError
            If the state names none.
        """
        if self.server is None:
            raise ObserveError("the state names no [rucio]")
        return self.server

    def forget(self, *systems: str) -> None:
        """Look anew from now on: something was changed.

        Parameters
        ----------
        *systems : `str`
            What: butler, rucio; both if none is named.
        """
        if self.repository is not None and (not systems or "butler" in systems):
            self.repository.forget()
        if self.server is not None and (not systems or "rucio" in systems):
            self.server.forget()
        if not systems:
            self._walked.clear()

    def close(self) -> None:
        """Let go of connections and workers."""
        self.workers.close()
        if self.repository is not None:
            self.repository.close()
