"""Printing, error messages and exit codes shared by all commands."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from reconciler.errors import LockHeld, ReconcileError, StateError, clean
from reconciler.printable import escape
from reconciler.redaction import redact
from reconciler.startup import make_printable

if TYPE_CHECKING:
    from reconciler.report.formatting import Line

IN_SYNC, ERROR, DIFFERENCES, USAGE, LOCKED, INTERRUPTED = 0, 1, 2, 64, 75, 130


def echo(text: str = "", *, err: bool = False) -> None:
    """Print one line, without credentials and without characters that a terminal would obey; every output goes through here."""
    click.echo(escape(redact(text)), err=err)


def echo_document(text: str) -> None:
    """Print a document of several lines, such as JSON."""
    for line in text.split("\n"):
        echo(line)


def show(lines: Iterable[Line]) -> None:
    """Print lines, in colour on a terminal unless ``NO_COLOR`` is set."""
    colour = None if not os.environ.get("NO_COLOR") else False
    for line in lines:
        text = escape(redact(line.text))
        click.secho(text, fg=line.colour, bold=line.bold or None, color=colour)


def print_traceback() -> None:
    """Print the traceback of the exception that is being handled, as `echo` prints a line."""
    click.echo(make_printable(traceback.format_exc()), err=True)


def handle_errors(command: Callable[..., int]) -> Callable[..., None]:
    """Wrap a command: exit with the code that it returns; an error is printed and exits with 1, or 75 if a lock is held."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            code = command(*args, **kwargs)
        except ReconcileError as error:
            if _debugging():
                print_traceback()
            code = print_error(error)
        except KeyboardInterrupt:
            echo(err=True)
            echo("interrupted", err=True)
            code = INTERRUPTED
        except BrokenPipeError:
            sys.stderr.close()
            code = ERROR
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if _debugging():
                print_traceback()
            echo(f"error: {type(error).__name__}: {clean(error)}", err=True)
            echo("  This is a bug in reconcile. Please report it with the output of reconcile --debug.", err=True)
            code = ERROR
        sys.exit(code)

    return run


def _debugging() -> bool:
    return bool(click.get_current_context().obj["debug"])  # of our group, which may itself be a subcommand of butler


def print_error(error: ReconcileError) -> int:
    """Print an error with its hints, and return its exit code."""
    problems = [problem or type(error).__name__ for problem in error.problems]
    for problem in problems:
        echo(f"error: {problem}", err=True)
    for hint in error.hints:
        echo(f"  {hint}", err=True)
    if isinstance(error, StateError) and len(problems) > 1:
        echo(f"{len(problems)} errors; nothing was changed.", err=True)
    return LOCKED if isinstance(error, LockHeld) else ERROR


def worst_code(codes: Iterable[int]) -> int:
    """Return the exit code of a command that handled several state files: an error outranks differences."""
    codes = set(codes)
    return ERROR if ERROR in codes else max(codes, default=IN_SYNC)
