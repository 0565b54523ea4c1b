"""The progress of an apply as an operator sees it: a bar for bulk work on a terminal, a line when an action has ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Mapping
from typing import Any

from reconciler.cli.console import show
from reconciler.engine.journal import Journal
from reconciler.engine.model import Action, Outcome
from reconciler.errors import ReconcileError
from reconciler.report.formatting import Line, seconds
from reconciler.report.text import COLUMN

MOST_TOLD = 5
"""Lines about what is waited for, in one go."""


class Progress:
    """Tells of actions as they happen: a bar for bulk work on a terminal, plain lines elsewhere."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.told_journal = False
        self.terminal = sys.stdout.isatty()
        self.action: Action | None = None
        self.since = 0.0
        self.bars: Any = None
        self.task: Any = None
        self.told: set[str] = set()

    def __enter__(self) -> Progress:
        if self.terminal:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bars

            self.bars = Bars(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True
            )
            self.bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bars is not None:
            self.bars.stop()

    def bulk(self, what: str, done: int, total: int) -> None:
        """Show how far bulk work is.

        Parameters
        ----------
        what : `str`
            Of what.
        done, total : `int`
            How many.
        """
        if self.bars is None or self.action is None:
            return
        if self.task is None:
            self.task = self.bars.add_task(f"{self.action.id}  {self.action.verb} {what}", total=total)
        self.bars.update(self.task, completed=done, total=total)

    def started(self, action: Action) -> None:
        """An action begins."""
        self.action, self.since = action, time.monotonic()
        self.told_journal = True
        self.journal.action_begins(action)

    def ended(self, action: Action, made: Mapping[str, Any], error: ReconcileError | None, already: bool) -> None:
        """An action has ended."""
        state = "failed" if error is not None else "already" if already else "done"
        self.journal.action_ended(action, state, made, str(error) if error is not None else "")
        if self.task is not None:
            self.bars.remove_task(self.task)
            self.task = None
        counts = ", ".join(f"{value:,} {key}" for key, value in made.items() if isinstance(value, int) and value)
        words = "failed" if error is not None else "already done" if already else counts or "done"
        colour = "red" if error is not None else "green"
        line = f"{action.id!s:<{COLUMN}} {action.verb:<12} {words}   {time.monotonic() - self.since:.1f} s"
        show([Line(line, colour)])
        if error is not None:
            show([Line(f"    {text}", "red") for text in (str(error), *error.hints)])

    def settled(self, outcome: Outcome) -> None:
        """A resource has come to an outcome."""

    def waiting(self, outcomes: Collection[Outcome], seconds_left: float) -> None:
        """The run waits for deliveries."""
        fresh = [f"… {outcome.id}: {outcome.detail}" for outcome in outcomes]
        fresh = [line for line in fresh if line not in self.told]
        self.told.update(fresh)
        lines = fresh[:MOST_TOLD] + ([f"… and {len(fresh) - MOST_TOLD} more"] if len(fresh) > MOST_TOLD else [])
        if lines:
            lines[-1] += f"   ({seconds(seconds_left)} left to wait)"
        show(Line(line, "cyan") for line in lines)
