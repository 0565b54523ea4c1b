"""How thoroughly members are compared."""

from __future__ import annotations

from dataclasses import dataclass

LISTED = 1_000
"""Up to this many members are always listed, which costs no more than counting them."""


@dataclass(frozen=True)
class ComparisonPolicy:
    """When members are compared by count and when they are listed.

    Parameters
    ----------
    deep : `bool`
        Whether members are always listed, also where counts agree.
    """

    deep: bool = False

    def compares_by_count(self, desired: int) -> bool:
        """Return True if counts of this many desired members are compared first, and members only where counts differ."""
        return desired > LISTED and not self.deep
