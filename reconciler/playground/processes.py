"""Background processes of a playground: start, wait for, stop.

Each process is recorded with its process id and start time before it is used. After a crash, `stop_all` ends exactly the
processes that were started here, and never another one that was given the same process id since.
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
    """A playground command failed; the message gives the reason."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, because it may contain a password; an existing file is replaced."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)


def read_start_time(pid: int) -> str | None:
    """Return the start time of a process in the kernel's clock ticks, or `None` if it doesn't run or is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def spawn(world: World, name: str, command: list[str], environment: dict[str, str]) -> None:
    """Start a program in the background, with variables added to this process's environment, and record it under a name."""
    with (world.logs / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    processes = world.read_record().get("processes", {})
    world.update_record(processes=processes | {name: {"pid": process.pid, "started": read_start_time(process.pid)}})


def is_running(world: World, name: str) -> bool:
    """Return whether a recorded process still runs; `False` if its id belongs to another process by now."""
    entry = world.read_record().get("processes", {}).get(name)
    return entry is not None and entry["started"] is not None and read_start_time(entry["pid"]) == entry["started"]


def wait_for_http(world: World, name: str, url: str, seconds: float = 60) -> None:
    """Wait until a server answers at a URL.

    Raises
    ------
    PlaygroundError
        If its process ends or it doesn't answer within `seconds`; the message includes the end of its log.
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


def stop_all(world: World) -> list[str]:
    """Stop all recorded processes that still run, and return their names."""
    stopped = []
    for name in reversed(world.read_record().get("processes", {})):
        if not is_running(world, name):
            continue
        pid = world.read_record()["processes"][name]["pid"]
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
    world.update_record(processes={})
    return stopped
