"""``reconcile graph``: the order of a state's resources and what each needs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.arguments import find_state_files, merge_variables
from reconciler.cli.console import ERROR, IN_SYNC, echo, echo_document, handle_errors, show
from reconciler.cli.options import format_option, state_arguments
from reconciler.errors import ReconcileError, StateError

if TYPE_CHECKING:
    from reconciler.engine.graph import Graph
    from reconciler.engine.model import Address
    from reconciler.report.entry_status import EntryStatus
    from reconciler.state.variable_sources import Overrides


@click.command()
@state_arguments
@format_option("text", "mermaid", "dot", "svg", text="Output format; svg needs dot, a program of Graphviz")
@click.option("--status", "checked", is_flag=True, help="Compare with the live systems, and show the status of each resource.")
@click.option(
    "--group/--no-group",
    "grouped",
    default=None,
    help="Draw one node for each kind and status, or for each resource; by default it depends on their number.",
)
@handle_errors
def graph(
    state: tuple[Path, ...],
    var_files: tuple[Path, ...],
    pairs: tuple[str, ...],
    output_format: str,
    checked: bool,
    grouped: bool | None,
) -> int:
    """Draw what needs what in a state file, in the order of an apply.

    Edges that follow from others are left out. Without --status, no live system is asked. Without STATE, the file state/*.toml
    is drawn, if there is only one. The exit code is 1 if a status could not be found out.
    """
    from reconciler.report.entry_status import EntryStatus
    from reconciler.report.graph_drawing import draw, format_dot, format_mermaid, format_text

    paths = find_state_files(state)
    if len(paths) > 1:
        raise StateError("a graph is drawn of one state file; name one", tuple(map(str, paths)))
    if output_format == "svg":
        _find_graphviz()  # before live systems are asked
    found, statuses = _read(paths[0], merge_variables(var_files, pairs), checked=checked)
    drawing = draw(found, statuses, grouped=grouped)
    if output_format == "text":
        show(format_text(drawing))
    elif output_format == "mermaid":
        echo_document("\n".join(format_mermaid(drawing)))
    elif output_format == "dot":
        echo_document("\n".join(format_dot(drawing)))
    else:
        echo_document(_make_svg("\n".join(format_dot(drawing))))
    unknown = sum(status is EntryStatus.UNKNOWN for status in statuses.values())
    if unknown:
        echo(f"error: {unknown:,} of {len(statuses):,} resources could not be checked; reconcile diff shows why", err=True)
    return ERROR if unknown else IN_SYNC


def _read(path: Path, variables: Overrides, *, checked: bool) -> tuple[Graph, dict[Address, EntryStatus]]:
    """Return the graph of a state, and the status of each resource if it is to be checked."""
    if not checked:
        from reconciler.engine.graph import build_graph
        from reconciler.state.loader import load

        return build_graph(load(path, variables), need_files=False), {}
    from reconciler.opening import open_session
    from reconciler.report.entry_status import find_status

    with open_session(path, variables) as session:
        session.context.forbid_writes()
        plan = session.plan_unchecked(session.state.resources)
    return session.graph, {entry.address: find_status(entry) for entry in plan.entries}


def _find_graphviz() -> str:
    """Return the path of the program that draws; a StateError if it isn't installed."""
    program = shutil.which("dot")
    if program is None:
        hints = (
            "install Graphviz, which has it (apt install graphviz, conda install graphviz)",
            "or use --format mermaid or dot",
        )
        raise StateError("--format svg needs the program dot, which is not installed here", hints)
    return program


def _make_svg(dot: str) -> str:
    """Return a drawing as SVG, made by Graphviz."""
    program = _find_graphviz()
    done = subprocess.run([program, "-Tsvg"], input=dot, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReconcileError(f"{program} failed: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout.rstrip()
