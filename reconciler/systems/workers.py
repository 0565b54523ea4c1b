"""Workers that execute chunks of bulk work: processes of this machine, or those of a batch system through Parsl.

Both are a `concurrent.futures.Executor`. A worker imports the Butler once and then executes one chunk after another. A worker on
this machine ends with the process that started it, so that nothing writes to a repository whose lock is released.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import runpy
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler.errors import ApplyError, ReconcileError, StateError, WorkerDied
from reconciler.systems.worker_link import Steps, WorkerLink, connect

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext

T = TypeVar("T")
BATCH = 16
"""Minimum number of chunks into which work for a batch system is cut."""
MOST_SUBMITTED = 64
"""Chunks that a batch system has at once: it can't cancel them, so that a stop waits for all of these."""
POLL = 0.02
"""Seconds between two checks of the workers' progress and of a request to stop: less than obs_base takes for one exposure."""
INTERRUPTS = (signal.SIGINT, signal.SIGHUP)
"""Signals that a terminal sends to all processes of a run."""


@dataclass
class Workers:
    """Workers that start with the first chunk.

    Parameters
    ----------
    jobs : `int`
        Number of chunks executed in parallel.
    parsl : `str` or `None`
        Parsl configuration: a Python file that defines ``config``, a `parsl.config.Config`.
    """

    jobs: int = 1
    parsl: str | None = None

    def __post_init__(self) -> None:
        self._pool: Executor | None = None
        self._link: WorkerLink | None = None
        self._prepared = False

    @property
    def width(self) -> int:
        """Number of chunks executed in parallel; a batch system accepts any number."""
        return BATCH if self.parsl is not None else self.jobs

    def each(
        self,
        work: Callable[..., T],
        chunks: Sequence[tuple[Any, ...]],
        *,
        side_by_side: bool = True,
        on_steps: Callable[[Steps], None] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[T]:
        """Execute a function on all chunks.

        Parameters
        ----------
        work : callable
            A function of a module that workers can import.
        chunks : sequence of tuple
            Arguments of each call; plain data.
        side_by_side : `bool`
            Whether chunks may be executed in parallel; a SQLite database allows one writer.
        on_steps : callable, optional
            Called several times a second with the steps that workers of this machine have counted since the first chunk.
        stop : callable
            Returns True once workers are to end what they do, as soon as nothing is lost by it; only those of this machine
            learn of it.

        Yields
        ------
        result : `object`
            Result of each chunk, in the order in which they end.

        Raises
        ------
        reconciler.errors.WorkerDied
            If a worker ended; observing again shows what is left to do.
        reconciler.errors.ApplyError
            If a chunk failed; chunks that had not started are cancelled, except in a batch system, and all others are waited for.
        reconciler.errors.StateError
            If Parsl isn't installed, or its configuration is wrong.
        """
        pool = self._pool = self._pool or self._start()
        begun = self._link.steps if self._link is not None else Steps()
        for group in self._group(chunks, side_by_side=side_by_side):
            futures: list[Future[Any]] = []
            try:
                self._submit(pool, work, group, futures)
                for future in self._watch(futures, begun, on_steps, stop):
                    yield self._result(future)
            finally:
                self._end(futures, stop)

    def _submit(
        self, pool: Executor, work: Callable[..., T], group: Sequence[tuple[Any, ...]], futures: list[Future[Any]]
    ) -> None:
        """Submit chunks, and add their futures to a list."""
        try:
            with _blocked_interrupts():
                for chunk in group:
                    futures.append(pool.submit(_execute, work, chunk))
        except BrokenExecutor as error:  # a worker died since the chunks before
            raise self._bury(error) from error

    def _group(self, chunks: Sequence[tuple[Any, ...]], *, side_by_side: bool) -> list[Sequence[tuple[Any, ...]]]:
        """Return chunks in groups of which one is submitted after the other has ended."""
        size = 1 if not side_by_side else MOST_SUBMITTED if self.parsl is not None else max(len(chunks), 1)
        return [chunks[start : start + size] for start in range(0, len(chunks), size)]

    def _end(self, futures: Sequence[Future[T]], stop: Callable[[], bool]) -> None:
        """Cancel the chunks that haven't started, which a batch system can't, and wait for all others.

        The caller may release the lock after this.
        """
        for future in futures:
            with contextlib.suppress(NotImplementedError):  # Parsl can't cancel
                future.cancel()
        for _ in self._watch([future for future in futures if not future.cancelled()], Steps(), None, stop):
            pass

    def _watch(
        self, futures: Sequence[Future[T]], begun: Steps, on_steps: Callable[[Steps], None] | None, stop: Callable[[], bool]
    ) -> Iterator[Future[T]]:
        """Yield futures as they end; meanwhile pass on the steps since those of the beginning, and a stop."""
        link, pending, shown = self._link, set(futures), begun
        try:
            while pending:
                ended, pending = wait(pending, POLL, FIRST_COMPLETED)
                if link is not None:
                    link.stop_requested = stop()
                    if on_steps is not None and (now := link.steps) != shown:
                        shown = now
                        on_steps(now - begun)
                yield from ended
        finally:
            if link is not None:
                link.stop_requested = False

    def _result(self, future: Future[Any]) -> Any:
        try:
            result, failure = future.result()
        except Exception as error:  # a broken pool, or whatever a batch system raises for a lost worker
            raise self._bury(error) from error
        if failure is not None:
            raise ApplyError(*failure)
        return result

    def _bury(self, error: Exception) -> WorkerDied:
        """Shut down a pool whose worker died, so that the next chunks get new workers, and return the error for it."""
        self.close()
        lines = str(error).strip().splitlines()
        text = f"a worker died: {type(error).__name__}{': ' + lines[0][:200] if lines else ''}"
        return WorkerDied(text, ("was it killed, for instance because memory ran out?",))

    def prepare(self) -> None:
        """Begin to import what workers need, in the process from which they are forked; it takes a second."""
        if self.parsl is None and self._pool is None:
            _forkserver_context()
            with _blocked_interrupts():
                forkserver.ensure_running()
            self._prepared = True

    def _start(self) -> Executor:
        if self.parsl is not None:
            return _parsl_executor(self.parsl)
        context = _forkserver_context()
        self._link = WorkerLink(context)
        arguments = (self._link, dict(os.environ))
        return ProcessPoolExecutor(self.jobs, mp_context=context, initializer=_initialize, initargs=arguments)

    def close(self) -> None:
        """Shut down the workers."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            pool.shutdown(wait=True, cancel_futures=True)
        elif self._prepared:
            end_forkserver()
        self._prepared = False


def _forkserver_context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lsst.daf.butler.cli.butler"])  # importing it is the slowest part of a worker
    return context


def _parsl_executor(path: str) -> Executor:
    try:
        from parsl.concurrent import ParslPoolExecutor
    except ImportError as error:
        raise StateError("--parsl needs Parsl", ("pip install 'rubin-reconciler[parsl]'",)) from error
    try:
        config = runpy.run_path(path)["config"]
    except Exception as error:  # the operator's own Python may raise anything
        raise StateError(f"{path}: not a Parsl configuration: {type(error).__name__}: {error}") from error
    pool: Executor = ParslPoolExecutor(config)
    return pool


def _execute(work: Callable[..., T], arguments: tuple[Any, ...]) -> tuple[T | None, tuple[str, tuple[str, ...]] | None]:
    """Execute a chunk, and return a failure as its message and hints, because not every exception can be pickled."""
    gc.set_threshold(200_000, 20, 100)  # a chunk creates millions of objects and hardly any garbage
    try:
        return work(*arguments), None
    except ReconcileError as error:
        return None, (str(error), tuple(error.hints))
    except Exception as error:
        return None, (f"{type(error).__name__}: {error}", ())


@contextlib.contextmanager
def _blocked_interrupts() -> Iterator[None]:
    """Start workers with Ctrl-C blocked: it reaches the whole process group, also those that can't ignore it yet.

    Starting the resource tracker would unblock it again, so that one starts first.
    """
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _initialize(link: WorkerLink, environment: Mapping[str, str]) -> None:
    os.environ.clear()  # what it has is from the time when the first worker of the process that uses it started
    os.environ.update(environment)
    connect(link)
    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)  # they end the run between chunks, not a chunk
    signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)
    end_with_parent()


def end_forkserver() -> None:
    """End the process from which workers are forked, if there is one, also while it imports what they need.

    It would end by itself only after that, and keep the output of this process open so long. `multiprocessing` has no public way.
    """
    pid = getattr(forkserver._forkserver, "_forkserver_pid", None)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def end_with_parent() -> None:
    """End this process when its parent process ends, however it ends."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()


def _exit_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
