"""SIGINT, SIGTERM and SIGHUP while the program starts: it has done nothing yet, so it ends at once and silently.

Only what costs nothing to import is imported here. As soon as the command line is read, `reconciler.cli.interrupts` takes over.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

INTERRUPTED = 130
"""Exit code of a run that a signal ended."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_on_signals() -> None:
    """Let the first signal end the process, without the traceback that Python would print; one that is ignored stays ignored."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def restore_signals() -> None:
    """Let signals do what they do in other Python programs."""
    for number in SIGNALS:
        if signal.getsignal(number) is _end:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)
