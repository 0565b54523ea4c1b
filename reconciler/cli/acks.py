"""``reconcile acks``: list the acknowledgements of states."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from reconciler.cli.arguments import find_state_files, merge_variables
from reconciler.cli.console import ERROR, IN_SYNC, handle_errors, show
from reconciler.cli.options import state_arguments
from reconciler.errors import StateError
from reconciler.report.formatting import Line


@click.command()
@state_arguments
@handle_errors
def acks(state: tuple[Path, ...], var_files: tuple[Path, ...], pairs: tuple[str, ...]) -> int:
    """List acknowledged differences, those that end first at the top.

    Without STATE, those of all files state/*.toml are listed.
    """
    from reconciler.state.loader import load
    from reconciler.watch.acknowledgements import check_acknowledgements, load_acknowledgements
    from reconciler.watch.text import list_acknowledgements

    variables = merge_variables(var_files, pairs)
    today = datetime.datetime.now(datetime.UTC).date()
    entries, problems = [], []
    for path in find_state_files(state):
        found = load_acknowledgements(path)
        entries += [(path.stem, entry) for entry in found.entries]
        try:
            addresses = [str(address) for address in load(path, variables).resources]
        except StateError as error:
            problems += [*found.problems, str(error)]
        else:
            problems += check_acknowledgements(found, addresses, {}, today)
    show(list_acknowledgements(entries, today))
    show((Line(f"error: {problem}") for problem in problems), err=True)
    return ERROR if problems else IN_SYNC
