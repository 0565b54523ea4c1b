"""Fit lines into the width of a terminal.

Reports are made of whole lines, in which three spaces or more separate columns. A pipe or a file gets them as they are. On a
terminal, what doesn't fit goes to the next line, further to the right, and nothing is cut.
"""

from __future__ import annotations

import re

HANGING = 4
"""Columns by which a continuation is further to the right than its line."""
NARROWEST = 40
"""Width below which lines are left to the terminal: nothing readable fits."""


def fit(line: str, width: int) -> list[str]:
    """Return a line as the lines of a terminal.

    Parameters
    ----------
    line : `str`
        The line. A command to copy, which begins with ``$``, is left to the terminal, which copies it as one line.
    width : `int`
        Columns of the terminal.

    Returns
    -------
    lines : `list` [`str`]
        At least one. A word that is longer than the width, such as a URI, is on a line of its own.
    """
    from rich.cells import cell_len

    if cell_len(line) <= width or width < NARROWEST or line.lstrip().startswith("$ "):
        return [line]
    indent = len(line) - len(line.lstrip(" "))
    first, *others = re.split(r" {3,}", line.strip(" "))
    current = " " * indent + first
    lines: list[str] = []
    for number, column in enumerate(others):
        room = width - cell_len(current) - cell_len(column)
        if room >= 3:
            at_the_edge = number == len(others) - 1 and not lines
            current += " " * (room if at_the_edge else 3) + column
        else:
            lines += _wrap(current, width, indent)
            current = " " * (indent + HANGING) + column
    return lines + (_wrap(current, width, indent) if cell_len(current) > width else [current])


def _wrap(text: str, width: int, indent: int) -> list[str]:
    """Break a line between words; textwrap doesn't know signs that take two columns."""
    from rich.cells import cell_len

    lines: list[str] = []
    current = " " * indent
    for word in text.split():
        longer = f"{current} {word}" if current.strip() else current + word
        if cell_len(longer) > width and current.strip():
            lines.append(current)
            longer = " " * (indent + HANGING) + word
        current = longer
    return [*lines, current]
