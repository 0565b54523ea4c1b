"""Signals end every wait, also for a server that never answers, with a journal entry and without a traceback."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Bench
from faults import META, RULES, Scene

from reconciler.playground.world import World

HANG = "hang 600"
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def scene(sqlite_bench: Bench, world: World, client: Any) -> Scene:
    return Scene(sqlite_bench.folder, world, client, sqlite_bench.repo)


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the program in a process group of its own, which ends with the test."""
    started = []

    def start(environment: dict[str, str], *words: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", *map(str, words)],
            env=os.environ | environment,
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def end_of(process: subprocess.Popen[str]) -> str:
    """Return what a process prints until it ends; the server that it waited for is not released before."""
    assert process.stdout is not None
    output = process.stdout.read()  # communicate() would end the input, too
    process.wait(60)
    assert "Traceback" not in output
    assert "EOFError" not in output
    return output


def journal_of(environment: dict[str, str]) -> list[dict[str, Any]]:
    path = Path(environment["XDG_STATE_HOME"]) / "rubin-reconciler" / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_ends_a_diff_that_waits_for_rucio(scene: Scene, start: Start, number: signal.Signals) -> None:
    scene.state.write_text(scene.state.read_text().replace("timeout = 1", "timeout = 500"))
    with scene.proxy.doing(HANG, META):
        process = start(scene.environment, "diff", scene.state)
        assert scene.proxy.hanging.wait(60)
        process.send_signal(number)
        assert "interrupted" in end_of(process)
    assert process.returncode == 130


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_ends_an_apply_whose_change_rucio_does_not_answer(scene: Scene, start: Start, number: signal.Signals) -> None:
    scene.state.write_text(scene.state.read_text().replace("timeout = 1", "timeout = 500"))
    with scene.proxy.doing(HANG, RULES, "POST"):
        process = start(scene.environment, "apply", scene.state, "--yes")
        assert scene.proxy.hanging.wait(60)
        process.send_signal(number)
        output = end_of(process)
    assert process.returncode == 130
    assert "stopping; Ctrl-C again stops at once" in output
    assert "interrupted\nInterrupted: what is done stays; run again to continue." in output
    last = journal_of(scene.environment)[-1]
    assert (last["event"], last["interrupted"]) == ("end", True)
    assert scene.find_loss() == "nothing"


def test_a_second_ctrl_c_ends_an_apply_at_once_with_a_journal_entry(scene: Scene, start: Start) -> None:
    scene.state.write_text(scene.state.read_text().replace("timeout = 1", "timeout = 500"))
    with scene.proxy.doing(HANG, RULES, "POST"):
        process = start(scene.environment, "apply", scene.state, "--yes")
        assert scene.proxy.hanging.wait(60)
        process.send_signal(signal.SIGINT)
        printed = ""
        while "stopping" not in printed:
            printed += process.stdout.readline()  # type: ignore[union-attr]
        process.send_signal(signal.SIGINT)
        end_of(process)
    assert process.returncode == 130
    assert journal_of(scene.environment)[-1]["interrupted"] is True


def test_ctrl_c_at_the_question_ends_an_apply_that_has_changed_nothing(bench: Bench, start: Start) -> None:
    process = start(bench.environment, "apply", bench.state('[collection.a]\ntype = "RUN"\n'))
    printed = ""
    while "Apply?" not in printed:
        printed += process.stdout.read(1)  # type: ignore[union-attr]
    process.send_signal(signal.SIGINT)
    assert "interrupted" in end_of(process)
    assert process.returncode == 130
    assert not bench.butler.collections.query("*")


def test_ctrl_c_ends_the_wait_for_the_lock(bench: Bench, start: Start) -> None:
    state = bench.state('[collection.a]\ntype = "RUN"\n')
    first = start(bench.environment, "apply", state)
    printed = ""
    while "Apply?" not in printed:
        printed += first.stdout.read(1)  # type: ignore[union-attr]
    second = start(bench.environment, "apply", state, "--lock-timeout", "10m")
    while "waiting for" not in printed:
        printed += second.stdout.readline()  # type: ignore[union-attr]
    second.send_signal(signal.SIGINT)
    end_of(second)
    assert second.returncode == 130


CATALOG = (
    '[dataset_type.cat]\nstorage_class = "SimpleCatalog"\ndimensions = ["htm7"]\n'
    '[file_ingest.refcat]\ndataset_type = "cat"\ntable = "t.csv"\nprefix = "."\n'
)


def test_ctrl_c_of_a_terminal_while_workers_start_ends_an_apply_without_a_traceback(postgres_bench: Bench, start: Start) -> None:
    """A terminal sends SIGINT to every process of the group, also to workers that can't ignore it yet."""
    rows = []
    for pixel in range(131072, 131082):
        (postgres_bench.folder / f"{pixel}.fits").write_text("stars")
        rows.append(f"{pixel}.fits,{pixel}\n")
    (postgres_bench.folder / "t.csv").write_text("file,htm7\n" + "".join(rows))
    state = postgres_bench.state(CATALOG.replace('prefix = "."', f'prefix = "{postgres_bench.folder}"'))
    process = start(postgres_bench.environment, "apply", state, "--yes", "--jobs", "2")
    wait_for_forkserver(process)
    os.killpg(process.pid, signal.SIGINT)
    end_of(process)
    assert process.returncode == 130
    assert journal_of(postgres_bench.environment)[-1]["interrupted"] is True
    postgres_bench.apply_and_check(state)


@pytest.mark.parametrize("whole_group", [True, False], ids=["terminal", "kill"])
def test_ctrl_c_ends_an_apply_while_workers_import_what_they_need(
    postgres_bench: Bench, start: Start, *, whole_group: bool
) -> None:
    """A cold disk can make the import of the Butler take a minute; nothing has begun then."""
    for pixel in range(131072, 131076):
        (postgres_bench.folder / f"{pixel}.fits").write_text("stars")
    rows = "".join(f"{pixel}.fits,{pixel}\n" for pixel in range(131072, 131076))
    (postgres_bench.folder / "t.csv").write_text(f"file,htm7\n{rows}")
    state = postgres_bench.state(CATALOG.replace('prefix = "."', f'prefix = "{postgres_bench.folder}"'))
    slow = postgres_bench.folder / "slow"
    slow.mkdir()
    (slow / "sitecustomize.py").write_text("import sys, time\nif 'forkserver' in ' '.join(sys.orig_argv):\n    time.sleep(60)\n")
    path = postgres_bench.environment.get("PYTHONPATH", str(ROOT))
    environment = {**postgres_bench.environment, "PYTHONPATH": f"{slow}{os.pathsep}{path}"}
    process = start(environment, "apply", state, "--yes", "--jobs", "2")
    wait_for_forkserver(process)
    begun = time.monotonic()
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGINT)
    end_of(process)
    assert time.monotonic() - begun < 10, "it must not wait for the import, which takes a minute here"
    assert process.returncode == 130
    assert journal_of(postgres_bench.environment)[-1]["interrupted"] is True
    postgres_bench.apply_and_check(state)


