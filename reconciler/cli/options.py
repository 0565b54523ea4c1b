"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from reconciler.cli.arguments import SITE
from reconciler.cli.completers import complete_globs
from reconciler.cli.parameter_types import OutputFormat
from reconciler.cli.summary_file import SummaryFile

C = TypeVar("C", bound=Callable[..., Any])


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


def summary_option(command: C) -> C:
    """Add ``--summary``, a file to which a summary in Markdown is appended, as the parameter ``summary``."""
    text = "Append a summary in Markdown to this file, such as $GITHUB_STEP_SUMMARY, or one to mail."
    return _add(command, click.option("--summary", type=SummaryFile(), metavar="FILE", help=text))


def history_option(command: C) -> C:
    """Add ``--history``, the file or database with the history of checks, as the parameter ``history``."""
    text = "File, or PostgreSQL URL without a password, with the history of checks; also RECONCILE_HISTORY."
    return _add(command, click.option("--history", metavar="FILE|URL", help=text))


def diagnosis_options(command: C) -> C:
    """Add ``history``, ``journal`` and ``output_format`` (text or json) to a command that finds out what is wrong."""
    return _add(command, history_option, journal_option, format_option("text", "json"))


def _add(command: C, *decorators: Callable[[C], C]) -> C:
    """Apply decorators so that ``--help`` lists their options in the order given."""
    for decorator in reversed(decorators):
        command = decorator(command)
    return command
