"""The file of ``--summary``: a summary in Markdown is appended to it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from reconciler.errors import ReconcileError


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
        except OSError as error:
            raise click.BadParameter(f"{path} can't be used: {error.strerror}", ctx, param) from error
        if not allowed:
            raise click.BadParameter(f"no permission to write {path}", ctx, param)
        return path


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
