"""Time and memory of commands: medians of runs that take turns, so that a slow moment of the machine meets all of them."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What a command took.

    Parameters
    ----------
    seconds : `float`
        By the clock.
    memory : `float`
        Largest resident set of it or a child that it waited for, in MB.
    """

    seconds: float
    memory: float


def once(command: Sequence[str], environment: Mapping[str, str], folder: Path, codes: Sequence[int] = (0,)) -> Cost:
    """Run a command.

    Parameters
    ----------
    command : sequence of `str`
        No shell sees it.
    environment : mapping
        Laid over this process's own.
    folder : `pathlib.Path`
        Where it runs.
    codes : sequence of `int`
        Exit codes that are well.

    Returns
    -------
    cost : `Cost`
        What it took.
    """
    environment = {**environment, "PYTHONDONTWRITEBYTECODE": ""}  # what is installed is compiled, the working copy too
    begun = time.perf_counter()
    with open(folder / "bench.log", "w+") as log:
        process = subprocess.Popen(command, env=os.environ | dict(environment), stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - begun
        if process.returncode not in codes:
            log.seek(0)
            raise RuntimeError(f"{' '.join(command)}\n{log.read()[-3000:]}")
    return Cost(seconds, usage.ru_maxrss / 1024)


def medians(times: int, runs: Mapping[str, Callable[[], Cost]]) -> dict[str, Cost]:
    """Run several commands in turns.

    Parameters
    ----------
    times : `int`
        How often each.
    runs : mapping
        Each by its name.

    Returns
    -------
    costs : `dict`
        Medians.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in runs}
    for _ in range(times):
        for name, run in runs.items():
            costs[name].append(run())
    return {
        name: Cost(statistics.median(c.seconds for c in found), statistics.median(c.memory for c in found))
        for name, found in costs.items()
    }
