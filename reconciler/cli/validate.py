"""``reconcile validate``: check state files without any live system."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.console import IN_SYNC, echo, handle_errors, print_error
from reconciler.cli.options import find_state_files, merge_variables, state_arguments
from reconciler.errors import ReconcileError
from reconciler.report.formatting import plural


@click.command()
@state_arguments
@click.option("--inputs", is_flag=True, help="Also require that the files named in the state exist on this machine.")
@handle_errors
def validate(state: tuple[Path, ...], var_files: tuple[Path, ...], pairs: tuple[str, ...], inputs: bool) -> int:
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
    return code
