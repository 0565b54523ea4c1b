"""What every command prints with, and the exit codes that scripts read."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import click

from reconciler.errors import ReconcileError, StateError, clean
from reconciler.report.formatting import Line

IN_SYNC, ERROR, DIFFERENCES, INTERRUPTED = 0, 1, 2, 130


def show(lines: Iterable[Line]) -> None:
    """Print lines, coloured where the output is a terminal.

    Parameters
    ----------
    lines : iterable of `Line`
        What to print.
    """
    colour = None if not os.environ.get("NO_COLOR") else False
    for line in lines:
        click.secho(line.text, fg=line.colour, bold=line.bold or None, color=colour)


def guarded(command: Callable[..., int]) -> Callable[..., None]:
    """Turn errors into one clear message and an exit code.

    Parameters
    ----------
    command : callable
        Returns its exit code.

    Returns
    -------
    command : callable
        For click.
    """

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            code = command(*args, **kwargs)
        except ReconcileError as error:
            if click.get_current_context().find_root().obj["debug"]:
                raise
            code = tell(error)
        except KeyboardInterrupt:
            click.echo("\ninterrupted", err=True)
            code = INTERRUPTED
        except BrokenPipeError:
            sys.stderr.close()
            code = ERROR
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if click.get_current_context().find_root().obj["debug"]:
                raise
            click.echo(f"error: {type(error).__name__}: {clean(error)}", err=True)
            click.echo("  This is a fault of the program; --debug shows where. Please report it.", err=True)
            code = ERROR
        sys.exit(code)

    return run


def tell(error: ReconcileError) -> int:
    """Show an error.

    Parameters
    ----------
    error : `reconciler.errors.ReconcileError`
        What went wrong.

    Returns
    -------
    code : `int`
        The exit code for it.
    """
    problems = str(error).splitlines() or [type(error).__name__]
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    for hint in error.hints:
        click.echo(f"  {hint}", err=True)
    if isinstance(error, StateError) and len(problems) > 1:
        click.echo(f"{len(problems)} errors; nothing was changed.", err=True)
    return ERROR
