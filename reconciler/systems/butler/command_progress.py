"""Progress of a ``butler`` subcommand, item by item, through the Butler's own progress interface.

The tasks of obs_base iterate over exposures or visits through `lsst.daf.butler.progress.Progress`, with a transaction for each.
So a handler of progress sees each item, and between two of them it can end the subcommand without losing anything.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from reconciler.systems import worker_link
from reconciler.systems.worker_link import Steps

LOGGER = "obs.base"
"""The progress of the tasks is reported if loggers below this one have level INFO; nothing else is logged there."""


class ProgressWatch:
    """Watches the items of a subcommand while this context lasts.

    Attributes
    ----------
    stopped : `bool`
        Whether the subcommand was ended between two items because that was requested.
    duplicates : `list` [`tuple` [`str`, ...]]
        URIs of files of one exposure that have the same data ID.
    """

    def __init__(self) -> None:
        self.stopped = False
        self.duplicates: list[tuple[str, ...]] = []
        self._begun = self._ended = 0

    @property
    def broke_off(self) -> bool:
        """Whether the subcommand ended amid some items. A single item isn't watched: the Butler reports no progress for it."""
        return self._begun > self._ended

    def install(self) -> None:
        """Receive the progress of this process; to be called after the options of the command are parsed, which reset that."""
        from lsst.daf.butler.progress import Progress

        Progress.set_handler(self)

    def get_progress_bar(self, iterable: Iterable[Any] | None, desc: str, total: int | None, level: int) -> Any:
        """Return what takes the place of a progress bar, as `lsst.daf.butler.progress.ProgressHandler` does."""
        return contextlib.nullcontext(_Bar(self, () if iterable is None else iterable))

    def remove(self) -> None:
        """Receive no progress any more."""
        from lsst.daf.butler.progress import Progress

        Progress.set_handler(None)

    def watch(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yield items, and count them.

        Raises
        ------
        click.exceptions.Abort
            If the subcommand is to end here; it passes through the subcommand without being logged.
        """
        import click

        self._begun += 1
        for item in items:
            if worker_link.is_stop_requested():
                self.stopped = True
                raise click.exceptions.Abort
            files = getattr(item, "files", None)  # an exposure has its files, and one of these is an item while they are read
            self.duplicates += _find_duplicates(files or ())
            yield item
            worker_link.count(Steps(prepared=1) if files is None else Steps(done=len(files)))
        self._ended += 1


class _Bar:
    """An iterable in the form of the Butler's progress bars."""

    def __init__(self, watch: ProgressWatch, items: Iterable[Any]) -> None:
        self._watch, self._items = watch, items

    def __iter__(self) -> Iterator[Any]:
        return self._watch.watch(self._items)

    def update(self, n: int = 1) -> None:
        """Do nothing: items are counted when they are iterated over."""


def _find_duplicates(files: Iterable[Any]) -> Iterator[tuple[str, ...]]:
    """Yield the URIs of files of an exposure, as obs_base's RawFileData, that have the same data ID."""
    by_data_id: dict[str, list[str]] = defaultdict(list)
    for file in files:
        for dataset in getattr(file, "datasets", ()):
            by_data_id[str(dataset.dataId)].append(str(file.filename))
    yield from (tuple(uris) for uris in by_data_id.values() if len(uris) > 1)
