"""Find incomplete nights by bisection, so the number of count queries grows with the nights that differ, not with all nights.

Differences of opposite sign cancel: nights that have one dataset too many and one too few between them seem complete, unless
bisection happens to separate them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from reconciler.systems.butler import queries

if TYPE_CHECKING:
    from reconciler.systems.context import Context

MOST_SOUGHT = 8
"""When so many nights differ, listing all costs less than searching for the others."""


def find_incomplete_nights(nights: Sequence[int], surplus: Callable[[int, int], int]) -> list[int]:
    """Find the nights whose number of datasets differs from the expected one.

    Parameters
    ----------
    nights : `Sequence` [`int`]
        Sorted days of observation.
    surplus : `Callable`
        Takes a day and the day after the last one; returns by how many the datasets of those days exceed the expected number. It
        is additive, so of two halves only the first is queried. It can't see differences of opposite sign, which cancel.

    Returns
    -------
    nights : `list` [`int`]
        The nights that differ; if they are many, also some that don't.
    """

    def search(some: Sequence[int], end: int, total: int) -> list[int]:
        if total == 0:
            return []
        if len(some) == 1:
            return list(some)
        left, right = some[: len(some) // 2], some[len(some) // 2 :]
        left_total = surplus(left[0], right[0])
        found = search(left, right[0], left_total)
        return found + (search(right, end, total - left_total) if len(found) < MOST_SOUGHT else list(right))

    if not nights:
        return []
    end = nights[-1] + 1
    return search(nights, end, surplus(nights[0], end))


def count_exposures(context: Context, instrument: str, begin: int, end: int) -> int:
    """Count the exposure records from one night to before another; unlike exposures with raws, they are read off an index."""
    return context.butler.count_records("exposure", queries.exposures_between_nights(begin, end), instrument=instrument)
