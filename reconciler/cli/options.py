"""Arguments, options and option types that several commands share."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import click

from reconciler.cli.completers import complete_globs
from reconciler.errors import ReconcileError, StateError, did_you_mean

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from reconciler.state.variable_sources import Overrides
    from reconciler.state.variables import Scalar

SITE = "reconciler.cli.site"
"""Key of the context under which the name of the site is, so that only `merge_variables` has to know of it."""
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


class OutputFormat(click.ParamType):  # type: ignore[type-arg]  # only newer versions of click have it generic
    """The name of an output format, which means the same for every command that has it.

    Parameters
    ----------
    names : `Sequence` [`str`]
        The formats of the command.
    plugins : `bool`
        Whether installed packages may add some; they are searched only for a name that isn't built in.
    """

    name = "format"
    reasons: ClassVar[Mapping[str, str]] = {
        "shell": "only diff and plan find the commands that an operator could type instead",
        "markdown": "it is for a comment or a mail on a plan, an apply or a check: diff, plan, show, apply and drift have it",
        "jsonl": "it is for results that come one after the other: diff, plan, apply and drift have it",
    }
    """Why a format isn't one of every command."""

    def __init__(self, names: Sequence[str], *, plugins: bool = False) -> None:
        self.names, self.plugins = names, plugins

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name if there is such a format."""
        if value in self.names:
            return value
        known = [*self.names, *self._find_plugins()]
        if value not in known:
            why = f"; {self.reasons[value]}" if value in self.reasons else did_you_mean(value, known)
            raise click.BadParameter(f'"{value}" is not one of {", ".join(known)}{why}', param=param, ctx=ctx)
        return value

    def _find_plugins(self) -> list[str]:
        if not self.plugins:
            return []
        from reconciler.report.formats import plugin_format_names

        return plugin_format_names()

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a format, without searching packages."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(name) for name in self.names if name.startswith(incomplete)]


def format_option(*names: str, text: str = "Output format", plugins: bool = False) -> Callable[[C], C]:
    """Return a decorator that adds ``--format``, whose value is ``output_format``; the first name is the default."""
    last = "one of an installed package" if plugins else names[-1]
    listed = f"{', '.join(names if plugins else names[:-1])} or {last}"
    return click.option(
        "--format",
        "output_format",
        type=OutputFormat(names, plugins=plugins),
        default=names[0],
        show_default=True,
        metavar="NAME",
        help=f"{text}: {listed}.",
    )


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
    """A day, a time in ISO form or a duration before now, such as ``7d``, converted to a `datetime.datetime`.

    It has a time zone: UTC, unless the text gives another offset.
    """

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
    """A night such as ``20241108`` or ``2024-11-08``, converted to a number."""

    name = "night"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the night as a number of eight digits."""
        text = str(value).strip().replace("-", "")
        try:
            if not re.fullmatch(r"[0-9]{8}", text):
                raise ValueError(text)  # strptime takes 2024118, too
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
    """Add the state files, ``state``, and what `variable_options` adds."""
    return _add(command, click.argument("state", nargs=-1, type=click.Path(path_type=Path)), variable_options)


def variable_options(command: C) -> C:
    """Add ``var_files``, ``pairs`` and --site, which override the variables of a state file.

    `merge_variables` takes the first two, and reads the site from the click context.
    """
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
        click.option(
            "--site",
            metavar="NAME",
            envvar="RECONCILE_SITE",
            show_envvar=True,
            expose_value=False,
            callback=_keep_site,
            help="Take values for [vars] from sites/NAME.toml next to the state file.",
        ),
    )


def _keep_site(context: click.Context, _: click.Parameter, value: str | None) -> None:
    context.meta[SITE] = value or None


def selection_options(command: C) -> C:
    """Add the options that select resources: ``only``, ``without`` and ``with_needs``."""
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
    """Add the options for bulk work: ``deep``, ``quick``, ``jobs`` and ``parsl``."""
    return _add(
        command,
        click.option(
            "--deep", is_flag=True, help="List all members, also those known from an earlier run, and compare datastore records."
        ),
        click.option(
            "--quick", is_flag=True, help="Compare many members by count only, and report how many resources were compared so."
        ),
        click.option(
            "--jobs",
            type=click.IntRange(1),
            default=1,
            show_default=True,
            envvar="RECONCILE_JOBS",
            show_envvar=True,
            help="Number of worker processes for bulk steps.",
        ),
        click.option(
            "--parsl",
            type=click.Path(exists=True, dir_okay=False),
            help="Python file with a Parsl `config`; bulk steps run on its workers.",
        ),
    )


def journal_option(command: C) -> C:
    """Add ``--journal``, the path of the journal file, as the parameter ``journal``; `None` stands for the default one."""
    return _add(
        command,
        click.option(
            "--journal",
            type=click.Path(path_type=Path, dir_okay=False),
            envvar="RECONCILE_JOURNAL",
            show_envvar=True,
            help="Path of the journal file.",
        ),
    )


def quiet_option(command: C) -> C:
    """Add ``--quiet``, which prints one line for each state, as the parameter ``quiet``."""
    return _add(command, click.option("-q", "--quiet", is_flag=True, help="Print one line for each state."))


class SummaryFile(click.ParamType):  # type: ignore[type-arg]
    """A Markdown file to append to; that it can be written is checked before the work begins."""

    name = "file"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path."""
        path = Path(value)
        folder = path.absolute().parent
        try:
            if path.is_dir():
                raise click.BadParameter(f"{path} is a folder; name a file", ctx, param)
            if not folder.is_dir():
                raise click.BadParameter(f"the folder {folder} doesn't exist", ctx, param)
            allowed = os.access(path if path.exists() else folder, os.W_OK)
        except PermissionError:  # Python 3.14 answers "no" instead
            allowed = False
        if not allowed:
            raise click.BadParameter(f"no permission to write {path}", ctx, param)
        return path


def summary_option(command: C) -> C:
    """Add ``--summary``, a file to which a summary in Markdown is appended, as the parameter ``summary``."""
    text = "Append a summary in Markdown to this file, such as $GITHUB_STEP_SUMMARY, or one to mail."
    return _add(command, click.option("--summary", type=SummaryFile(), metavar="FILE", help=text))


def append_summary(path: Path, text: str) -> None:
    """Append a summary to a file.

    Raises
    ------
    reconciler.errors.ReconcileError
        If it can't be written; what it reports was done all the same.
    """
    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(f"{text}\n")
    except OSError as error:
        reason = f"the summary can't be written to {path}: {error.strerror}"
        raise ReconcileError(reason, ("everything else was done",)) from error


def history_option(command: C) -> C:
    """Add ``--history``, the file or database with the history of checks, as the parameter ``history``."""
    text = "File, or PostgreSQL URL without a password, with the history of checks; also RECONCILE_HISTORY."
    return _add(command, click.option("--history", metavar="FILE|URL", help=text))


def diagnosis_options(command: C) -> C:
    """Add ``history``, ``journal`` and ``output_format`` (text or json) to a command that finds out what is wrong."""
    return _add(command, history_option, journal_option, format_option("text", "json"))


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


def _add(command: C, *decorators: Callable[[C], C]) -> C:
    """Apply decorators so that ``--help`` lists their options in the order given."""
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


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
