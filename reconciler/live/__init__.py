"""The live systems, as kinds see them: one Butler repository, one Rucio server, the storage behind both.

These modules are the only ones that import ``lsst`` or ``rucio``, and they do so when something is first asked, because the
imports cost more than many a check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.errors import ObserveError

if TYPE_CHECKING:
    from reconciler.live.butler import Repository
    from reconciler.live.rucio import Rucio

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


def quiet(what: str, done: int, total: int) -> None:
    """Report no progress."""


@dataclass
class Live:
    """Everything that a kind may ask or change.

    Parameters
    ----------
    repository : `reconciler.live.butler.Repository` or `None`
        The Butler repository, where the state names one.
    server : `reconciler.live.rucio.Rucio` or `None`
        The Rucio server, where the state names one.
    rse : `str` or `None`
        This facility's RSE.
    owners : mapping
        Which address of the state provides a token: a kind that merely mentions such a thing leaves it to its owner.
    progress : callable
        Told of bulk work.
    """

    repository: Repository | None = None
    server: Rucio | None = None
    rse: str | None = None
    owners: Mapping[str, str] = field(default_factory=dict)
    progress: Progress = quiet
    jobs: int = 1
    _pool: Executor | None = None

    def run_butler(self, arguments: Sequence[str]) -> str:
        """Run a ``butler`` subcommand of the Science Pipelines in a worker process.

        Parameters
        ----------
        arguments : sequence of `str`
            The subcommand and its arguments.

        Returns
        -------
        output : `str`
            What it printed.

        Raises
        ------
        reconciler.errors.ApplyError
            If it failed.
        """
        from reconciler.live import command

        if self._pool is None:
            self._pool = command.workers(self.jobs)
        try:
            return command.run(arguments, self._pool)
        except command.WorkerDied:
            self._pool = command.workers(self.jobs)
            return command.run(arguments, self._pool)

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

    def forget(self) -> None:
        """Look anew at everything from now on: something was changed."""
        if self.repository is not None:
            self.repository.forget()
        if self.server is not None:
            self.server.forget()

    def close(self) -> None:
        """Let go of connections and workers."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        if self.repository is not None:
            self.repository.close()
