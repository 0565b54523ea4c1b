"""Sizes and durations as text for operators, and the lines that reports are made of."""

from __future__ import annotations

import re
from typing import NamedTuple

from reconciler.counts import count_of as count_of  # reports import all their formats from here
from reconciler.counts import plural as plural


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


COLUMN = 70
"""Width of the column of addresses."""


def in_columns(address: object, *others: str) -> str:
    """Return an address and further columns as a line; three spaces separate columns that are long."""
    return "   ".join([f"{address!s:<{COLUMN}}", *others])


def without_name(text: str, name: str) -> str:
    """Return a text about a resource with its name replaced by ``…``, so that alike ones can be found."""
    return re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", text) if name else text


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


def format_clock(value: float) -> str:
    """Format a duration as on a clock, as in ``2:14`` or ``1:02:14``."""
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
