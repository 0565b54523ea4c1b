"""Processes of a playground: started in the background, waited for, ended.

Each is recorded with its process id and start time before it is used, so that `stop` after a crash ends exactly what was
started here and never a stranger that got the same process id.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from reconciler.playground.world import World


class PlaygroundError(Exception):
    """The playground could not do what was asked; the message says why."""


def free_port() -> int:
    """Find a port that nobody listens on.

    Returns
    -------
    port : `int`
        On 127.0.0.1.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, as it may hold a password.

    Parameters
    ----------
    path : `pathlib.Path`
        Replaced if there.
    text : `str`
        Its content.
    """
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)


def started_at(pid: int) -> str | None:
    """Tell when a process was started.

    Parameters
    ----------
    pid : `int`
        Its id.

    Returns
    -------
    ticks : `str` or `None`
        The kernel's start time of it; `None` if there is none, or only its corpse.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def spawn(world: World, name: str, command: list[str], environment: dict[str, str]) -> None:
    """Start a program in the background and record it.

    Parameters
    ----------
    world : `World`
        The playground.
    name : `str`
        What to call it in the record and the logs.
    command : `list` [`str`]
        The program and its arguments.
    environment : `dict` [`str`, `str`]
        Laid over this process's own.
    """
    with (world.logs / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    processes = world.recall().get("processes", {})
    world.remember(processes=processes | {name: {"pid": process.pid, "started": started_at(process.pid)}})


def is_running(world: World, name: str) -> bool:
    """Tell whether a process that this playground started still runs.

    Parameters
    ----------
    world : `World`
        The playground.
    name : `str`
        As given to `spawn`.

    Returns
    -------
    running : `bool`
        `False` too if its id belongs to another process by now.
    """
    entry = world.recall().get("processes", {}).get(name)
    return entry is not None and entry["started"] is not None and started_at(entry["pid"]) == entry["started"]


def wait_for_http(world: World, name: str, url: str, seconds: float = 60) -> None:
    """Wait until a server answers.

    Parameters
    ----------
    world : `World`
        The playground.
    name : `str`
        The process that is to answer.
    url : `str`
        What to ask it.
    seconds : `float`
        How long at most.

    Raises
    ------
    PlaygroundError
        If it ends or does not answer in time; with the end of its log.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        if not is_running(world, name):
            break
        time.sleep(0.05)
    log = (world.logs / f"{name}.log").read_text(errors="replace")[-2000:]
    raise PlaygroundError(f"{name} does not answer at {url}\n{log}")


def stop(world: World) -> list[str]:
    """End every process that this playground started and that still runs.

    Parameters
    ----------
    world : `World`
        The playground.

    Returns
    -------
    stopped : `list` [`str`]
        Their names.
    """
    stopped = []
    for name in reversed(world.recall().get("processes", {})):
        if not is_running(world, name):
            continue
        pid = world.recall()["processes"][name]["pid"]
        # SIGINT asks PostgreSQL for a fast shutdown; the others have nothing to save.
        os.kill(pid, 2 if name == "postgres" else 15)
        deadline = time.monotonic() + 20
        while is_running(world, name):
            if time.monotonic() > deadline:
                os.kill(pid, 9)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            time.sleep(0.05)
        stopped.append(name)
    world.remember(processes={})
    return stopped
