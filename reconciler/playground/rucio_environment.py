"""The virtual environment of a playground's Rucio server.

The server's package pins libraries, such as urllib3, that neither the Butler nor the Rucio client pins. Its own environment
keeps those pins away from everything else. pip creates it when a playground first needs it, in the user's cache folder, where
all playgrounds of the same Python version share it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from reconciler.errors import clean
from reconciler.playground.processes import PlaygroundError

REQUIREMENTS = ("rucio>=41,<42", "waitress>=3", "psycopg[binary]>=3.1")
"""Packages of the server. Rucio connects to PostgreSQL with psycopg, and waitress serves its REST interface."""


def ensure_server_python(say: Callable[[str], None] = print) -> Path:
    """Return the Python interpreter of the server's environment; create the environment if necessary.

    `say` is called with a line of text before the environment is created, which takes about half a minute.

    Raises
    ------
    PlaygroundError
        If the environment can't be created; the message includes the end of pip's output.
    """
    folder = _folder()
    python = folder / "bin" / "python"
    complete = folder / "complete"
    with contextlib.ExitStack() as locked:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            locked.enter_context(FileLock(f"{folder}.lock"))
        except OSError as error:
            raise PlaygroundError(
                f"the environment of the Rucio server can't be created in {folder}: {error.strerror}"
            ) from error
        # The interpreter is a link, which breaks when the Python that it was made with is removed.
        if not complete.exists() or not python.exists():
            say(f"creating an environment for the Rucio server in {folder} …")
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
        printed = (done.stdout + done.stderr).strip()[-1500:]
        raise PlaygroundError(clean(f"the environment of the Rucio server could not be created: {' '.join(command)}\n{printed}"))
