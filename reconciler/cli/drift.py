"""``reconcile drift``: check states for drift, as cron does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.console import echo, handle_errors, show
from reconciler.cli.options import (
    Duration,
    find_state_files,
    history_option,
    journal_option,
    merge_variables,
    state_arguments,
)
from reconciler.errors import ReconcileError

if TYPE_CHECKING:
    from reconciler.watch.locations import HistoryLocation
    from reconciler.watch.model import StateReport
    from reconciler.watch.page.site import Site

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
@click.option("--format", "output_format", type=click.Choice(["text", "json"]), default="text", help="Output format.")
@click.option(
    "--html",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write an index of all states, and a page for each, to this folder.",
)
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
    html: Path | None,
    verbose: bool,
    notify_file: Path | None,
    journal: Path | None,
) -> int:
    """Check states for drift and record the result. Changes nothing in the Butler or in Rucio.

    Without STATE, all files state/*.toml are checked. A state is reported if something changed since its last check.

    Exit codes: 0 in sync, or differs only as expected; 2 drift; 1 something could not be checked; 75 another run is checking the
    only states that are left.
    """
    from reconciler.watch.drift import DriftOptions, Skipped, Trouble, watch_states
    from reconciler.watch.json import report_as_json
    from reconciler.watch.locations import find_history
    from reconciler.watch.model import worst_code
    from reconciler.watch.observation import CheckOptions
    from reconciler.watch.text import report_state

    location = find_history(history)
    check = CheckOptions(merge_variables(var_files, pairs), journal or _default_journal())
    options = DriftOptions(location, check, jobs, timeout, deep_every, keep, notify_file)
    codes: set[int] = set()
    documents = []
    pages = _Pages(html, location)
    for item in watch_states(find_state_files(state), options):
        if isinstance(item, Trouble):
            codes.add(0 if item.warning else 1)
            _complain(item.message, item.hints, "warning" if item.warning else "error")
        elif isinstance(item, Skipped):
            codes.add(LOCKED)
            echo(f"{item.state.stem} is skipped: {item.reason}", err=True)
        else:
            codes.add(item.exit_code)
            codes.add(item.verdict.exit_code)
            for problem in item.problems:
                _complain(problem)
            pages.add(item)
            if output_format == "json":
                documents.append(report_as_json(item))
            elif verbose or item.changed:
                show(report_state(item))
    if output_format == "json":
        from pydantic_core import to_json

        click.echo(to_json(documents, indent=2))
    pages.finish()
    return worst_code(codes | ({1} if pages.failed else set()))


class _Pages:
    """The pages of one run, if they were asked for. What goes wrong with them is reported once; the checks go on."""

    def __init__(self, folder: Path | None, location: HistoryLocation) -> None:
        self.failed = False
        self.site: Site | None = None
        if folder is not None:
            from reconciler.watch.page.site import Site

            self.site = Site(folder.absolute(), location)

    def add(self, report: StateReport) -> None:
        self._try(lambda site: site.write_state(report))

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
