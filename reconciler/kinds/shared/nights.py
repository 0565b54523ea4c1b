"""The nights that a table is about: a rolling window such as ``last 30``, or a range of days of observation.

A night is the number of its day of observation, such as 20250415: the date at noon UTC, when it begins (Rubin's ``day_obs``,
https://sitcomtn-032.lsst.io).
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import Field

NIGHTS = Field(
    description=(
        "Nights to keep: `last 30` for the running night and the 29 before it, `20250415..20250514` for a range, `20250415..` "
        "for all from a night on, or `20250415` for one. Others are left alone."
    ),
    examples=["last 30"],
)
"""The key ``nights`` of a table; its default is set by the table."""
_WINDOW = re.compile(r"last +([1-9]\d{0,4})")
_RANGE = re.compile(r"(\d{8})(?:(\.\.)(\d{8})?)?")
_ALWAYS = 99991231


@dataclass(frozen=True)
class Nights:
    """Consecutive nights.

    Parameters
    ----------
    first, last : `int`
        The first and the last of them, such as 20250415.
    """

    first: int
    last: int

    def __contains__(self, night: int) -> bool:
        return self.first <= night <= self.last

    def __iter__(self) -> Iterator[int]:
        day, last = _parse_day(str(self.first)), _parse_day(str(self.last))
        for offset in range((last - day).days + 1):
            yield _to_night(day + datetime.timedelta(days=offset))

    def __str__(self) -> str:
        return f"{self.first}..{self.last if self.is_bounded else ''}"

    @property
    def is_bounded(self) -> bool:
        """Whether there is a last night."""
        return self.last != _ALWAYS


def resolve_nights(text: str, tonight: int | None = None) -> Nights:
    """Return the nights that a text such as ``last 30`` names.

    Parameters
    ----------
    text : `str`
        Value of a key ``nights``.
    tonight : `int`, optional
        The running night; by default that of the clock.

    Raises
    ------
    ValueError
        If the text isn't understood; the message is what it should be.
    """
    if window := _WINDOW.fullmatch(text):
        day = _parse_day(str(tonight or find_running_night()))
        return Nights(_to_night(day - datetime.timedelta(days=int(window[1]) - 1)), _to_night(day))
    found = _RANGE.fullmatch(text)
    if found is None:
        raise ValueError(f'"{text}": write "last 30", "20250415..20250514", "20250415.." or "20250415"')
    first = _to_night(_parse_day(found[1]))
    if found[2] is None:
        return Nights(first, first)
    last = _ALWAYS if found[3] is None else _to_night(_parse_day(found[3]))
    if last < first:
        raise ValueError(f'"{text}": the last night is before the first')
    return Nights(first, last)


def find_running_night(now: datetime.datetime | None = None) -> int:
    """Return the night that runs at a time, by default now: the date twelve hours earlier in UTC."""
    moment = now or datetime.datetime.now(datetime.UTC)
    return _to_night((moment - datetime.timedelta(hours=12)).date())


def _parse_day(text: str) -> datetime.date:
    try:
        return datetime.datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        raise ValueError(f'"{text}" is no date') from None


def _to_night(day: datetime.date) -> int:
    return int(day.strftime("%Y%m%d"))
