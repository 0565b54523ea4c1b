"""``reconcile drift``: check states for drift, as cron does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.arguments import find_state_files, merge_variables
from reconciler.cli.console import echo, echo_document, echo_json, handle_errors, show
from reconciler.cli.options import format_option, history_option, journal_option, quiet_option, state_arguments, summary_option
from reconciler.cli.parameter_types import Duration
from reconciler.cli.summary_file import append_summary
from reconciler.errors import ReconcileError

if TYPE_CHECKING:
    from reconciler.watch.locations import HistoryLocation
    from reconciler.watch.page.site import Site
    from reconciler.watch.state_report import StateReport

LOCKED = 75


@click.command()
@state_arguments
@history_option
@click.option(
    "--keep", type=Duration(), metavar="DURATION", help="Remove what is older than this, such as 400d, from the history."
)
@click.option(
    "--timeout",
    type=Duration(),
    default="30m",
    show_default=True,
    help="Stop the check of a state after this time; it is unknown.",
)
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Number of states checked at the same time.")
@click.option(
    "--deep-every",
    type=Duration(),
    default="7d",
    show_default=True,
    help="Compare all members one by one if that was last done longer ago than this.",
)
@format_option("text", "json", "jsonl", "markdown")
@click.option(
    "--metrics",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the results to this file, for node_exporter's textfile collector; its name ends in .prom.",
)
@click.option(
    "--ledger",
    is_flag=True,
    help="Compare what Rucio, the Butler and storage know of delivered files, for JSON, metrics and pages.",
)
@click.option(
    "--html",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write an index of all states, and a page for each, to this folder.",
)
@quiet_option
@summary_option
@click.option("-v", "--verbose", is_flag=True, help="Report every state, not only those that changed since the last check.")
@click.option(
    "--notify-file",
    type=click.Path(path_type=Path),
    help="File with URLs to notify of changes, such as slack://…, one on a line; RECONCILE_NOTIFY may have them instead.",
)
@journal_option
@handle_errors
def drift(
    state: tuple[Path, ...],
    var_files: tuple[Path, ...],
    pairs: tuple[str, ...],
    history: str | None,
    keep: float | None,
    timeout: float,
    jobs: int,
    deep_every: float,
    output_format: str,
    metrics: Path | None,
    ledger: bool,
    html: Path | None,
    quiet: bool,
    summary: Path | None,
    verbose: bool,
    notify_file: Path | None,
    journal: Path | None,
) -> int:
    """Check states for drift and record the result. Changes nothing in the Butler or in Rucio.

    Without STATE, all files state/*.toml are checked. A state is reported if something changed since its last check.

    Exit codes: 0 in sync, or differs only as expected; 2 drift; 1 something could not be checked, recorded or written; 75 another
    run is checking some states, and the others gave 0.
    """
    from reconciler.watch.drift import DriftOptions, Skipped, Trouble, watch_states
    from reconciler.watch.locations import find_history
    from reconciler.watch.observation import CheckOptions
    from reconciler.watch.state_report import worst_check_code

    location = find_history(history)
    measures = _Measures(metrics)
    variables = merge_variables(var_files, pairs)
    check = CheckOptions(variables, journal or _default_journal(), measure=metrics is not None, ledger=ledger)
    options = DriftOptions(location, check, jobs, timeout, deep_every, keep, notify_file)
    output = _Output(output_format, quiet=quiet, verbose=verbose)
    codes: set[int] = set()
    pages = _Pages(html, location)
    for item in watch_states(find_state_files(state), options):
        if isinstance(item, Trouble):
            codes.add(0 if item.warning else 1)
            _complain(item.message, item.hints, "warning" if item.warning else "error")
        elif isinstance(item, Skipped):
            codes.add(LOCKED)
            measures.skipped.append(str(item.state))
            echo(f"{item.state.stem} is skipped: {item.reason}", err=True)
        else:
            codes |= {item.exit_code, item.verdict.exit_code}
            for problem in item.problems:
                _complain(problem)
            measures.reports.append(item)
            pages.add(item)
            output.add(item)
    output.finish(summary)
    pages.finish()
    written = measures.write()
    if pages.failed or not written:
        codes.add(1)
    return worst_check_code(codes)


@dataclass
class _Output:
    """Prints the report of each state as soon as it is known, or all of them at the end."""

    output_format: str
    quiet: bool
    verbose: bool
    reports: list[StateReport] = field(default_factory=list)

    def add(self, report: StateReport) -> None:
        from reconciler.watch.text import describe_state_quietly, report_state

        self.reports.append(report)
        if self.output_format == "jsonl":
            from reconciler.report.json_text import format_jsonl

            echo_json(format_jsonl(_make_document([report])))
        elif self.output_format == "text" and self.quiet:
            show([describe_state_quietly(report)])
        elif self.output_format == "text" and (self.verbose or report.changed):
            show(report_state(report))

    def finish(self, summary: Path | None) -> None:
        """Print what is printed of all states together, and append the summary to a file."""
        if self.output_format == "json":
            from reconciler.report.json_text import format_json

            echo_json(format_json(_make_document(self.reports)))
        if self.output_format == "markdown" or summary is not None:
            from reconciler.watch.markdown import format_summary

            text = format_summary(self.reports)
            if self.output_format == "markdown":
                echo_document(text)
            if summary is not None:
                append_summary(summary, text)


def _make_document(reports: Sequence[StateReport]) -> dict[str, Any]:
    from reconciler.watch.json import as_document, report_as_json

    return as_document("states", map(report_as_json, reports))


class _Pages:
    """The pages of one run, if they were asked for. What goes wrong with them is reported once; the checks go on."""

    def __init__(self, folder: Path | None, location: HistoryLocation) -> None:
        self.failed = False
        self.site: Site | None = None
        if folder is not None:
            from reconciler.watch.page.site import Site

            self.site = Site(folder.absolute(), location)

    def add(self, report: StateReport) -> None:
        ledgers = {ledger.address: ledger.rows for ledger in report.check.ledgers}
        self._try(lambda site: site.write_state(report, ledgers))

    def finish(self) -> None:
        from reconciler.watch.drift import utc_now

        self._try(lambda site: site.write_index(utc_now()))

    def _try(self, write: Callable[[Site], object]) -> None:
        if self.site is None or self.failed:
            return
        try:
            write(self.site)
        except ReconcileError as error:
            self.failed = True
            _complain(str(error), error.hints)


class _Measures:
    """The metrics of one run, written at its end if they were asked for."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.begun = path, time.monotonic()
        self.reports: list[StateReport] = []
        self.skipped: list[str] = []

    def write(self) -> bool:
        """Write the file; if that fails, report it and return False."""
        if self.path is None:
            return True
        from reconciler.watch.drift import utc_now
        from reconciler.watch.metrics import FinishedRun, MetricsError, write_metrics

        try:
            seconds = time.monotonic() - self.begun
            write_metrics(self.path, FinishedRun(self.path.stem, utc_now(), seconds, self.reports, self.skipped))
        except MetricsError as error:
            _complain(str(error), error.hints)
            return False
        return True


def _default_journal() -> Path | None:
    """Return the journal of this user's applies; None where the environment doesn't show where that is."""
    from reconciler.engine.journal import state_folder

    if not os.environ.get("HOME") and not os.environ.get("XDG_STATE_HOME"):
        return None
    return state_folder() / "journal.jsonl"


def _complain(message: str, hints: tuple[str, ...] = (), level: str = "error") -> None:
    echo(f"{level}: {message}", err=True)
    for hint in hints:
        echo(f"  {hint}", err=True)
