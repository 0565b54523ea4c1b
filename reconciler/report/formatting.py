"""Sizes, durations and counts as text for operators, and the lines that reports are made of."""

from __future__ import annotations

from typing import NamedTuple


class Line(NamedTuple):
    """A line of terminal output; colour adds no information.

    Parameters
    ----------
    text : `str`
        The text, complete without colour.
    colour : `str` or `None`
        Name of a terminal colour that click knows.
    bold : `bool`
        Whether it is printed in bold.
    """

    text: str
    colour: str | None = None
    bold: bool = False


COLUMN = 72
"""Width of the column of addresses."""


def format_size(count: int) -> str:
    """Format a number of bytes in decimal units, as in ``300.0 MB``."""
    from rich.filesize import decimal  # not at the top, because --help imports this module

    return decimal(count)


def format_seconds(value: float) -> str:
    """Format a duration, as in ``1.9 s``, ``14 s``, ``3 min``, ``2.5 h`` or ``3 d``; no library of ours has this form."""
    for limit, divisor, form in ((9.95, 1, ".1f} s"), (60, 1, ".0f} s"), (3600, 60, ".0f} min"), (86400, 3600, ".1f} h")):
        if value < limit:
            return ("{:" + form).format(value / divisor)
    return f"{value / 86400:.0f} d"


def plural(count: int, word: str) -> str:
    """Format a count with its noun, as in ``1 dataset`` and ``12 datasets``."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
