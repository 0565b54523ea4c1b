"""What a worker on this machine and the process that started it exchange while a chunk is executed: its progress, and a stop."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Steps:
    """How far the workers have come.

    Parameters
    ----------
    prepared : `int`
        Number of items read, before anything is written.
    done : `int`
        Number of items handled.
    """

    prepared: int = 0
    done: int = 0

    def __sub__(self, other: Steps) -> Steps:
        return Steps(self.prepared - other.prepared, self.done - other.done)


class WorkerLink:
    """Shared memory of the processes of a pool, which is passed to each worker when it starts."""

    def __init__(self, context: multiprocessing.context.ForkServerContext) -> None:
        self._prepared: Any = context.Value("q", 0)
        self._done: Any = context.Value("q", 0)
        self._stop: Any = context.RawValue("b", 0)

    def count(self, steps: Steps) -> None:
        """Add to the number of steps; called by a worker."""
        for counter, number in ((self._prepared, steps.prepared), (self._done, steps.done)):
            if number:
                with counter.get_lock():
                    counter.value += number

    @property
    def steps(self) -> Steps:
        """All steps so far."""
        return Steps(self._prepared.value, self._done.value)

    @property
    def stop_requested(self) -> bool:
        """Whether the workers should end what they do as soon as nothing is lost by it."""
        return bool(self._stop.value)

    @stop_requested.setter
    def stop_requested(self, requested: bool) -> None:
        self._stop.value = requested


_link: WorkerLink | None = None
"""The link of this worker; None in other processes, and in workers of a batch system."""


def connect(link: WorkerLink) -> None:
    """Let `count` and `is_stop_requested` use a link; called once when a worker starts."""
    global _link
    _link = link


def count(steps: Steps) -> None:
    """Report steps to the process that started this worker."""
    if _link is not None:
        _link.count(steps)


def is_stop_requested() -> bool:
    """Return True if this worker should end what it does as soon as nothing is lost by it."""
    return _link is not None and _link.stop_requested
