"""Fit lines into the width of a terminal.

Reports are made of whole lines, in which three spaces or more separate columns. A pipe or a file gets them as they are. On a
terminal, what doesn't fit goes to the next line, further to the right, and nothing is cut.
"""

from __future__ import annotations

import re

HANGING = 4
"""Columns by which a continuation is further to the right than its line, unless it continues the text after a label."""
GAP = 3
"""Spaces between columns."""
ROW = 5
"""Columns from which a line is a row of a table, whose columns stay below their titles."""
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
    start = _find_text_after_label(line, width)
    if not start:
        return _break(line, width, HANGING)
    text = _break(line[start:], width - cell_len(line[:start]), 0)
    return [line[:start] + text[0], *(" " * start + rest for rest in text[1:])]


def _break(line: str, width: int, hanging: int) -> list[str]:
    """Break a line between its columns, and these between words; continuations are further to the right by ``hanging``."""
    from rich.cells import cell_len

    if cell_len(line) <= width:
        return [line]
    indent = len(line) - len(line.lstrip(" "))
    first, *others = re.split(r" {3,}", line.strip(" "))
    if len(others) >= ROW - 1:
        before = line.rstrip(" ").removesuffix(others[-1]).rstrip(" ")
        if cell_len(before) <= width:
            return [before, *_wrap(" " * (indent + hanging) + others[-1], width, hanging)]
    current = " " * indent + first
    lines: list[str] = []
    for number, column in enumerate(others):
        room = width - cell_len(current) - cell_len(column)
        if room >= GAP:
            at_the_edge = number == len(others) - 1 and not lines
            current += " " * (room if at_the_edge else GAP) + column
        else:
            lines += _wrap(current, width, hanging)
            current = " " * (indent + hanging) + column
    return lines + _wrap(current, width, hanging)


def _find_text_after_label(line: str, width: int) -> int:
    """Return where the text after a short label begins, which continues below its own beginning; 0 if there is none."""
    from rich.cells import cell_len

    found = re.match(r" *\S.*?(?: {3,}|(?<=\S) {2}(?=\S))", line)
    if found is None or cell_len(found[0]) > width // 3:
        return 0
    longest = max(map(cell_len, line[found.end() :].split()), default=0)
    return found.end() if cell_len(found[0]) + longest <= width else 0


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
