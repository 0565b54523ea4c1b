"""Where bulk work is done: worker processes of this machine, or those of a batch system that Parsl speaks to.

Both are a `concurrent.futures.Executor`, so there is one way of working: a function, and chunks to do with it. A worker imports
the Butler once and then takes one chunk after another; one of this machine dies with the process that started it, so that
nothing writes to a repository whose lock is gone.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import runpy
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, TypeVar

from reconciler.errors import ApplyError, ReconcileError, StateError, WorkerDied

T = TypeVar("T")
BATCH = 16
"""Into how many chunks work is cut for a batch system, at least."""


@dataclass
class Workers:
    """Workers, started when the first chunk comes.

    Parameters
    ----------
    jobs : `int`
        How many chunks at once.
    parsl : `str` or `None`
        A Parsl configuration: a Python file that makes ``config``, a `parsl.config.Config`.
    """

    jobs: int = 1
    parsl: str | None = None

    def __post_init__(self) -> None:
        self._pool: Executor | None = None

    @property
    def width(self) -> int:
        """How many chunks are done at once; a batch system takes as many as there are."""
        return BATCH if self.parsl is not None else self.jobs

    def each(self, work: Callable[..., T], chunks: Sequence[tuple[Any, ...]], *, side_by_side: bool = True) -> Iterator[T]:
        """Do all chunks.

        Parameters
        ----------
        work : callable
            A function of a module that workers can import.
        chunks : sequence of tuple
            Its arguments, each time; plain data.
        side_by_side : `bool`
            Whether chunks may be done at the same time; a SQLite database has one writer.

        Yields
        ------
        result : `object`
            Of each chunk, as chunks end.

        Raises
        ------
        reconciler.errors.WorkerDied
            If a worker did; whoever looks again finds what is still to be done.
        reconciler.errors.ApplyError
            If a chunk failed; those that had not begun are not done.
        """
        if self._pool is None:
            self._pool = self._start()
        for group in [list(chunks)] if side_by_side else [[chunk] for chunk in chunks]:
            futures = [self._pool.submit(_guarded, work, chunk) for chunk in group]
            try:
                for future in as_completed(futures):
                    yield self._result(future)
            finally:
                for future in futures:
                    with contextlib.suppress(NotImplementedError):  # Parsl's can't be
                        if not future.done():
                            future.cancel()

    def _result(self, future: Future[Any]) -> Any:
        try:
            result, failure = future.result()
        except Exception as error:  # a broken pool, or whatever a batch system tells of a lost worker
            self.close()
            told = str(error).strip().splitlines()
            text = f"a worker died: {type(error).__name__}{': ' + told[0][:200] if told else ''}"
            raise WorkerDied(text, ("was it out of memory?",)) from error
        if failure is not None:
            raise ApplyError(*failure)
        return result

    def _start(self) -> Executor:
        if self.parsl is not None:
            return _parsl(self.parsl)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["lsst.daf.butler.cli.butler"])  # the import is the dearest part of a worker
        return ProcessPoolExecutor(self.jobs, mp_context=context, initializer=_prepare)

    def close(self) -> None:
        """End the workers."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            pool.shutdown(wait=True, cancel_futures=True)


def _parsl(path: str) -> Executor:
    try:
        from parsl.concurrent import ParslPoolExecutor
    except ImportError as error:
        raise StateError("--parsl needs Parsl", ("pip install 'rubin-reconciler[parsl]'",)) from error
    try:
        config = runpy.run_path(path)["config"]
    except Exception as error:  # the operator's own Python may raise anything
        raise StateError(f"{path}: no Parsl configuration: {type(error).__name__}: {error}") from error
    pool: Executor = ParslPoolExecutor(config)
    return pool


def _guarded(work: Callable[..., T], arguments: tuple[Any, ...]) -> tuple[T | None, tuple[str, tuple[str, ...]] | None]:
    """Do a chunk; a failure comes back as text, for not every exception can be sent."""
    gc.set_threshold(200_000, 20, 100)  # a chunk makes millions of objects and hardly any garbage
    try:
        return work(*arguments), None
    except ReconcileError as error:
        return None, (str(error), tuple(error.hints))
    except Exception as error:
        return None, (f"{type(error).__name__}: {error}", ())


def _prepare() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the run between chunks, not a chunk
    end_with_parent()


def end_with_parent() -> None:
    """End this process when the one that started it has ended, however that came."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
