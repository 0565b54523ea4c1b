"""The progress of an apply on the console: a bar for bulk work on a terminal, and a line when an action has ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection
from typing import Any

from reconciler.cli.console import show
from reconciler.engine.executor import Listener
from reconciler.engine.model import Action, Made, Outcome
from reconciler.errors import ReconcileError
from reconciler.printable import escape
from reconciler.redaction import redact
from reconciler.report.formatting import COLUMN, Line, format_seconds

MOST_WAITING = 5
"""Lines about waiting resources that are shown at a time."""


class ConsoleProgress(Listener):
    """Shows actions as they happen."""

    def __init__(self) -> None:
        self.terminal = sys.stdout.isatty()
        self.action: Action | None = None
        self.since = 0.0
        self.bars: Any = None
        self.task: Any = None
        self.shown: set[str] = set()
        self.errors: set[str] = set()

    def __enter__(self) -> ConsoleProgress:
        if self.terminal:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self.bars = Progress(*columns, transient=True)
            self.bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bars is not None:
            self.bars.stop()

    def abandon(self) -> None:
        """Restore the terminal, and name the action that the end of the process interrupts."""
        self.__exit__()
        if self.action is not None:
            show([Line(f"{self.action.address!s:<{COLUMN}} {self.action.verb:<12} interrupted", "yellow")])

    def report_bulk(self, what: str, done: int, total: int) -> None:
        """Show how far bulk work has come."""
        if self.bars is None or self.action is None:
            return
        if self.task is None:
            self.task = self.bars.add_task(escape(redact(f"{self.action.address}  {self.action.verb} {what}")), total=total)
        self.bars.update(self.task, completed=done, total=total)

    def started(self, action: Action) -> None:
        """An action begins."""
        self.action, self.since = action, time.monotonic()

    def ended(self, action: Action, made: Made, error: ReconcileError | None, *, effective: bool = False) -> None:
        """An action has ended; it is ``effective`` if it raised an error and its whole effect was found nevertheless."""
        failed = error is not None and not effective
        self.action = None
        if self.task is not None:
            self.bars.remove_task(self.task)
            self.task = None
        counts = ", ".join(f"{value:,} {noun}" for noun, value in made.items() if isinstance(value, int) and value)
        known = error is not None and str(error) in self.errors
        words = "done, although it reported an error" if effective else "failed" if failed else counts or "done"
        words += ": the same error" if known else ""
        line = f"{action.address!s:<{COLUMN}} {action.verb:<12} {words}   {time.monotonic() - self.since:.1f} s"
        show([Line(line, "red" if failed else "yellow" if effective else "green")])
        if error is not None and not known:
            self.errors.add(str(error))
            show([Line(f"    {text}", "red") for text in (*error.problems, *error.hints)])

    def waiting(self, outcomes: Collection[Outcome], seconds_left: float) -> None:
        """The run waits for deliveries."""
        lines = [f"… {outcome.address}: {outcome.detail}" for outcome in outcomes]
        fresh = [line for line in lines if line not in self.shown]
        self.shown.update(fresh)
        shown = fresh[:MOST_WAITING]
        if len(fresh) > MOST_WAITING:
            shown.append(f"… and {len(fresh) - MOST_WAITING} more")
        if shown:
            shown[-1] += f"   ({format_seconds(seconds_left)} left to wait)"
        show(Line(line, "cyan") for line in shown)
