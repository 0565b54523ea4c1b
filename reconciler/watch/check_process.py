"""Run checks side by side, each in a process of its own that can be killed.

A check may hang where no Python code runs: in a database driver, in a read of a file system that is gone. A thread can't be ended
then, a process can. The process is forked after the Butler was imported, so that its import is paid for once. The library
`multiprocessing` is not used because it waits at exit for processes that it could not end, such as one in a read from a dead NFS.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import pickle
import selectors
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
READ_SIZE = 1 << 20
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Job(Generic[T]):
    """Something to run in a process of its own.

    Parameters
    ----------
    name : `str`
        Identifies it.
    function : callable
        Its result is sent back by `pickle`.
    """

    name: str
    function: Callable[[], T]


@dataclass(frozen=True)
class Ended(Generic[T]):
    """How a job ended.

    Parameters
    ----------
    name : `str`
        The job.
    result : object or `None`
        What its function returned, if it ended by itself.
    error : `str`
        Why there is no result.
    seconds : `float`
        Duration.
    """

    name: str
    result: T | None
    error: str = ""
    seconds: float = 0.0


@dataclass
class _Process:
    name: str
    pid: int
    pipe: int
    begun: float
    received: bytearray = field(default_factory=bytearray)


def run_jobs(jobs: Sequence[Job[T]], width: int, timeout: float) -> Iterator[Ended[T]]:
    """Run jobs in processes, and yield each as it ends.

    Parameters
    ----------
    jobs : `Sequence` [`Job`]
        What to run; started in this order.
    width : `int`
        Largest number of processes at a time.
    timeout : `float`
        Seconds after which a job is killed, together with the processes that it started.
    """
    waiting, running = deque(jobs), dict[int, _Process]()
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or running:
                while waiting and len(running) < width:
                    process = _start(waiting.popleft())
                    running[process.pipe] = process
                    selector.register(process.pipe, selectors.EVENT_READ)
                oldest = min(process.begun for process in running.values())
                for key, _ in selector.select(max(oldest + timeout - time.monotonic(), 0)):
                    process = running[int(key.fd)]
                    part = os.read(process.pipe, READ_SIZE)
                    process.received += part
                    if not part:
                        selector.unregister(process.pipe)
                        del running[process.pipe]
                        yield _collect(process)
                for process in [p for p in running.values() if time.monotonic() - p.begun >= timeout]:
                    selector.unregister(process.pipe)
                    del running[process.pipe]
                    _kill(process)
                    seconds = time.monotonic() - process.begun
                    yield Ended(process.name, None, f"the check didn't end within {timeout:g} s, and was stopped", seconds)
        finally:
            for process in running.values():
                _kill(process)


def _start(job: Job[T]) -> _Process:
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        os.close(writer)
        return _Process(job.name, pid, reader, time.monotonic())
    code = 1
    try:
        os.close(reader)
        _prepare_child(parent)
        answer = _call(job)
        with open(writer, "wb") as stream:
            stream.write(answer)
        code = 0
    finally:
        os._exit(code)  # nothing that was inherited may be flushed, closed or waited for a second time


def _prepare_child(parent: int) -> None:
    """Make the child end with its parent, and keep what libraries print out of the report."""
    os.setsid()
    with contextlib.suppress(Exception):  # only Linux has it; elsewhere a killed run leaves its checks to end by themselves
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    sys.stdout = sys.stderr = io.StringIO()  # they may have been replaced


def _call(job: Job[T]) -> bytes:
    try:
        return pickle.dumps(("result", job.function()))
    except Exception as error:
        return pickle.dumps(("error", f"{type(error).__name__}: {error} (a bug in reconcile)"))


def _collect(process: _Process) -> Ended[T]:
    os.close(process.pipe)
    _, status = os.waitpid(process.pid, 0)
    seconds = time.monotonic() - process.begun
    try:
        kind, value = pickle.loads(process.received)  # noqa: S301  # written by our own child
    except Exception:
        code = os.waitstatus_to_exitcode(status)
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        return Ended(process.name, None, f"the process of the check {how}", seconds)
    if kind == "error":
        return Ended(process.name, None, str(value), seconds)
    return Ended(process.name, value, "", seconds)


def _kill(process: _Process) -> None:
    """Kill a process and those that it started; one that is stuck in the kernel is left to end when that lets it."""
    os.close(process.pipe)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        if os.waitpid(process.pid, os.WNOHANG)[0]:
            return
        time.sleep(0.01)
