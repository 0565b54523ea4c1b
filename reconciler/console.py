"""What every command prints with, and the exit codes that scripts read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

import click

IN_SYNC, ERROR, DIFFERENCES, INTERRUPTED = 0, 1, 2, 130


class Line(NamedTuple):
    """A line of output.

    Parameters
    ----------
    text : `str`
        All it says.
    colour : `str` or `None`
        What repeats it.
    bold : `bool`
        Whether it stands out.
    """

    text: str
    colour: str | None = None
    bold: bool = False


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
