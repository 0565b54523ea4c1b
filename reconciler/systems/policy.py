"""How thoroughly members are compared."""

from __future__ import annotations

from dataclasses import dataclass

LISTED = 1_000
"""Up to this many members are always listed, with their records in the datastore, which costs no more than counting them."""


@dataclass(frozen=True)
class ComparisonPolicy:
    """When members are listed, when a proof of an earlier listing is enough, and when only their counts are compared.

    Parameters
    ----------
    deep : `bool`
        Whether proofs are ignored, and the records of the datastore are compared for any number of members.
    quick : `bool`
        Whether only the counts of many members are compared where they agree.
    """

    deep: bool = False
    quick: bool = False

    def is_large(self, count: int) -> bool:
        """Return True if so many members are worth saving a list of them."""
        return count > LISTED

    def compares_by_count(self, desired: int) -> bool:
        """Return True if the count of this many desired members is enough where it agrees."""
        return self.quick and self.is_large(desired)

    def reads_proofs(self, desired: int) -> bool:
        """Return True if a proof replaces a list of this many desired members."""
        return not self.deep and not self.quick and self.is_large(desired)

    def writes_proofs(self, desired: int) -> bool:
        """Return True if it is worth recording that this many desired members were listed and agreed."""
        return not self.quick and self.is_large(desired)

    def compares_records(self, desired: int) -> bool:
        """Return True if the datastore's records of this many desired members are compared, too."""
        return self.deep or not self.is_large(desired)
