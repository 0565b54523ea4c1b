"""``reconcile timer``: print what runs a watch at regular times."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from reconciler.cli.arguments import SITE, find_state_files
from reconciler.cli.console import IN_SYNC, echo, handle_errors
from reconciler.cli.options import history_option, state_arguments
from reconciler.cli.parameter_types import Duration
from reconciler.errors import StateError


@click.command()
@state_arguments
@click.option("--every", type=Duration(), default="15m", show_default=True, help="Time between two runs.")
@history_option
@click.option("--notify-file", type=click.Path(path_type=Path), help="File with URLs to notify of changes, one on a line.")
@handle_errors
def timer(
    state: tuple[Path, ...],
    var_files: tuple[Path, ...],
    pairs: tuple[str, ...],
    every: float,
    history: str | None,
    notify_file: Path | None,
) -> int:
    """Print a crontab line and systemd units that run reconcile drift. Installs nothing.

    Paths are absolute, Python is the one that runs this command, and variables that locate configuration are those of now.
    """
    from reconciler.watch.channels import VARIABLE
    from reconciler.watch.locations import find_history
    from reconciler.watch.schedule import select_variables, write_schedule

    paths = [path.absolute() for path in find_state_files(state)]
    missing = [str(path) for path in (*paths, *var_files, *([notify_file] if notify_file else [])) if not path.is_file()]
    if missing:
        raise StateError([f"{path}: no such file" for path in missing])
    words = [sys.executable, "-m", "reconciler", "drift", "--history", str(find_history(history))]
    for name, values in (("--var-file", [str(file.absolute()) for file in var_files]), ("--var", pairs)):
        words += [word for value in values for word in (name, value)]
    if site := click.get_current_context().meta.get(SITE):
        words += ["--site", site]
    if notify_file is not None:
        words += ["--notify-file", str(notify_file.absolute())]
    for line in write_schedule([*words, *map(str, paths)], select_variables(os.environ), every):
        echo(line)
    if notify_file is None and os.environ.get(VARIABLE):
        echo(f"{VARIABLE} is not part of this, because it contains credentials; give --notify-file.", err=True)
    return IN_SYNC
