"""End the program as soon as it is done: the interpreter would take apart 1,700 modules first, for 0.07 s.

Everything that ends in an orderly way has ended by then: threads, the exit functions of libraries, and the output.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable


def run_and_end(program: Callable[[], object]) -> None:
    """Run a program that ends with `SystemExit`, and end the process with its exit code after all exit functions.

    If the output can't be written, or the program ends in another way, the process ends as usual.
    """
    codes: list[int] = []
    atexit.register(_end_process, codes)  # the first one that is registered is called last
    try:
        program()
    except SystemExit as end:
        if isinstance(end.code, int):
            codes.append(end.code)
        raise


def _end_process(codes: list[int]) -> None:
    if not codes:
        return
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except OSError:
        return
    os._exit(codes[0])
