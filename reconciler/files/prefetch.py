"""Large export files, read by other processes while this one imports the Butler; what they read reaches it by the cache.

Both take a second of processor time, and neither waits for anything, so threads would not help. Whatever goes wrong there goes
wrong again here, where it is told.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from reconciler.errors import StateError
from reconciler.files import export_cache, export_yaml


@contextlib.contextmanager
def reading_ahead(paths: Iterable[str]) -> Iterator[None]:
    """Have export files read while something else is done; they are read when that is over.

    Parameters
    ----------
    paths : iterable of `str`
        The files; only those are read that are large and not in the cache.

    Yields
    ------
    nothing : `None`
        While they are read.
    """
    fresh = [path for path in dict.fromkeys(paths) if _is_fresh(path)]
    count = min(len(fresh), os.cpu_count() or 1)
    # -P, since a module of the working directory must not stand in for one of ours.
    command = [sys.executable, "-P", "-m", __name__]
    nothing = subprocess.DEVNULL
    readers = []
    with contextlib.suppress(OSError):  # no process to be had: the files are read here, later
        for first in range(count):
            readers.append(subprocess.Popen([*command, *fresh[first::count]], stdin=nothing, stdout=nothing, stderr=nothing))
    try:
        yield
        for reader in readers:
            reader.wait()
    finally:
        for reader in readers:
            reader.kill()
            reader.wait()


def _is_fresh(path: str) -> bool:
    try:
        return os.path.getsize(path) >= export_cache.WORTH_KEEPING and not export_cache.knows(Path(path).read_bytes())
    except OSError:
        return False


def main() -> None:
    """Read the files that are named, for the cache."""
    for path in sys.argv[1:]:
        with contextlib.suppress(StateError):
            export_yaml.load(path)


if __name__ == "__main__":
    main()
