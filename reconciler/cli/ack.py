"""``reconcile ack``: accept a known difference until a day."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.arguments import find_state_files, merge_variables
from reconciler.cli.completers import complete_addresses
from reconciler.cli.console import IN_SYNC, handle_errors, show
from reconciler.cli.options import history_option, variable_options
from reconciler.cli.parameter_types import Day
from reconciler.errors import StateError, did_you_mean
from reconciler.report.formatting import Line

if TYPE_CHECKING:
    from reconciler.state.loader import StateFile
    from reconciler.state.variable_sources import Overrides
    from reconciler.watch.latest import OpenDifference


@click.command()
@click.argument("place", metavar="ADDRESS[:FIELD]", shell_complete=complete_addresses)
@click.option("--until", type=Day(), required=True, metavar="DAY", help="Last day on which it holds, such as 2026-12-24, in UTC.")
@click.option("--reason", required=True, help="Why the difference is accepted.")
@click.option("--ticket", default="", help="Ticket that follows it.")
@click.option("--state", type=click.Path(path_type=Path), help="State file, if the folder state has several with this address.")
@variable_options
@history_option
@handle_errors
def ack(
    place: str,
    until: datetime.date,
    reason: str,
    ticket: str,
    state: Path | None,
    var_files: tuple[Path, ...],
    pairs: tuple[str, ...],
    history: str | None,
) -> int:
    """Accept a difference that reconcile drift found, until a day.

    It is written to acks/STATE next to the state file. The difference stays in reports but no longer counts as drift, until the
    day is over or the difference changes.
    """
    from reconciler.watch.acknowledgements import Acknowledgement, combine_fingerprints, write_acknowledgement
    from reconciler.watch.latest import read_differences
    from reconciler.watch.locations import find_history

    if not reason.strip():
        raise StateError("--reason is empty; write why the difference is accepted")
    if until < datetime.datetime.now(datetime.UTC).date():
        raise StateError(f"--until {until} is over; choose a later day")
    path, loaded, address, field = _find_table(place, state, merge_variables(var_files, pairs))
    known = _choose_state(path, [d for d in read_differences(find_history(history)) if d.address == address])
    covered = _find_covered(loaded, known, address, field)
    fingerprint = combine_fingerprints((d.kind, d.field, d.fingerprint) for d in covered)
    entry = Acknowledgement(
        address=address, field=field, reason=reason.strip(), ticket=ticket.strip(), until=until, fingerprint=fingerprint
    )
    written = write_acknowledgement(path, entry)
    show(Line(f"{address}: {difference.text}") for difference in covered)
    show([Line(f"Acknowledged until {until} in {written}; commit the file with the state.")])
    return IN_SYNC


def _find_table(place: str, state: Path | None, variables: Overrides) -> tuple[Path, StateFile, str, str | None]:
    """Return the state file that has the address, its content, the address and the field."""
    from reconciler.state.loader import load
    from reconciler.watch.acknowledgements import parse_place

    found = []
    errors = []
    try:
        paths = find_state_files((state,) if state is not None else ())
    except StateError as error:
        raise StateError(str(error), ("name one with --state",)) from error
    for path in paths:
        try:
            loaded = load(path, variables)
            found.append((path, loaded, *parse_place(place, [str(address) for address in loaded.resources])))
        except StateError as error:
            errors.append(error)
    if len(found) > 1:
        names = ", ".join(str(path) for path, *_ in found)
        raise StateError(f"{place}: several states have this address: {names}", ("choose one with --state",))
    if not found:
        raise errors[0]
    return found[0]


def _choose_state(path: Path, known: list[OpenDifference]) -> list[OpenDifference]:
    """Return the differences of a state; by its file name if the checks run on a host that has it at another place."""
    here = [difference for difference in known if difference.state == str(path.resolve())]
    return here or [difference for difference in known if Path(difference.state).name == path.name]


def _find_covered(loaded: StateFile, known: list[OpenDifference], address: str, field: str | None) -> list[OpenDifference]:
    """Return the differences that an acknowledgement covers."""
    from reconciler.watch.observation import list_fields

    spec = next(spec for its, spec in loaded.resources.items() if str(its) == address)
    differences = [difference for difference in known if difference.kind != "unknown"]
    names = {*list_fields(spec), *(difference.field for difference in differences if difference.field)}
    if field is not None and field not in names:
        raise StateError(f'{address}: unknown field "{field}"{did_you_mean(field, names)}')
    covered = [difference for difference in differences if field is None or difference.field == field]
    if not covered:
        where = address if field is None else f"{address}:{field}"
        raise StateError(
            f"{where}: no check has found a difference here", ("run reconcile drift first, with the same --history",)
        )
    return covered
