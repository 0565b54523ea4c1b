"""Bulk work: cut into chunks, reported as it proceeds, and ended between two chunks when the operator asks to stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from reconciler.errors import Interrupted

CHUNK = 10_000
"""Datasets in one ingest: the fastest size that still bounds what an interruption undoes."""

T = TypeVar("T")
ProgressReport = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


def ignore_progress(what: str, done: int, total: int) -> None:
    """Report no progress."""


class StopRequest:
    """A request to end a run between two actions; true when called once it was made."""

    def __init__(self) -> None:
        self.requested = False
        self.record: Callable[[], None] = lambda: None
        """Records the run as interrupted in its journal; for whoever ends the process before the run has ended."""

    def __call__(self) -> bool:
        return self.requested


@dataclass
class Cancellation:
    """The operator's request to stop.

    Parameters
    ----------
    requested : `Callable`
        Returns True once the operator has asked to stop.
    """

    requested: Callable[[], bool] = lambda: False

    def check(self) -> None:
        """End the work here if the operator asked to stop.

        Raises
        ------
        reconciler.errors.Interrupted
            If so.
        """
        if self.requested():
            raise Interrupted


def split_into_chunks(items: Sequence[T], width: int) -> list[Sequence[T]]:
    """Cut bulk work into chunks of one size, of which only the last may be smaller.

    They are at most ``width``, or more where one would have over `CHUNK` items.
    """
    size = min(CHUNK, max(-(-len(items) // width), 1))
    return [items[start : start + size] for start in range(0, len(items), size)]


def pack_into_chunks(groups: Sequence[Sequence[T]], width: int) -> list[list[Sequence[T]]]:
    """Cut bulk work into chunks as `split_into_chunks` does, without splitting a group, such as the files of an exposure."""
    size = min(CHUNK, max(-(-sum(map(len, groups)) // width), 1))
    chunks: list[list[Sequence[T]]] = []
    room = 0
    for group in groups:
        if not chunks or room <= 0:
            chunks.append([])
            room = size
        chunks[-1].append(group)
        room -= len(group)
    return chunks
