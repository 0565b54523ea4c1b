"""``reconcile log``: show earlier runs and their actions from the journal."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from reconciler.cli.completers import complete_globs
from reconciler.cli.console import IN_SYNC, echo_json, handle_errors, show
from reconciler.cli.options import format_option, journal_option
from reconciler.cli.parameter_types import Moment
from reconciler.errors import StateError

MOST_SHOWN = 20
"""Runs, or actions of several runs, that are shown unless another number is given."""


@click.command()
@click.option("--run", "run_name", metavar="RUN", help="Show the actions of this run, all of them unless -n is given.")
@click.option(
    "--address", metavar="GLOB", shell_complete=complete_globs, help="Show the actions on resources with these addresses."
)
@click.option(
    "-n",
    "--number",
    type=click.IntRange(0),
    help=f"Show at most so many, by default {MOST_SHOWN}, or all with --run; 0 for all.",
)
@click.option("--since", type=Moment(), metavar="TIME", help="Show what began since then: 2026-11-24, or 7d for the last 7 days.")
@click.option("--state", type=click.Path(path_type=Path), metavar="FILE", help="Show the runs of this state file.")
@format_option("text", "json")
@journal_option
@handle_errors
def log(
    run_name: str | None,
    address: str | None,
    number: int | None,
    since: datetime.datetime | None,
    state: Path | None,
    output_format: str,
    journal: Path | None,
) -> int:
    """List earlier runs, or the actions of one run or resource. The newest come first.

    It is an error if no action matches --run and --address.
    """
    from reconciler.engine.journal import read_journal, state_folder
    from reconciler.report.journal import LogReport, collect_actions, collect_runs, format_actions, format_runs

    if number is None:
        number = 0 if run_name else MOST_SHOWN
    path = journal or state_folder() / "journal.jsonl"
    events = list(read_journal(path))
    report = LogReport(journal=str(path))
    if run_name or address:
        actions = collect_actions(events, run_name, address, since, state)
        if not actions:
            raise StateError("the journal has no such action")
        report.actions = actions[:number] if number else actions
        report.more = len(actions) - len(report.actions)
    else:
        runs = collect_runs(events, since, state)
        report.runs = runs[:number] if number else runs
        report.more = len(runs) - len(report.runs)
    if output_format == "json":
        from reconciler.report.json_text import format_json

        echo_json(format_json(report.model_dump(mode="json")))
    else:
        show(format_actions(report.actions, report.more) if report.actions else format_runs(report.runs, report.more))
    return IN_SYNC
