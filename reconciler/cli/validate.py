"""``reconcile validate``: check state files without any live system."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.console import IN_SYNC, echo, handle_errors, print_error
from reconciler.cli.options import find_state_files, merge_variables, state_arguments
from reconciler.errors import ReconcileError


@click.command()
@state_arguments
@handle_errors
def validate(state: tuple[Path, ...], var_files: tuple[Path, ...], pairs: tuple[str, ...]) -> int:
    """Check state files without connecting to Butler or Rucio."""
    from reconciler.engine.graph import build_graph
    from reconciler.state.loader import load

    variables = merge_variables(var_files, pairs)
    code = IN_SYNC
    for path in find_state_files(state):
        try:
            loaded = load(path, variables)
            build_graph(loaded)
        except ReconcileError as error:
            code = print_error(error)
        else:
            echo(f"{path}: valid, {len(loaded.resources):,} resources")
    return code
