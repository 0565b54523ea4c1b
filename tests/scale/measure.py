"""Time and memory of commands: medians of runs that take turns, so that a slow moment of the machine affects all of them."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# A process that Linux starts inherits the peak memory of the process that started it, because exec keeps the maximum of the old
# memory image. So the command is started by a small process, whose peak of about 10 MB is below that of any command.
LAUNCHER = """\
import json, os, sys, time
begun = time.perf_counter()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
seconds = time.perf_counter() - begun
with open(sys.argv[1], "w") as stream:
    json.dump([os.waitstatus_to_exitcode(status), seconds, usage.ru_maxrss / 1024], stream)
"""


@dataclass(frozen=True)
class Usage:
    """Resources that one run of a command used.

    Parameters
    ----------
    seconds : `float`
        Elapsed time.
    memory : `float`
        Largest resident set, in MB, of the command or of a child that it waited for.
    """

    seconds: float
    memory: float


def measure(command: Sequence[str], environment: Mapping[str, str], folder: Path, codes: Sequence[int] = (0,)) -> Usage:
    """Run a command without a shell and measure it; its output is written to ``bench.log`` in the folder.

    Parameters
    ----------
    command : sequence of `str`
        Program and arguments.
    environment : mapping
        Variables to add to the environment of this process.
    folder : `pathlib.Path`
        Folder of the log.
    codes : sequence of `int`
        Exit codes that mean success.

    Raises
    ------
    RuntimeError
        If the command ends with another exit code.
    """
    environment = {**environment, "PYTHONDONTWRITEBYTECODE": ""}  # so that the modules of a working copy are compiled, too
    with open(folder / "bench.log", "w+") as log, tempfile.TemporaryDirectory() as place:
        result = Path(place) / "usage.json"
        launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(result)]
        subprocess.run([*launcher, *command], env=os.environ | environment, stdout=log, stderr=subprocess.STDOUT, check=False)
        code, seconds, memory = json.loads(result.read_text()) if result.exists() else (-1, 0.0, 0.0)
        if code not in codes:
            log.seek(0)
            raise RuntimeError(f"{' '.join(command)}\n{log.read()[-3000:]}")
    return Usage(seconds, memory)


def measure_medians(times: int, runs: Mapping[str, Callable[[], Usage]]) -> dict[str, Usage]:
    """Run several commands in turns, each a number of times, and return the median usage of each."""
    usages: dict[str, list[Usage]] = {name: [] for name in runs}
    for _ in range(times):
        for name, run in runs.items():
            usages[name].append(run())
    return {
        name: Usage(statistics.median(usage.seconds for usage in found), statistics.median(usage.memory for usage in found))
        for name, found in usages.items()
    }
