"""Arguments, options and option types that several commands share."""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconciler.cli.completers import complete_globs
from reconciler.errors import StateError, did_you_mean

if TYPE_CHECKING:
    from reconciler.state.variables import Scalar

C = TypeVar("C", bound=Callable[..., Any])


class Duration(click.ParamType):  # type: ignore[type-arg]  # only newer versions of click have it generic
    """A duration such as ``90s``, ``30m``, ``2h`` or ``1d``, converted to seconds; a plain number is in seconds."""

    name = "duration"
    units = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}  # noqa: RUF012

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the duration in seconds."""
        if isinstance(value, int | float):
            return float(value)
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?", value.strip())
        if match is None:
            raise click.BadParameter(f'"{value}" is not a duration; write 90s, 30m or 2h', ctx, param)
        return float(match[1]) * self.units[match[2] or "s"]


class ReportFormatName(click.ParamType):  # type: ignore[type-arg]  # only newer versions of click have it generic
    """The name of a report format: a built-in one, or one of an installed package, which is searched only for other names."""

    name = "format"
    built_in = ("text", "json", "markdown", "shell")

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name if there is such a format."""
        if value in self.built_in:
            return value
        from reconciler.report.formats import plugin_format_names

        known = (*self.built_in, *plugin_format_names())
        if value not in known:
            raise click.BadParameter(
                f'"{value}" is not one of {", ".join(known)}{did_you_mean(value, known)}', param=param, ctx=ctx
            )
        return value


class Day(click.ParamType):  # type: ignore[type-arg]
    """A day such as ``2026-12-24``, converted to a `datetime.date`."""

    name = "day"

    def convert(self, value: str | datetime.date, param: click.Parameter | None, ctx: click.Context | None) -> datetime.date:
        """Return the day."""
        if isinstance(value, datetime.date):
            return value
        try:
            return datetime.date.fromisoformat(value.strip())
        except ValueError as error:
            raise click.BadParameter(f'"{value}" is not a day; write 2026-12-24', ctx, param) from error


class Moment(click.ParamType):  # type: ignore[type-arg]
    """A day, a time in ISO form or a duration before now, such as ``7d``, converted to a `datetime.datetime` in UTC."""

    name = "time"

    def convert(
        self, value: str | datetime.datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime.datetime:
        """Return the time."""
        if isinstance(value, datetime.datetime):
            return value
        with contextlib.suppress(ValueError):
            found = datetime.datetime.fromisoformat(value.strip())
            return found if found.tzinfo is not None else found.replace(tzinfo=datetime.UTC)
        try:
            return datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=Duration().convert(value, param, ctx))
        except (click.BadParameter, OverflowError) as error:
            raise click.BadParameter(f'"{value}" is not a time; write 2026-11-24, or 7d for 7 days ago', ctx, param) from error


class Night(click.ParamType):  # type: ignore[type-arg]
    """A night such as ``20241108``, converted to a number."""

    name = "night"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the night as a number of eight digits."""
        text = str(value).strip().replace("-", "")
        try:
            datetime.datetime.strptime(text, "%Y%m%d")
        except ValueError as error:
            raise click.BadParameter(f'"{value}" is not a night; write 20241108', ctx, param) from error
        return int(text)


class VerifyOption(click.ParamType):  # type: ignore[type-arg]
    """The files to check on storage: ``all``, ``sample:N`` or ``none``."""

    name = "verify"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value if it is one of the three."""
        if not re.fullmatch(r"all|none|sample:[1-9]\d*", value):
            raise click.BadParameter(f'"{value}" is not one of all, sample:N and none; write sample:100', ctx, param)
        return value


def state_arguments(command: C) -> C:
    """Add the state files and the options that override their variables."""
    return _add(command, click.argument("state", nargs=-1, type=click.Path(path_type=Path)), variable_options)


def variable_options(command: C) -> C:
    """Add the options that override variables of a state file."""
    return _add(
        command,
        click.option(
            "--var-file",
            "var_files",
            multiple=True,
            type=click.Path(path_type=Path),
            help="TOML file with values for [vars]. Later files override earlier ones.",
        ),
        click.option("--var", "pairs", multiple=True, metavar="NAME=VALUE", help="Value for one variable. Overrides --var-file."),
    )


def selection_options(command: C) -> C:
    """Add the options that select resources."""
    return _add(
        command,
        click.option(
            "--only",
            multiple=True,
            metavar="GLOB",
            shell_complete=complete_globs,
            help='Only resources with these addresses, such as "chain.*".',
        ),
        click.option(
            "--except",
            "without",
            multiple=True,
            metavar="GLOB",
            shell_complete=complete_globs,
            help="All resources but those with these addresses.",
        ),
        click.option("--with-needs", is_flag=True, help="Include the resources that the selected ones depend on."),
    )


def bulk_options(command: C) -> C:
    """Add the options for comparing and writing many members."""
    return _add(
        command,
        click.option(
            "--deep", is_flag=True, help="List all members, also those known from an earlier run, and compare datastore records."
        ),
        click.option(
            "--quick", is_flag=True, help="Compare many members by count only, and report how many resources were compared so."
        ),
        click.option(
            "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Number of worker processes for bulk steps."
        ),
        click.option(
            "--parsl",
            type=click.Path(exists=True, dir_okay=False),
            help="Python file with a Parsl `config`; bulk steps run on its workers.",
        ),
    )


def journal_option(command: C) -> C:
    """Add the option for another journal file."""
    return _add(
        command, click.option("--journal", type=click.Path(path_type=Path, dir_okay=False), help="Path of the journal file.")
    )


def history_option(command: C) -> C:
    """Add the option for another history of checks."""
    text = "File, or PostgreSQL URL without a password, with the history of checks; also RECONCILE_HISTORY."
    return _add(command, click.option("--history", metavar="FILE|URL", help=text))


def _add(command: C, *decorators: Callable[[C], C]) -> C:
    """Apply decorators so that ``--help`` lists their options in the order given."""
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def merge_variables(files: tuple[Path, ...], pairs: tuple[str, ...]) -> dict[str, Scalar]:
    """Merge the values of ``--var-file`` and ``--var``; later ones override earlier ones, and ``--var`` overrides files.

    Raises
    ------
    reconciler.errors.StateError
        If a file can't be read, or an argument of ``--var`` isn't NAME=VALUE.
    """
    from reconciler.state.loader import read_variables

    merged: dict[str, Scalar] = {}
    for file in files:
        merged |= read_variables(file)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise StateError(f"--var {pair}: write --var name=value")
        merged[name] = {"true": True, "false": False}.get(value, int(value) if value.lstrip("-").isdecimal() else value)
    return merged


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
