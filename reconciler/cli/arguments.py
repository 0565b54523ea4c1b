"""What the arguments of a command stand for: state files, values of variables, and options that fit together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.errors import StateError

if TYPE_CHECKING:
    from reconciler.state.variable_sources import Overrides
    from reconciler.state.variables import Scalar

SITE = "reconciler.cli.site"
"""Key of the click context under which the value of ``--site`` is, so that only `merge_variables` has to know of it."""


def find_state_files(paths: tuple[Path, ...]) -> list[Path]:
    """Return the files of the command line, or ``state/*.toml`` if it names none.

    Raises
    ------
    reconciler.errors.StateError
        If there are no such files either.
    """
    files = list(paths) or sorted(Path("state").glob("*.toml"))
    if not files:
        raise StateError("no state file given, and the current folder has no state/*.toml")
    return files


def merge_variables(files: tuple[Path, ...], pairs: tuple[str, ...]) -> Overrides:
    """Merge the values of ``--var-file`` and ``--var``; later ones override earlier ones, and ``--var`` overrides files.

    Values from the environment and from ``--site`` depend on the state, and are found when it is loaded.

    Raises
    ------
    reconciler.errors.StateError
        If a file can't be read, or an argument of ``--var`` isn't NAME=VALUE.
    """
    from reconciler.state.variable_sources import Overrides, parse_value, read_variables, select_environment

    merged: dict[str, Scalar] = {}
    origins: dict[str, str] = {}
    for file in files:
        values = read_variables(file)
        merged |= values
        origins |= dict.fromkeys(values, f"--var-file {file}")
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise StateError(f"--var {pair}: write --var name=value")
        merged[name] = parse_value(value)
        origins[name] = "--var"
    context = click.get_current_context(silent=True)
    return Overrides(merged, origins, select_environment(os.environ), context.meta.get(SITE) if context is not None else None)


def check_combination(
    *, only: Sequence[str], with_needs: bool, deep: bool = False, quick: bool = False, out: Path | None = None
) -> None:
    """Refuse options that mean nothing without another one, or contradict another one, before anything is loaded.

    Raises
    ------
    click.UsageError
        If options don't fit together, or the folder of ``--out`` doesn't exist.
    """
    if with_needs and not only:
        raise click.UsageError("--with-needs adds to what --only selects; give --only too")
    if deep and quick:
        raise click.UsageError("--deep and --quick: give only one of them")
    if out is not None and not out.parent.is_dir():
        raise click.UsageError(f"--out {out}: there is no folder {out.parent}")
