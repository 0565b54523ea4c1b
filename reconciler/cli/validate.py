"""``reconcile validate``: check state files without any live system."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.arguments import find_state_files, merge_variables
from reconciler.cli.console import IN_SYNC, echo, handle_errors, print_error, show
from reconciler.cli.options import state_arguments
from reconciler.errors import ReconcileError
from reconciler.redaction import redact
from reconciler.report.formatting import Line, plural

if TYPE_CHECKING:
    from reconciler.state.loader import StateFile

WIDEST = 60
"""Columns of a variable with its value, in which the origins are aligned."""


@click.command()
@state_arguments
@click.option("--inputs", is_flag=True, help="Also require that the files named in the state exist on this machine.")
@click.option("-v", "--verbose", is_flag=True, help="List each variable with its value and where that comes from.")
@handle_errors
def validate(state: tuple[Path, ...], var_files: tuple[Path, ...], pairs: tuple[str, ...], inputs: bool, verbose: bool) -> int:
    """Check state files without connecting to Butler or Rucio.

    Input files, such as export files and tables, are checked if they exist on this machine.
    """
    from reconciler.engine.graph import build_graph
    from reconciler.engine.input_check import check_inputs
    from reconciler.state.loader import load

    variables = merge_variables(var_files, pairs)
    code = IN_SYNC
    for path in find_state_files(state):
        try:
            loaded = load(path, variables)
            graph = build_graph(loaded, need_files=inputs)
            check_inputs(loaded)
        except ReconcileError as error:
            code = print_error(error)
        else:
            missing = plural(len(graph.missing_files), "input file")
            note = f"; {missing} not on this machine and not checked (see --inputs)" if graph.missing_files else ""
            echo(f"{path}: valid, {plural(len(loaded.resources), 'resource')}{note}")
            if verbose:
                _list_variables(loaded)
    return code


def _list_variables(state: StateFile) -> None:
    """Print the variables in the order of the file; a credential is masked, as everywhere."""
    texts = {name: f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in state.variables.items()}
    width = max((len(redact(text)) for text in texts.values()), default=0)
    show(Line(f"  {redact(text):<{min(width, WIDEST)}}   {state.origins[name]}") for name, text in texts.items())
