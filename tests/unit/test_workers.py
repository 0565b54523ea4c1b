"""Nothing that a worker writes comes after the caller went on, and a stop reaches all workers; with threads as workers."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.errors import ApplyError, Interrupted, WorkerDied
from reconciler.systems.worker_link import Steps
from reconciler.systems.workers import Workers

SECONDS = 0.3


@pytest.fixture
def workers() -> Workers:
    workers = Workers(jobs=2)
    workers._pool = ThreadPoolExecutor(2)
    workers._link = SimpleNamespace(stop_requested=False, steps=Steps())  # type: ignore[assignment]
    return workers


def call(work: Callable[[], Any]) -> Any:
    return work()


def test_what_runs_beside_a_chunk_that_fails_ends_before_the_error_is_raised(workers: Workers) -> None:
    written: list[str] = []
    begun = threading.Event()

    def fail() -> None:
        begun.wait(10)
        raise ApplyError("disk full")

    def write() -> None:
        begun.set()
        time.sleep(SECONDS)
        written.append("chunk")

    with pytest.raises(ApplyError, match="disk full"):
        list(workers.each(call, [(fail,), (write,)]))
    assert written == ["chunk"]


def test_chunks_that_had_not_begun_are_cancelled(workers: Workers) -> None:
    begun: list[str] = []

    def fail() -> None:
        raise ApplyError("disk full")

    def write() -> None:
        begun.append("chunk")
        time.sleep(SECONDS)

    with pytest.raises(ApplyError):
        list(workers.each(call, [(fail,), *[(write,)] * 20]))
    assert len(begun) < 5


def test_a_stop_reaches_the_workers_that_still_run(workers: Workers) -> None:
    noticed: list[bool] = []
    begun = threading.Event()

    def wait_for_the_stop() -> None:
        begun.set()
        end = time.monotonic() + 10
        while time.monotonic() < end and not workers._link.stop_requested:  # type: ignore[union-attr]
            time.sleep(0.001)
        noticed.append(workers._link.stop_requested)  # type: ignore[union-attr]

    stopped: list[None] = []

    def go_on_until_stopped() -> None:
        for _ in workers.each(call, [(lambda: begun.wait(10),), (wait_for_the_stop,)], stop=lambda: bool(stopped)):
            stopped.append(None)
            raise Interrupted

    with pytest.raises(Interrupted):
        go_on_until_stopped()
    assert noticed == [True]
    assert not workers._link.stop_requested  # type: ignore[union-attr]


def test_a_batch_system_that_can_not_cancel_has_only_some_chunks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Batch(ThreadPoolExecutor):
        def submit(self, *words: Any, **options: Any) -> Any:
            future = super().submit(*words, **options)
            monkeypatch.setattr(future, "cancel", refuse)
            return future

    def refuse() -> None:
        raise NotImplementedError

    done: list[int] = []
    workers = Workers(parsl="config.py")
    workers._pool = Batch(2)
    monkeypatch.setattr("reconciler.systems.workers.MOST_SUBMITTED", 3)

    def go_on_until_stopped() -> None:
        for _ in workers.each(call, [(functools.partial(done.append, number),) for number in range(100)]):
            raise Interrupted

    with pytest.raises(Interrupted):
        go_on_until_stopped()
    assert sorted(done) == [0, 1, 2]


def test_a_worker_that_died_between_two_calls_is_reported_and_replaced(workers: Workers) -> None:
    class Broken(ThreadPoolExecutor):
        def submit(self, *words: Any, **options: Any) -> Any:
            raise BrokenExecutor("a process was terminated abruptly")

    workers._pool = Broken(2)
    with pytest.raises(WorkerDied, match="a worker died: BrokenExecutor: a process was terminated abruptly"):
        list(workers.each(call, [(dict,)]))
    assert workers._pool is None
