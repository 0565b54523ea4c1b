"""``reconcile help``: what a table of the state file is, and its keys."""

from __future__ import annotations

import click

from reconciler.cli.completers import complete_tables
from reconciler.cli.console import IN_SYNC, handle_errors, show


@click.command("help")
@click.argument("table", required=False, metavar="[KIND[.KEY]]", shell_complete=complete_tables)
@handle_errors
def help_command(table: str | None) -> int:
    """Explain a table of the state file, or one of its keys. Without KIND, all tables are listed.

    For the options of a command, use reconcile COMMAND --help.
    """
    from reconciler.report.kind_help import describe_table, list_tables

    show(list_tables() if table is None else describe_table(table))
    return IN_SYNC
