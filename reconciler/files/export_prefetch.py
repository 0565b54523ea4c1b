"""Parse large export files in other processes while this process imports the Butler; the cache passes the documents on.

Neither waits for anything, so a thread would gain nothing. Measured: parsing 10,000 datasets takes half a second of processor
time, and the import a second. Failures are ignored here: this process then parses the file itself and reports what is wrong.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from reconciler.errors import StateError
from reconciler.files import export_cache, export_yaml
from reconciler.startup import configure_process


@contextlib.contextmanager
def prefetch_exports(paths: Iterable[str]) -> Iterator[int]:
    """Parse the export files that the cache lacks while the body of the ``with`` statement runs; they are parsed when it ends.

    The target of the statement is the number of processes that parse.
    """
    with contextlib.ExitStack() as stack:
        parsers = _start([path for path in dict.fromkeys(paths) if _needs_parsing(path)])
        for parser in parsers:
            stack.callback(_end, parser)
        yield len(parsers)
        for parser in parsers:
            parser.wait()


def _start(paths: Sequence[str]) -> list[subprocess.Popen[bytes]]:
    """Start a process for each processor, but none if a single processor had to do everything anyway."""
    processors = os.cpu_count() or 1
    count = min(len(paths), processors) if processors > 1 else 0
    # With -P, a module in the working directory can't replace one of this package.
    command = [sys.executable, "-P", "-m", __name__]
    parsers: list[subprocess.Popen[bytes]] = []
    with contextlib.suppress(OSError):  # no process can be started, so the files are parsed later, in this one
        for first in range(count):
            pipe = subprocess.DEVNULL
            parsers.append(subprocess.Popen([*command, *paths[first::count]], stdin=pipe, stdout=pipe, stderr=pipe))
    return parsers


def _end(parser: subprocess.Popen[bytes]) -> None:
    parser.kill()
    parser.wait()


def _needs_parsing(path: str) -> bool:
    try:
        return os.path.getsize(path) >= export_cache.MIN_BYTES and not export_cache.contains(Path(path).read_bytes())
    except OSError:
        return False


def main() -> None:
    """Parse the export files that the arguments name, so that the cache contains them."""
    configure_process()  # searching for garbage would take as long as parsing
    for path in sys.argv[1:]:
        with contextlib.suppress(StateError):
            export_yaml.load(path)


if __name__ == "__main__":
    main()
