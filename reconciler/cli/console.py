"""Printing, error messages and exit codes shared by all commands."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from reconciler.errors import LockHeld, ReconcileError, StateError, clean
from reconciler.printable import escape
from reconciler.redaction import redact
from reconciler.report.formatting import Line
from reconciler.report.layout import fit
from reconciler.startup import make_printable

if TYPE_CHECKING:
    from pydantic import BaseModel

REPORTED = "reconciler.error_printed_as_json"
FULL = (errno.ENOSPC, errno.EDQUOT)
"""What a write to a full disk, or one beyond a quota, fails with."""
IN_SYNC, ERROR, DIFFERENCES, USAGE, LOCKED, INTERRUPTED = 0, 1, 2, 64, 75, 130


class _Live:
    """What is being drawn on the terminal while this process works, if anything is; see `reconciler.cli.live`."""

    screen: Any = None
    stop: Callable[[], None] = staticmethod(lambda: None)


def echo(text: str = "", *, err: bool = False) -> None:
    """Print one line, without credentials and without characters that a terminal would obey."""
    _print(escape(redact(text)), err=err)


def echo_document(text: str) -> None:
    """Print a document of several lines."""
    for line in text.split("\n"):
        echo(line)


def echo_json(text: str) -> None:
    """Print a document or a line of `reconciler.report.json_text`, whose strings are safe to print.

    Its lines are not redacted once more: a key and its value, or two strings of a line, may together resemble a credential, and
    the mask would break the JSON.
    """
    for line in text.split("\n"):
        _print(line)


def show(lines: Iterable[Line], *, err: bool = False) -> None:
    """Print lines, in colour if the output has any (see `choose_colour`), and fitted to the width of a terminal."""
    width = screen_width(err=err)
    for line in lines:
        text = escape(redact(line.text))
        for part in fit(text, width) if width else [text]:
            _print(part, line.colour, bold=line.bold, err=err)


def screen_width(*, err: bool = False) -> int:
    """Return the columns of the terminal that the output goes to; 0 if it goes somewhere else."""
    stream = sys.stderr if err else sys.stdout
    return shutil.get_terminal_size().columns if stream.isatty() else 0


def is_plain() -> bool:
    """Return True if colours were refused; only the thread that runs the command knows."""
    context = click.get_current_context(silent=True)
    return context is not None and context.color is False


def make_screen(*, plain: bool) -> Any:
    """Return a console for what changes on the terminal."""
    from rich.console import Console

    return Console(highlight=False, markup=False, color_system=None if plain else "auto")


def print_through(screen: Any, stop: Callable[[], None] = lambda: None) -> None:
    """Print through a console from now on, which keeps lines apart from what it draws; `None` ends that.

    ``stop`` ends the drawing; `restore_terminal` calls it if the process has to end.
    """
    _Live.screen, _Live.stop = screen, staticmethod(stop)


def restore_terminal() -> None:
    """End what is being drawn, because the process is about to end."""
    if _Live.screen is not None:
        _Live.stop()


def _print(text: str, colour: str | None = None, *, bold: bool = False, err: bool = False) -> None:
    if _Live.screen is not None and (not err or sys.stderr.isatty()):
        from rich.text import Text

        style = " ".join(word for word in ("bold" if bold else "", colour or "") if word)
        _Live.screen.print(Text(text, style), soft_wrap=True)
    else:
        click.secho(text, fg=colour, bold=bold or None, err=err)


def choose_colour(option: str = "auto") -> bool | None:
    """Return whether the output is in colour: True, False, or `None` for only on a terminal.

    The option ``--color`` comes before ``NO_COLOR`` (https://no-color.org), that before ``FORCE_COLOR``, and that before
    ``TERM=dumb``, a terminal that knows no colours.
    """
    if option != "auto":
        return option == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return False if os.environ.get("TERM") == "dumb" else None


def print_json(document: BaseModel) -> None:
    """Print a document as indented JSON."""
    from reconciler.report.json_text import format_json

    echo_json(format_json(document.model_dump(mode="json")))


def report_once(code: int) -> None:
    """Remember that the error that is about to end the command has been printed as JSON, and the exit code of the command."""
    click.get_current_context().meta[REPORTED] = code


def print_traceback() -> None:
    """Print the traceback of the exception that is being handled, as `echo` prints a line."""
    click.echo(make_printable(traceback.format_exc()), err=True)


def handle_errors(command: Callable[..., int]) -> Callable[..., None]:
    """Wrap a command: exit with the code that it returns; an error is printed and exits with 1, or 75 if a lock is held.

    A command that did something before the error gives the code of both to `report_once`.
    """

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            code = command(*args, **kwargs)
        except ReconcileError as error:
            if _debugging():
                print_traceback()
            code = click.get_current_context().meta.get(REPORTED, exit_code(error))
            print_error(error)
            _print_json_error(error, code)
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
            code = _print_fault(error)
        sys.exit(code)

    return run


def _print_fault(error: Exception) -> int:
    """Print an error that no part of the program expected, and return its exit code: the machine's fault, or the program's."""
    if isinstance(error, OSError) and error.errno in FULL:
        return print_error(ReconcileError(f"{error.filename or 'the output'} can't be written: {error.strerror}"))
    if isinstance(error, PermissionError) and error.filename:
        denied = ReconcileError(f"{error.filename}: {error.strerror}", ("ask its owner for access, or choose another file",))
        code = print_error(denied)
        _print_json_error(denied, code)
        return code
    echo(f"error: {type(error).__name__}: {clean(error)}", err=True)
    echo("  This is a bug in reconcile. Please report it with the output of reconcile --debug.", err=True)
    return ERROR


def _debugging() -> bool:
    return bool(click.get_current_context().obj["debug"])  # of our group, which may itself be a subcommand of butler


def print_error(error: ReconcileError) -> int:
    """Print an error with its hints, and return its exit code."""
    problems = [problem or type(error).__name__ for problem in error.problems]
    show([Line(f"error: {problem}") for problem in problems], err=True)
    show([Line(f"  {hint}") for hint in error.hints], err=True)
    if isinstance(error, StateError) and len(problems) > 1:
        echo(f"{len(problems)} errors; nothing was changed.", err=True)
    return exit_code(error)


def _print_json_error(error: ReconcileError, code: int) -> None:
    """Print an error for the program that reads the output of this command, if one does."""
    context = click.get_current_context()
    output_format = context.params.get("output_format")
    if output_format not in ("json", "jsonl") or REPORTED in context.meta:
        return
    if output_format == "json":
        from reconciler.report.json import make_error_document

        print_json(make_error_document(error, code))
    else:
        from reconciler.report.events import error_event, format_event

        echo_json(format_event(error_event(error, code)))


def exit_code(error: ReconcileError) -> int:
    """Return the exit code of an error."""
    return LOCKED if isinstance(error, LockHeld) else ERROR


def worst_code(codes: Iterable[int]) -> int:
    """Return the exit code of a command that handled several state files: an error outranks differences."""
    codes = set(codes)
    return ERROR if ERROR in codes else max(codes, default=IN_SYNC)
