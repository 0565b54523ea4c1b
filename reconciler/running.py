"""An `apply` as an operator sees it: the plan, the question, the progress, the recap."""

from __future__ import annotations

import datetime
import secrets
import signal
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from reconciler.apply import Interrupted, Run, exit_code
from reconciler.console import DIFFERENCES, INTERRUPTED, Line, show
from reconciler.errors import ReconcileError
from reconciler.load import Scalar
from reconciler.model import Action, Outcome
from reconciler.report import terminal
from reconciler.session import Session, start

MOST_TOLD = 5
"""Lines about what is waited for, in one go."""


def apply_state(
    path: Path,
    variables: Mapping[str, Scalar],
    *,
    only: Sequence[str],
    ask: bool,
    wait: float,
    prune: bool,
) -> int:
    """Apply one state file.

    Parameters
    ----------
    path : `pathlib.Path`
        The file.
    variables : mapping
        What overrides its variables.
    only : sequence of `str`
        Globs of addresses.
    ask : `bool`
        Whether to ask before acting.
    wait : `float`
        Seconds to wait for deliveries.
    prune : `bool`
        Whether anything may be removed.

    Returns
    -------
    code : `int`
        Exit code.
    """
    session = start(path, variables)
    try:
        plan = session.plan(only, prune=prune)
        show(terminal.header(plan, session.butler_name, session.rucio_name))
        click.echo()
        show(terminal.diff(plan, session.elapsed, prune=prune))
        if not plan.in_sync:
            show([terminal.proposal(plan)])
        if plan.actions and ask and not click.confirm("Apply?", default=False):
            click.echo("Nothing was changed.")
            return DIFFERENCES
        return _run(session, plan, wait, prune)
    finally:
        session.live.close()


def _run(session: Session, plan: Any, wait: float, prune: bool) -> int:
    name = f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M}-{secrets.token_hex(2)}"
    started = time.monotonic()
    with Progress() as progress, _Stop() as stop:
        session.live.progress = progress.bulk
        run = Run(plan, session.live, progress, prune, session.unable or {}, stop)
        try:
            outcomes = run.all(wait)
        except Interrupted:
            outcomes = list(run.outcomes.values())
    click.echo()
    show(terminal.ending(outcomes, time.monotonic() - started, name))
    if stop():
        click.echo("Interrupted: what is done stays; run again to go on.")
        return INTERRUPTED
    return exit_code(outcomes)


class _Stop:
    """Remembers that Ctrl-C or SIGTERM came, so that a run ends between two actions; the second Ctrl-C ends it at once."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        return self.asked

    def _note(self, number: int, frame: Any) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
        click.echo("\nstopping after the action in flight; Ctrl-C again stops at once", err=True)

    def __enter__(self) -> _Stop:
        self.before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


class Progress:
    """Tells of actions as they happen: a bar for bulk work on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
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

    def ended(self, action: Action, made: Mapping[str, Any], error: ReconcileError | None, already: bool) -> None:
        """An action has ended."""
        if self.task is not None:
            self.bars.remove_task(self.task)
            self.task = None
        counts = ", ".join(f"{value:,} {key}" for key, value in made.items() if isinstance(value, int) and value)
        state = "failed" if error is not None else "already done" if already else counts or "done"
        colour = "red" if error is not None else "green"
        line = f"{action.id!s:<{terminal.COLUMN}} {action.verb:<12} {state}   {time.monotonic() - self.since:.1f} s"
        show([Line(line, colour)])
        if error is not None:
            show([Line(f"    {text}", "red") for text in (str(error), *error.hints)])

    def settled(self, outcome: Outcome) -> None:
        """A resource has come to an outcome."""

    def waiting(self, outcomes: Collection[Outcome], seconds_left: float) -> None:
        """The run waits for deliveries."""
        from reconciler.report.words import seconds

        fresh = [f"… {outcome.id}: {outcome.detail}" for outcome in outcomes]
        fresh = [line for line in fresh if line not in self.told]
        self.told.update(fresh)
        lines = fresh[:MOST_TOLD] + ([f"… and {len(fresh) - MOST_TOLD} more"] if len(fresh) > MOST_TOLD else [])
        if lines:
            lines[-1] += f"   ({seconds(seconds_left)} left to wait)"
        show(Line(line, "cyan") for line in lines)