def wait_for_forkserver(process: subprocess.Popen[str]) -> None:
    """Wait until the process from which workers are forked begins to import what they need."""
    while process.poll() is None:
        for words in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if b"forkserver" in words.read_bytes() and os.getpgid(int(words.parent.name)) == process.pid:
                    return
        time.sleep(0.01)
    raise AssertionError(process.communicate()[0])


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_while_the_program_starts_ends_it_silently(empty_bench: Bench, start: Start, number: signal.Signals) -> None:
    """A module that is slow to import stands for a cold disk."""
    slow = empty_bench.folder / "slow"
    slow.mkdir()
    (slow / "click.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    process = start({**empty_bench.environment, "PYTHONPATH": f"{slow}{os.pathsep}{ROOT}"}, "diff")
    assert process.stdout is not None
    assert process.stdout.readline() == "importing\n"
    process.send_signal(number)
    assert end_of(process) == ""
    assert process.returncode == 130


def test_a_wrong_command_line_does_not_exit_with_the_code_of_differences(empty_bench: Bench) -> None:
    empty_bench.run("nosuch", expect=64)
    empty_bench.run("--nosuch", expect=64)
    empty_bench.run("apply", "--wait", "soon", expect=64)
    empty_bench.run("playground", "up", "--nights", "many", expect=64)


@pytest.mark.parametrize("kind", ["fifo", "read fifo", "socket", "file below a file"])
def test_a_journal_that_is_no_writable_file_is_refused_before_anything_is_asked(empty_bench: Bench, kind: str) -> None:
    path, reader = empty_bench.folder / "journal", None
    if "fifo" in kind:
        os.mkfifo(path)
        if kind == "read fifo":
            reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    elif kind == "socket":
        import socket

        socket.socket(socket.AF_UNIX).bind(str(path))
    else:
        path.write_text("")
        path /= "journal"
    state = empty_bench.state('[collection.a]\ntype = "RUN"\n')
    output = empty_bench.apply(state, 1, "--journal", str(path))
    if reader is not None:
        os.close(reader)
    assert f"the journal {path} can't be written" in output
    assert "choose another file with --journal" in output
    assert "Plan:" not in output
    assert not empty_bench.repo.exists()


def test_a_log_of_a_fifo_is_refused(empty_bench: Bench) -> None:
    os.mkfifo(empty_bench.folder / "journal")
    assert "not a regular file" in empty_bench.run("log", "--journal", empty_bench.folder / "journal", expect=1).output
