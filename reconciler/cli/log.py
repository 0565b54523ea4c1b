"""``reconcile log``: show earlier runs and their actions from the journal."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.console import IN_SYNC, handle_errors, show
from reconciler.cli.options import journal_option
from reconciler.errors import StateError


@click.command()
@click.option("--run", "run_name", metavar="RUN", help="Show all actions of this run.")
@click.option("--address", metavar="GLOB", help="Show the actions on resources with these addresses.")
@journal_option
@handle_errors
def log(run_name: str | None, address: str | None, journal: Path | None) -> int:
    """List earlier runs, or the actions of one run or resource."""
    from reconciler.engine.journal import read_journal, state_folder
    from reconciler.report.journal import list_actions, list_runs

    events = list(read_journal(journal or state_folder() / "journal.jsonl"))
    if run_name or address:
        lines = list(list_actions(events, run_name, address))
        if not lines:
            raise StateError("the journal has no such action")
        show(lines)
    else:
        show(list_runs(events))
    return IN_SYNC
