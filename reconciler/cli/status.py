"""``reconcile status``: the latest verdict of every state, from the history alone."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.console import echo_json, handle_errors, show
from reconciler.cli.options import format_option, history_option
from reconciler.cli.parameter_types import Duration


@click.command()
@click.argument("state", nargs=-1, type=click.Path(path_type=Path))
@history_option
@click.option("--max-age", type=Duration(), metavar="DURATION", help="Verdicts that are older, such as 26h, count as unknown.")
@format_option("text", "json")
@handle_errors
def status(state: tuple[Path, ...], history: str | None, max_age: float | None, output_format: str) -> int:
    """Show the latest verdict of every state, from the history alone.

    The exit code is that of the worst verdict: 0, 2 for drift, 1 for a state that could not be checked or never was.
    """
    import datetime

    from reconciler.watch.latest import read_latest
    from reconciler.watch.locations import HistoryError, find_history
    from reconciler.watch.state_report import worst_check_code

    location = find_history(history)
    now = datetime.datetime.now(datetime.UTC)
    latest = read_latest(location, state, max_age=max_age, now=now)
    if not latest:
        raise HistoryError(f"the history {location} has no check yet", ("run reconcile drift",))
    if output_format == "json":
        from reconciler.report.json_text import format_json
        from reconciler.watch.json import as_document, latest_as_json

        echo_json(format_json(as_document("states", map(latest_as_json, latest))))
    else:
        from reconciler.watch.text import report_latest

        show(report_latest(latest, now))
    return worst_check_code({verdict.verdict.exit_code for verdict in latest})
