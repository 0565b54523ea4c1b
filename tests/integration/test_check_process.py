"""Checks in processes of their own: one that hangs, dies or fails doesn't affect the others."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reconciler.watch.check_process import Ended, Job, run_jobs


def run(*jobs: Job[object], width: int = 2, timeout: float = 30.0) -> dict[str, Ended[object]]:
    return {ended.name: ended for ended in run_jobs(jobs, width, timeout)}


def children() -> set[str]:
    """Return the child processes of this one; other tests may have started some."""
    return {pid for tasks in Path("/proc/self/task").glob("*/children") for pid in tasks.read_text().split()}


def hang() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    time.sleep(600)


def fail() -> None:
    raise ValueError("broken")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def print_much() -> str:
    print("noise of a library")
    sys.stderr.write("more noise")
    return "done"


def test_a_result_comes_back_whatever_its_size() -> None:
    found = run(Job("large", lambda: b"x" * 5_000_000))["large"]
    assert found.error == ""
    assert found.result == b"x" * 5_000_000


def test_a_job_that_hangs_is_killed_and_the_others_are_right() -> None:
    before = children()
    found = run(Job("hangs", hang), Job("a", lambda: 1), Job("b", lambda: 2), Job("c", lambda: 3), timeout=1.0)
    assert [found[name].result for name in "abc"] == [1, 2, 3]
    assert found["hangs"].error == "the check didn't end within 1 s, and was stopped"
    assert children() <= before, "no process is left"


def test_jobs_that_hang_together_end_together() -> None:
    begun = time.monotonic()
    found = run(*(Job(str(n), hang) for n in range(4)), width=4, timeout=0.5)
    assert all(ended.error for ended in found.values())
    assert time.monotonic() - begun < 10 * 0.5


def test_a_process_that_dies_is_an_error_with_its_signal() -> None:
    found = run(Job("dies", die), Job("a", lambda: 1))
    assert found["dies"].error == "the process of the check was ended by signal 9"
    assert found["a"].result == 1


def test_an_exception_is_an_error_with_its_message() -> None:
    assert run(Job("fails", fail))["fails"].error == "ValueError: broken (a bug in reconcile)"


def test_a_result_that_cannot_be_sent_is_an_error() -> None:
    assert "(a bug in reconcile)" in run(Job("lambda", lambda: lambda: 1))["lambda"].error


def test_what_a_job_prints_does_not_reach_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(Job("noisy", print_much))["noisy"].result == "done"
    assert capfd.readouterr() == ("", "")


def test_no_more_jobs_run_at_a_time_than_the_width(tmp_path: Path) -> None:
    def count() -> int:
        mine = tmp_path / str(os.getpid())
        mine.touch()
        seen = len(list(tmp_path.iterdir()))
        time.sleep(0.05)
        mine.unlink()
        return seen

    found = run(*(Job(str(n), count) for n in range(6)), width=2)
    assert all(isinstance(ended.result, int) and ended.result <= 2 for ended in found.values())


PARENT = """
import os, sys, time
from reconciler.watch.check_process import Job, run_jobs

def child():
    open(sys.argv[1], "w").write(str(os.getpid()))
    time.sleep(600)

list(run_jobs([Job("x", child)], 1, 600))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_killed_run_leaves_no_process(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(file)])
    deadline = time.monotonic() + 60
    while not (file.exists() and file.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    pid = int(file.read_text())
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
            return  # where nobody collects orphans
        time.sleep(0.02)
    raise AssertionError("the process of the check still runs")
