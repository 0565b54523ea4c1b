"""Nights that are not complete, found by halving: in proportion to how many they are, not to how many nights there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.systems.context import Live

MOST_SOUGHT = 8
"""When so many nights differ, listing all costs less than looking for the others."""


def incomplete(nights: Sequence[int], surplus: Callable[[int, int], int]) -> list[int]:
    """Find the nights that differ.

    Parameters
    ----------
    nights : sequence of `int`
        Sorted days of observation.
    surplus : callable
        Tells of the days from one to before another how many more there are than there should be; it adds up, so that of two
        halves only the first is asked about.

    Returns
    -------
    nights : `list` [`int`]
        Those that do, and where they are many, some more.
    """

    def differing(some: Sequence[int], end: int, more: int) -> list[int]:
        if more == 0:
            return []
        if len(some) == 1:
            return list(some)
        left, right = some[: len(some) // 2], some[len(some) // 2 :]
        of_left = surplus(left[0], right[0])
        found = differing(left, right[0], of_left)
        return found + (differing(right, end, more - of_left) if len(found) < MOST_SOUGHT else list(right))

    if not nights:
        return []
    end = nights[-1] + 1
    return differing(nights, end, surplus(nights[0], end))


def exposures(live: Live, instrument: str, begin: int, end: int) -> int:
    """Count the exposures that are recorded of some days; unlike those that have raws, they are read off an index.

    Parameters
    ----------
    live : `reconciler.systems.context.Live`
        With the repository.
    instrument : `str`
        Whose.
    begin, end : `int`
        Days of observation: the first, and the one after the last.

    Returns
    -------
    count : `int`
        From the registry.
    """
    return live.butler.count_records("exposure", f"day_obs >= {begin} AND day_obs < {end}", instrument=instrument)


def between(instrument: str, begin: int, end: int) -> str:
    """Write the query expression of some days.

    Parameters
    ----------
    instrument, begin, end
        As for `exposures`.

    Returns
    -------
    where : `str`
        A Butler query expression.
    """
    return f"instrument = '{instrument}' AND exposure.day_obs >= {begin} AND exposure.day_obs < {end}"


def among(instrument: str, nights: Sequence[int], where: str = "") -> str:
    """Write the query expression of some nights.

    Parameters
    ----------
    instrument : `str`
        Whose nights.
    nights : sequence of `int`
        Days of observation.
    where : `str`
        What is to hold besides.

    Returns
    -------
    where : `str`
        A Butler query expression.
    """
    days = ", ".join(map(str, nights))
    return f"instrument = '{instrument}' AND exposure.day_obs IN ({days})" + (f" AND ({where})" if where else "")
