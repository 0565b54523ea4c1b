"""The progress of an apply on the console: a line for each action that has ended.

On a terminal there are a bar for bulk work, and one line that changes while the run waits.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Sequence
from typing import Any

from reconciler.cli import console
from reconciler.cli.console import show
from reconciler.engine.listener import Listener
from reconciler.engine.model import Action, Delivery, Made, Outcome
from reconciler.errors import ReconcileError
from reconciler.printable import escape
from reconciler.redaction import redact
from reconciler.report.formatting import Line, count_of, format_clock, format_seconds, format_size, in_columns, plural

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
        self.columns: Any = ()
        self.wait: WaitingLine | None = None
        self.done: list[tuple[Action, str, float]] = []
        """Actions of the current resource that have ended, each with its text and its seconds; they are one line together."""
        self.shown: set[str] = set()
        self.errors: set[str] = set()

    def __enter__(self) -> ConsoleProgress:
        if self.terminal:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            screen = console.make_screen(plain=console.is_plain())
            self.bars = Progress(*columns, transient=True, console=screen)
            self.bars.start()
            console.print_through(screen, self.bars.stop)
        return self

    def __exit__(self, *exception: object) -> None:
        self._show_done()
        self._end_wait()
        if self.bars is not None:
            self.bars.stop()
            console.print_through(None)

    def abandon(self) -> None:
        """Restore the terminal, and name the action that the end of the process interrupts."""
        self.__exit__()
        if self.action is not None:
            show([Line(in_columns(self.action.address, f"{self.action.verb:<9}", "interrupted"), "yellow")])

    def report_bulk(self, what: str, done: int, total: int) -> None:
        """Show how far bulk work has come."""
        if self.bars is None or self.action is None:
            return
        text = escape(redact(f"{self.action.address}  {self.action.verb} {what}"))
        if self.task is None:
            self.task = self.bars.add_task(text, total=total)
        self.bars.update(self.task, description=text, completed=done, total=total)

    def started(self, action: Action) -> None:
        """An action begins."""
        self._end_wait()
        if self.done and self.done[0][0].address != action.address:
            self._show_done()
        self.action, self.since = action, time.monotonic()

    def ended(self, action: Action, made: Made, error: ReconcileError | None, *, effective: bool = False) -> None:
        """An action has ended; it is ``effective`` if it raised an error and its whole effect was found nevertheless."""
        failed = error is not None and not effective
        self.action = None
        if self.task is not None:
            self.bars.remove_task(self.task)
            self.task = None
        counts = ", ".join(count_of(value, noun) for noun, value in made.items() if isinstance(value, int) and value)
        known = error is not None and str(error) in self.errors
        words = "done, although it reported an error" if effective else "failed"
        words += ": the same error" if known else ""
        seconds = time.monotonic() - self.since
        if error is None:
            self.done.append((action, counts, seconds))
            return
        self._show_done()
        line = in_columns(action.address, f"{action.verb:<9}", words, f"{seconds:.1f} s")
        show([Line(line, "red" if failed else "yellow")])
        if not known:
            self.errors.add(str(error))
            show([Line(f"    {text}", "red") for text in (*error.problems, *error.hints)])

    def settled(self, outcome: Outcome) -> None:
        """All actions on a resource have ended."""
        self._show_done()

    def _show_done(self) -> None:
        """Show what was done about one resource as one line."""
        if not self.done:
            return
        texts = [f"{action.verb} {counts}".rstrip() for action, counts, _ in self.done]
        seconds = sum(taken for _, _, taken in self.done)
        show([Line(in_columns(self.done[0][0].address, ", ".join(texts), f"{seconds:.1f} s"), "green")])
        self.done = []

    def waiting(self, outcomes: Collection[Outcome], seconds_left: float, pause: float) -> None:
        """The run waits for deliveries."""
        lines = [f"… {outcome.address}: {outcome.detail}" for outcome in outcomes]
        fresh = [line for line in lines if line not in self.shown]
        first = not self.shown
        self.shown.update(fresh)
        if self.bars is not None:
            if first:
                show(Line(line, "cyan") for line in _cut(fresh))
            self._show_wait(outcomes, seconds_left, pause)
            return
        shown = _cut(fresh)
        if shown:
            shown[-1] += f"   ({format_seconds(seconds_left)} left to wait)"
        show(Line(line, "cyan") for line in shown)

    def _show_wait(self, outcomes: Collection[Outcome], seconds_left: float, pause: float) -> None:
        """Draw the live line about a wait; it replaces the bars, of which there are none then."""
        from rich.progress import RenderableColumn

        if self.wait is None:
            self.wait = WaitingLine(seconds_left)
            self.task = self.bars.add_task("", total=None)
            self.columns, self.bars.columns = self.bars.columns, (RenderableColumn(self.wait),)
        self.wait.update([outcome.delivery for outcome in outcomes], pause)

    def _end_wait(self) -> None:
        if self.wait is not None:
            self.wait = None
            self.bars.remove_task(self.task)
            self.task, self.bars.columns = None, self.columns


class WaitingLine:
    """One line about a wait: since when, how much is here, how fast it arrives, and when it is checked again.

    Parameters
    ----------
    seconds_left : `float`
        Seconds to wait at most.
    """

    def __init__(self, seconds_left: float) -> None:
        self.begun, self.limit = time.monotonic(), seconds_left
        self.count = 0
        self.first: Delivery | None = None
        self.now: Delivery | None = None
        self.checked = self.begun
        self.pause = 0.0

    def update(self, deliveries: Sequence[Delivery | None], pause: float) -> None:
        """Note what has been delivered, and after how many seconds it is checked again."""
        known = [delivery for delivery in deliveries if delivery is not None]
        self.count, self.checked, self.pause = len(deliveries), time.monotonic(), pause
        self.now = sum(known, Delivery()) if known else None
        if self.first is None or self.now is None or self.now.total != self.first.total:
            self.first = self.now
            self.since = self.checked

    def __rich__(self) -> Any:
        from rich.text import Text

        return Text(self.text(), "cyan")

    def text(self) -> str:
        """Return the line as it is at this moment."""
        now = time.monotonic()
        parts = [f"waiting {format_clock(now - self.begun)} of {format_clock(self.limit)}"]
        if self.now is None:
            parts.append(f"for {plural(self.count, 'resource')}")
        else:
            parts.append(f"{self.now.here:,} of {self.now.total:,} {self.now.noun} here")
            parts += self._rate()
        parts.append(f"checking again in {max(0.0, self.pause - (now - self.checked)):.0f} s")
        return "   ".join(parts)

    def _rate(self) -> list[str]:
        minutes = (self.checked - self.since) / 60
        if self.now is None or self.first is None or minutes <= 0:
            return []
        size = self.first.bytes_left - self.now.bytes_left
        if size > 0:
            return [f"{format_size(round(size / minutes))}/min"]
        arrived = self.now.here - self.first.here
        return [f"{arrived / minutes:,.0f} {self.now.noun}/min"] if arrived > 0 else []


def _cut(lines: list[str]) -> list[str]:
    shown = lines[:MOST_WAITING]
    if len(lines) > MOST_WAITING:
        shown.append(f"… and {len(lines) - MOST_WAITING} more")
    return shown
