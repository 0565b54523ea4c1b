"""The virtual environment that the Rucio server of a playground runs in.

The server's package pins libraries that the Butler and the Rucio client don't pin, such as urllib3. In an environment of its own
these pins reach nobody. It is made with pip the first time a playground needs it, kept in the user's cache folder, and shared by
all playgrounds of the same Python version.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from reconciler.playground.processes import PlaygroundError

REQUIREMENTS = ("rucio>=41,<42", "waitress>=3", "psycopg[binary]>=3.1")
"""Packages of the server. Rucio speaks to PostgreSQL through psycopg and is served by waitress."""


def ensure_server_python(say: Callable[[str], None] = print) -> Path:
    """Return the Python interpreter of the server's environment, and make the environment if there is none.

    Parameters
    ----------
    say : callable
        Called with a line of text before the environment is made, which takes about half a minute.

    Returns
    -------
    python : `pathlib.Path`
        The interpreter.

    Raises
    ------
    PlaygroundError
        If the environment can't be made, with the end of what pip printed.
    """
    folder = _folder()
    python = folder / "bin" / "python"
    complete = folder / "complete"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not complete.exists():
            say(f"an environment for the Rucio server, in {folder} …")
            shutil.rmtree(folder, ignore_errors=True)  # left by an interrupted attempt
            _run([sys.executable, "-m", "venv", str(folder)])
            _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS])
            complete.touch()
    return python


def _folder() -> Path:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = hashlib.sha256("\n".join((sys.base_prefix, *REQUIREMENTS)).encode()).hexdigest()[:8]
    return user_cache_path("rubin-reconciler") / f"rucio-server-python{version}-{key}"


def _run(command: list[str]) -> None:
    # The stand-in observatory on PYTHONPATH is for the Butler alone.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        printed = (done.stdout + done.stderr).strip()[-2000:]
        raise PlaygroundError(f"the environment of the Rucio server could not be made: {' '.join(command)}\n{printed}")
