"""Process-wide settings of the command line program: garbage collection and warnings.

A run imports many modules and ends soon, so it creates little cyclic garbage, but searching for it costs time. Measured: a
threshold of 200,000 objects saved a tenth of the time of the imports, one of 1,000,000 another 0.15 s of a diff of 2 s, which has
30,000 objects of garbage; and freezing the collector at exit saved the 0.5–0.7 s in which the interpreter searches all modules
once more. Pydantic searches the metadata of all installed packages for plugins of its own, a tenth of the time of a validate;
none is used here. Only the program calls this; importing the package changes no setting.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
import sys
import threading
import traceback
import warnings

from reconciler.printable import escape
from reconciler.redaction import redact, remember_environment

GC_THRESHOLDS = (1_000_000, 20, 100)


def configure_process() -> None:
    """Make garbage collection rare, skip it at exit, and hide library warnings unless Python was started with ``-W``.

    What Python itself prints, the tracebacks of uncaught exceptions and log records that no handler takes, is made safe to print.
    """
    gc.set_threshold(*GC_THRESHOLDS)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    atexit.register(gc.freeze)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries warn programmers about deprecations; operators can't act on them
    remember_environment()
    sys.excepthook = lambda kind, error, trace: _print_exception(error)
    threading.excepthook = lambda arguments: _print_exception(arguments.exc_value)
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_SafeFormatter())


def make_printable(text: str) -> str:
    """Return a text of several lines, such as a traceback, without credentials and without unprintable characters."""
    return "\n".join(map(escape, redact(text).splitlines()))


def _print_exception(error: BaseException | None) -> None:
    print(make_printable("".join(traceback.format_exception(error))), file=sys.stderr)


class _SafeFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return make_printable(super().format(record))
