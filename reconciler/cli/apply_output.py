"""What an apply prints, by output format: the steps of an apply call these methods in the order in which they stand here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click

from reconciler.cli.console import echo, echo_document, echo_json, print_json, show
from reconciler.cli.progress import ConsoleProgress
from reconciler.engine.listener import Listener
from reconciler.engine.plan import Plan
from reconciler.engine.result import ApplyResult
from reconciler.errors import ReconcileError
from reconciler.report import apply_summary, text
from reconciler.report.events import EventListener, PlanEvent, error_event, format_event, summary_event
from reconciler.report.formatting import Line, plural
from reconciler.report.json import report_diff
from reconciler.report.markdown import format_runs
from reconciler.report.run import RunReport, make_run_document
from reconciler.session import Session

STOPPED = "Interrupted: what is done stays; run again to continue."
ENTER_MEANS_NO = "Apply? Type y to go on; Enter changes nothing"


class ApplyOutput:
    """Prints nothing: the base of those that print for a program.

    Parameters
    ----------
    ask : `bool`
        Whether an operator is asked before anything is changed.
    """

    def __init__(self, *, ask: bool) -> None:
        self.ask = ask

    def show(self, lines: Iterable[Line]) -> None:
        """Print lines about the plan that only a person reads."""

    def show_plan(self, session: Session, plan: Plan, *, known: bool = False) -> None:
        """Print what is going to be done; briefly if the plan is ``known``, because it was shown when it was saved."""

    def confirm(self, removals: int) -> bool:
        """Ask the operator; removals are confirmed by typing their number."""
        question = f"{plural(removals, 'member')} will be removed. Type the number to continue"
        try:
            if not click.confirm(ENTER_MEANS_NO, default=False):
                return False
            return not removals or bool(click.prompt(question, default="") == str(removals))
        except click.Abort:
            echo()
            echo("Standard input has ended, so nobody can answer; --yes applies without a question.", err=True)
            return False

    @contextmanager
    def progress(self) -> Iterator[Listener]:
        """Print the progress of the run while this context lasts."""
        yield Listener()

    def say_last_words(self) -> None:
        """Print that the process ends in the middle of a run."""

    def show_run(self, run: RunReport, result: ApplyResult | None) -> None:
        """Print how a run ended; ``result`` is `None` if the operator declined the plan."""

    def end(self, runs: list[RunReport], exit_code: int, error: ReconcileError | None = None) -> None:
        """Print what concerns all states, and for a program the error that ended the last."""


class TextOutput(ApplyOutput):
    """For a person: the plan, the progress, and how it ended."""

    def __init__(self, *, ask: bool) -> None:
        super().__init__(ask=ask)
        self._progress = ConsoleProgress()

    def show(self, lines: Iterable[Line]) -> None:
        """Print lines."""
        show(lines)

    def show_plan(self, session: Session, plan: Plan, *, known: bool = False) -> None:
        """Print the differences and the number of actions."""
        show(text.format_header(plan, session.butler_name, session.rucio_name))
        if session.context.repository is None and session.context.server is not None:
            echo("Rucio has no lock: only other applies of this user on this machine are kept out.")
        echo()
        show((text.report_known_plan if known else text.report_plan)(plan, session.elapsed, prune=plan.prune))
        if not plan.in_sync:
            show([apply_summary.summarize_plan(plan)])

    @contextmanager
    def progress(self) -> Iterator[Listener]:
        """Print each action and a bar for bulk work."""
        self._progress = ConsoleProgress()
        with self._progress as listener:
            yield listener

    def say_last_words(self) -> None:
        """Name the action that the end of the process interrupts."""
        self._progress.abandon()
        echo(STOPPED)

    def show_run(self, run: RunReport, result: ApplyResult | None) -> None:
        """Print the number of resources by status, and what is not done."""
        if result is None:
            echo("Nothing was changed.")
            return
        echo()
        show(apply_summary.summarize_run(result.outcomes, result.seconds, result.run))
        if result.interrupted:
            echo(STOPPED)


class QuietOutput(TextOutput):
    """For a person who wants one line for each state; the plan is shown only where it has to be confirmed."""

    def show(self, lines: Iterable[Line]) -> None:
        """Print lines if they have to be confirmed."""
        if self.ask:
            show(lines)

    def show_plan(self, session: Session, plan: Plan, *, known: bool = False) -> None:
        """Print the plan if it has to be confirmed."""
        if self.ask and plan.actions:
            super().show_plan(session, plan, known=known)

    @contextmanager
    def progress(self) -> Iterator[Listener]:
        """Print nothing."""
        yield Listener()

    def say_last_words(self) -> None:
        """Print that it was interrupted."""
        echo(STOPPED)

    def show_run(self, run: RunReport, result: ApplyResult | None) -> None:
        """Print one line."""
        echo(apply_summary.describe_run(run))


class JsonOutput(ApplyOutput):
    """One JSON object at the end."""

    def end(self, runs: list[RunReport], exit_code: int, error: ReconcileError | None = None) -> None:
        """Print the object."""
        print_json(make_run_document(runs, exit_code, error))


class MarkdownOutput(ApplyOutput):
    """A report for a comment or a mail at the end, as ``--summary`` writes it."""

    def end(self, runs: list[RunReport], exit_code: int, error: ReconcileError | None = None) -> None:
        """Print the report; an error is printed on standard error."""
        if runs or error is None:
            echo_document(format_runs(runs))


class EventOutput(ApplyOutput):
    """A JSON line for each event, printed at once."""

    def show_plan(self, session: Session, plan: Plan, *, known: bool = False) -> None:
        """Print the plan as an event."""
        made = report_diff(plan, session.butler_name, session.rucio_name, session.elapsed)
        echo_json(format_event(PlanEvent(report=made)))

    @contextmanager
    def progress(self) -> Iterator[Listener]:
        """Print the events of the run."""
        yield EventListener(lambda event: echo_json(format_event(event)))

    def show_run(self, run: RunReport, result: ApplyResult | None) -> None:
        """Print the event that ends a run."""
        echo_json(format_event(summary_event(run)))

    def end(self, runs: list[RunReport], exit_code: int, error: ReconcileError | None = None) -> None:
        """Print the event of an error."""
        if error is not None:
            echo_json(format_event(error_event(error, exit_code)))


def make_output(output_format: str, *, ask: bool, quiet: bool) -> ApplyOutput:
    """Return the output for a format: text, json, jsonl or markdown."""
    if output_format == "json":
        return JsonOutput(ask=ask)
    if output_format == "jsonl":
        return EventOutput(ask=ask)
    if output_format == "markdown":
        return MarkdownOutput(ask=ask)
    return QuietOutput(ask=ask) if quiet else TextOutput(ask=ask)
