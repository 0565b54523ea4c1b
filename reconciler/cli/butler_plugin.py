"""``butler reconcile``: the command group as a subcommand of the Butler's command line.

The Butler calls `get_commands` through the entry point group ``butler.cli`` whenever any of its commands runs, whatever
``DAF_BUTLER_PLUGINS`` contains, so importing this module has to stay cheap.
"""

from __future__ import annotations

import click

from reconciler.cli.main import main


def get_commands() -> list[click.Command]:
    """Return the commands to add to ``butler``: the whole program, with its exit codes, as ``reconcile``."""
    return [main]
