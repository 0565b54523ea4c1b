"""``reconcile ledger``: what Rucio, the Butler and storage know of the files that Rucio delivers, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.arguments import merge_variables
from reconciler.cli.console import DIFFERENCES, ERROR, IN_SYNC, echo, echo_json, handle_errors, print_error, show, worst_code
from reconciler.cli.options import format_option, variable_options
from reconciler.cli.parameter_types import Night, VerifyOption
from reconciler.errors import ReconcileError, StateError

if TYPE_CHECKING:
    from reconciler.watch.ledger import Ledger


@click.command()
@click.argument("state", type=click.Path(path_type=Path))
@click.argument("resource", required=False)
@variable_options
@click.option("--night", type=Night(), metavar="YYYYMMDD", help="Only raws of this night.")
@click.option(
    "--verify",
    type=VerifyOption(),
    default="sample:100",
    show_default=True,
    metavar="all|sample:N|none",
    help="Files of each resource to check on storage.",
)
@format_option("text", "json", "csv")
@click.option("-v", "--verbose", is_flag=True, help="List every row, not only those that differ.")
@handle_errors
def ledger(
    state: Path,
    resource: str | None,
    var_files: tuple[Path, ...],
    pairs: tuple[str, ...],
    night: int | None,
    verify: str,
    output_format: str,
    verbose: bool,
) -> int:
    """Compare what Rucio, the Butler and storage know of the files that Rucio delivers. Changes nothing.

    Raws are counted by night and detector, the files of import and file_ingest tables by Rucio dataset. RESOURCE is an address or
    a glob; without it, all tables with delivered_by are compared.

    Exit codes: 0 the three agree; 2 they differ; 1 something could not be checked.
    """
    from reconciler.opening import open_session
    from reconciler.watch.ledger_reading import LedgerOptions, find_delivered, read_ledger

    options = LedgerOptions(verify, night)
    ledgers: list[Ledger] = []
    codes = []
    with open_session(state, merge_variables(var_files, pairs)) as session:
        session.context.forbid_writes()
        addresses = find_delivered(session.state, (resource,) if resource is not None else ())
        if night is not None and resource is None:
            addresses = [address for address in addresses if address.kind == "raw"]
        if not addresses:
            what = "raw table" if night is not None else "table"
            zips = any(address.kind == "raw_zip" for address in session.state.resources)
            hints = ("a ledger doesn't cover raw_zip tables",) if zips else ()
            raise StateError(f"{state.name}: no {what} has delivered_by, so that there is nothing to compare", hints)
        for address in addresses:
            try:
                found = read_ledger(session, address, options)
            except ReconcileError as error:
                codes.append(ERROR)
                print_error(ReconcileError([f"{address}: {problem}" for problem in error.problems], error.hints))
                continue
            ledgers.append(found)
            codes.append(IN_SYNC if found.agrees else DIFFERENCES)
    _print(ledgers, output_format, all_rows=verbose or night is not None)
    return worst_code(codes)


def _print(ledgers: list[Ledger], output_format: str, *, all_rows: bool) -> None:
    from reconciler.watch.json import as_document, ledger_as_json
    from reconciler.watch.ledger_text import ledgers_as_csv, report_ledger

    if output_format == "json":
        from reconciler.report.json_text import format_json

        echo_json(format_json(as_document("ledgers", map(ledger_as_json, ledgers))))
    elif output_format == "csv":
        for line in ledgers_as_csv(ledgers).splitlines():
            echo(line)
    else:
        for found in ledgers:
            show(report_ledger(found, all_rows=all_rows))
