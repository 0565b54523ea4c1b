"""Nights that are not complete, found by halving: in proportion to how many they are, not to how many nights there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

MOST_SOUGHT = 8
"""When so many nights differ, listing all costs less than looking for the others."""


def incomplete(nights: Sequence[int], complete: Callable[[Sequence[int]], bool]) -> list[int]:
    """Find the nights that differ.

    Parameters
    ----------
    nights : sequence of `int`
        Sorted days of observation.
    complete : callable
        Tells of a run of them whether it is complete.

    Returns
    -------
    nights : `list` [`int`]
        Those that are not, and where they are many, some more.
    """

    def differing(some: Sequence[int]) -> list[int]:
        if complete(some):
            return []
        if len(some) == 1:
            return list(some)
        found = differing(some[: len(some) // 2])
        return found + (differing(some[len(some) // 2 :]) if len(found) < MOST_SOUGHT else list(some[len(some) // 2 :]))

    return differing(nights) if nights else []


def between(instrument: str, nights: Sequence[int], where: str = "") -> str:
    """Write the query expression of a run of nights.

    Parameters
    ----------
    instrument : `str`
        Whose nights.
    nights : sequence of `int`
        The first and the last count.
    where : `str`
        What is to hold besides.

    Returns
    -------
    where : `str`
        A Butler query expression.
    """
    days = f"exposure.day_obs >= {nights[0]} AND exposure.day_obs <= {nights[-1]}"
    return f"instrument = '{instrument}' AND {days}" + (f" AND ({where})" if where else "")


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
