"""The program ends quickly, and nothing is lost by that."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """\
import atexit, os, sys, tempfile, threading, time
from reconciler.quick_end import run_and_end

def program():
    folder = tempfile.TemporaryDirectory(dir={folder!r})
    atexit.register(print, "exit function")
    threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
    sys.stdout.write("output")
    {end}

class Slow:
    def __del__(self):
        os.write(1, b"taken apart")

slow = Slow()
run_and_end(program)
"""


def run(folder: Path, end: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM.format(folder=str(folder), end=end)]
    return subprocess.run(command, text=True, stderr=subprocess.PIPE, check=False, **{"stdout": subprocess.PIPE, **options})  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("code", [0, 2, 75])
def test_threads_exit_functions_and_output_end_before_the_process_does(tmp_path: Path, code: int) -> None:
    ended = run(tmp_path, f"sys.exit({code})")
    assert (ended.returncode, ended.stdout) == (code, "outputthread\nexit function\n")
    assert not list(tmp_path.iterdir()), "temporary folders are removed"


@pytest.mark.parametrize(
    ("end", "code", "error"), [("pass", 0, ""), ("sys.exit('wrong')", 1, "wrong"), ("raise KeyError('k')", 1, "KeyError: 'k'")]
)
def test_a_program_that_ends_in_another_way_ends_as_usual(tmp_path: Path, end: str, code: int, error: str) -> None:
    ended = run(tmp_path, end)
    assert (ended.returncode, ended.stdout) == (code, "outputthread\nexit function\ntaken apart")
    assert error in ended.stderr


def test_output_that_cannot_be_written_is_an_error() -> None:
    with open("/dev/full", "w") as full:
        ended = run(Path("/tmp"), "sys.exit(0)", stdout=full)
    assert ended.returncode != 0
    assert "No space left on device" in ended.stderr
