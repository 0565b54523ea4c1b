"""What changes on a terminal while a command works: a sign of life, bars, and one line while waiting.

Everything that moves is drawn by one `rich.live.Live` at a time, and lines that are printed meanwhile go through its console, so
that none is glued to a bar or left behind. Where the output is no terminal, nothing of this is shown.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any

from reconciler.cli import console
from reconciler.printable import escape
from reconciler.redaction import redact

AFTER = 0.5
"""Seconds of silence before a sign of life."""
PHASES = {"load": "reading the state file", "import lsst.daf.butler": "starting the Butler", "plan": "planning"}


class SignOfLife:
    """Shows what a command is doing when it has been silent for `AFTER` seconds, and disappears before it prints.

    Its method `report_phase` is what `open_session` takes.
    """

    def __init__(self) -> None:
        self._text = "starting"
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._status: Any = None
        self._plain = False
        self._timer: threading.Timer | None = None

    def __enter__(self) -> SignOfLife:
        if sys.stdout.isatty():
            self._plain = console.is_plain()
            self._timer = threading.Timer(AFTER, self._appear)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._status is not None:
                self._status.stop()
                self._status = None
                console.print_through(None)

    def count(self, kinds: Iterable[str]) -> None:
        """Set how many resources there are of each kind, given the kind of each."""
        self._counts = Counter(kinds)

    def report_phase(self, name: str) -> None:
        """Show that a phase begins."""
        count = self._counts[name]
        of_kind = f"checking {count:,} {name} {'table' if count == 1 else 'tables'}"
        self._text = PHASES.get(name, of_kind if count else f"checking {name} tables")
        with self._lock:
            if self._status is not None:
                self._status.update(escape(redact(self._text)))

    def _appear(self) -> None:
        from rich.status import Status

        with self._lock:
            if self._timer is None:  # it ended in the meantime
                return
            screen = console.make_screen(plain=self._plain)
            self._status = Status(escape(redact(self._text)), console=screen)
            self._status.start()
            console.print_through(screen, self._status.stop)
