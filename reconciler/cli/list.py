"""``reconcile list``: one line for each resource, for grep and awk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.arguments import find_state_files, merge_variables
from reconciler.cli.completers import complete_globs_and_files
from reconciler.cli.console import ERROR, IN_SYNC, echo_json, handle_errors, print_error, show
from reconciler.cli.options import format_option, variable_options
from reconciler.cli.resource_arguments import split_arguments
from reconciler.errors import StateError

if TYPE_CHECKING:
    from reconciler.engine.model import Address
    from reconciler.errors import ReconcileError
    from reconciler.report.entry_status import EntryStatus
    from reconciler.state.loader import StateFile
    from reconciler.state.variable_sources import Overrides


@click.command("list")
@click.argument("words", nargs=-1, metavar="[STATE]... [GLOB]...", shell_complete=complete_globs_and_files)
@variable_options
@click.option("--offline", is_flag=True, help="Don't ask the live systems; the status is - then.")
@format_option("text", "json")
@handle_errors
def list_resources(
    words: tuple[str, ...], var_files: tuple[Path, ...], pairs: tuple[str, ...], offline: bool, output_format: str
) -> int:
    """List the resources of state files: status, kind, address, place.

    GLOB is an address with wildcards, such as 'chain.*'. Without STATE, all files state/*.toml are listed. The exit code is 1
    if a resource could not be checked, which an error explains, and otherwise 0, whatever differs.
    """
    from reconciler.report.entry_status import EntryStatus
    from reconciler.report.listing import ListReport, format_list, list_state

    states, patterns = split_arguments(words)
    variables = merge_variables(var_files, pairs)
    listed = []
    errors: dict[str, ReconcileError] = {}
    for loaded, chosen in _choose(states, patterns, variables):
        statuses = {} if offline else _check(loaded, chosen, variables, errors)
        listed.append(list_state(loaded, chosen, statuses))
    report = ListReport(states=listed)
    if output_format == "json":
        from reconciler.report.json_text import format_json

        echo_json(format_json(report.model_dump(mode="json")))
    else:
        show(format_list(report))
    for error in errors.values():
        print_error(error)
    unknown = any(resource.status is EntryStatus.UNKNOWN for state in listed for resource in state.resources)
    return ERROR if unknown else IN_SYNC


def _choose(states: tuple[Path, ...], patterns: Sequence[str], variables: Overrides) -> list[tuple[StateFile, set[Address]]]:
    """Return each state with the resources that any of the globs matches; a glob must match in one of the states."""
    from reconciler.engine.address_selection import match_addresses, suggest_glob
    from reconciler.state.loader import load

    loaded = [load(path, variables) for path in find_state_files(states)]
    if not patterns:
        return [(state, set(state.resources)) for state in loaded]
    for pattern in patterns:
        if not any(match_addresses(state, pattern) for state in loaded):
            known = [address for state in loaded for address in state.resources]
            raise StateError(f"no address matches {pattern}{suggest_glob(known, pattern)}")
    return [(state, {address for pattern in patterns for address in match_addresses(state, pattern)}) for state in loaded]


def _check(
    state: StateFile, chosen: set[Address], variables: Overrides, errors: dict[str, ReconcileError]
) -> dict[Address, EntryStatus]:
    """Return the status of the chosen resources, and add to ``errors``, by its text, why some could not be checked."""
    from reconciler.opening import open_session
    from reconciler.report.entry_status import find_status

    if not chosen:
        return {}
    with open_session(state.path, variables) as session:
        session.context.forbid_writes()
        plan = session.plan_unchecked(session.graph.with_predecessors(chosen))  # what a resource needs may hinder it
    errors |= {str(entry.error): entry.error for entry in plan.unknown if entry.error is not None and entry.address in chosen}
    return {entry.address: find_status(entry) for entry in plan.entries}
