"""Run ``butler`` subcommands of the Science Pipelines in workers, for one repository."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.errors import Interrupted
from reconciler.systems.butler import commands as subcommands
from reconciler.systems.butler import write_definitions

if TYPE_CHECKING:
    from reconciler.systems.bulk import Cancellation
    from reconciler.systems.butler.commands import CommandReport
    from reconciler.systems.butler.repository import Repository
    from reconciler.systems.worker_link import Steps
    from reconciler.systems.workers import Workers


@dataclass(frozen=True)
class ButlerCommands:
    """The subcommands that write to one repository.

    Parameters
    ----------
    repository : `Repository`
        The Butler repository.
    workers : `Workers`
        Where they run.
    cancellation : `Cancellation`
        The operator's request to stop.
    known_options : `dict` [`str`, `frozenset` [`str`]]
        The options of the subcommands that were asked for so far.
    """

    repository: Repository
    workers: Workers
    cancellation: Cancellation
    known_options: dict[str, frozenset[str]] = field(default_factory=dict)

    def run(self, commands: Sequence[Sequence[str]], runs: Collection[str] = ()) -> Iterator[None]:
        """Run ``butler`` subcommands of the Science Pipelines in workers, and yield each time that one has ended.

        They run side by side, but on SQLite one after the other. RUN collections whose creation was interrupted are completed
        first. Nothing runs before the first item is asked for.

        Parameters
        ----------
        commands : `Sequence` [`Sequence` [`str`]]
            Each a subcommand and its arguments.
        runs : `Collection` [`str`]
            The RUN collections that they write; ``a/*`` stands for all below ``a/``.

        Raises
        ------
        reconciler.errors.ApplyError
            If one failed, or its worker died; those that hadn't started are cancelled, except in a batch system.
        reconciler.errors.ObserveError
            If the repository can't be queried.
        reconciler.errors.Interrupted
            If the operator asked to stop; the commands that have begun are completed, and stay done.
        """
        self._complete_runs(runs)
        chunks = [(list(words),) for words in commands]
        last = len(chunks) - 1
        for number, _ in enumerate(self.workers.each(subcommands.run, chunks, side_by_side=self.repository.many_writers)):
            yield
            if number < last:
                self.cancellation.check()

    def run_partly(
        self, commands: Sequence[Sequence[str]], runs: Collection[str] = (), on_steps: Callable[[Steps], None] | None = None
    ) -> Iterator[tuple[int, CommandReport]]:
        """Run ``butler`` subcommands that handle many items in workers, and yield the number and the report of each as it ends.

        Parameters
        ----------
        commands, runs
            As in `run`.
        on_steps : callable, optional
            Called several times a second with the number of items that were read and handled.

        Raises
        ------
        reconciler.errors.ApplyError
            If a subcommand could not be run at all, or its worker died.
        reconciler.errors.ObserveError
            If the repository can't be queried.
        reconciler.errors.Interrupted
            If the operator asked to stop: the subcommands end between two items.
        """
        self._complete_runs(runs)
        chunks = [(number, list(words)) for number, words in enumerate(commands)]
        left = len(chunks)
        stop = self.cancellation.requested
        side_by_side = self.repository.many_writers
        for number, report in self.workers.each(
            subcommands.run_numbered, chunks, side_by_side=side_by_side, on_steps=on_steps, stop=stop
        ):
            if report.stopped:
                raise Interrupted
            left -= 1
            yield number, report
            if left:
                self.cancellation.check()

    def list_options(self, name: str) -> frozenset[str]:
        """Return the options, such as ``--incremental``, that a ``butler`` subcommand has; none if it isn't installed. Cached.

        Raises
        ------
        reconciler.errors.ApplyError
            If the worker that is asked fails.
        """
        if name not in self.known_options:
            (found,) = self.workers.each(subcommands.list_options, [(name,)])
            self.known_options[name] = frozenset(found)
        return self.known_options[name]

    def _complete_runs(self, runs: Collection[str]) -> None:
        """Complete half-created (empty) RUN collections: ``butler`` subcommands assume that one that exists is complete."""
        existing = self.repository.collections()
        folders = [run.removesuffix("*") for run in runs if run.endswith("/*")]
        below = [name for folder in folders for name in existing.below(folder)]
        written = [name for name in dict.fromkeys([*runs, *below]) if name in existing]
        empty = [name for name in written if existing[name].type == "RUN" and not existing[name].dataset_types]
        write_definitions.complete_runs(self.repository, empty)
