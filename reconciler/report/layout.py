"""Fit lines into the width of a terminal.

Reports are made of whole lines, in which three spaces or more separate columns. A pipe or a file gets them as they are. On a
terminal, what doesn't fit goes to the next line, further to the right, and nothing is cut.
"""

from __future__ import annotations

import re

HANGING = 4
"""Columns by which a continuation is further to the right than its line."""
GAP = 3
"""Spaces between columns."""
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
        last = number == len(others) - 1
        if room >= GAP:
            current += " " * (room if last and not lines else GAP) + column
        elif last and _is_label(current, column, width):  # its text continues below its own beginning
            at = cell_len(current) + GAP
            rest = _wrap(column, width - at, 0)
            lines.append(current + " " * GAP + rest[0])
            return lines + [" " * at + text for text in rest[1:]]
        else:
            lines += _wrap(current, width, HANGING)
            current = " " * (indent + HANGING) + column
    return lines + _wrap(current, width, HANGING)


def _is_label(label: str, text: str, width: int) -> bool:
    from rich.cells import cell_len

    longest = max(map(cell_len, text.split()))
    return cell_len(label) <= width // 3 and cell_len(label) + GAP + longest <= width


def _wrap(text: str, width: int, hanging: int) -> list[str]:
    """Break a line between words; textwrap doesn't know signs that take two columns."""
    from rich.cells import cell_len

    if cell_len(text) <= width:
        return [text]
    indent = len(text) - len(text.lstrip(" "))
    lines: list[str] = []
    current = " " * indent
    for word in text.split():
        longer = f"{current} {word}" if current.strip() else current + word
        if cell_len(longer) > width and current.strip():
            lines.append(current)
            longer = " " * (indent + hanging) + word
        current = longer
    return [*lines, current]
