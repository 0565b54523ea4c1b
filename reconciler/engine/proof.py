"""A proof that members were listed and agreed, so that later two counts and a short list show the same as listing all of them.

A dataset gets its date when it is registered, by the clock of whoever registers it, and keeps it. So if the number of members
that are older than a boundary is what it was, these are the same members: a swap would need one that was registered in the past.
Only members after the boundary are listed again. The boundary is a day before the listing, for slow clocks and for transactions
that were open then.

If the inputs have grown since, the earlier proof still shows that the older members are the same, and only those that came after
it are compared with what came to the inputs.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.version import __version__

MARGIN = datetime.timedelta(days=1)
"""How far the boundary is before the listing."""
COMPARISON = 2
"""Increased when kinds compare members in another way, which makes all earlier proofs void."""
VERSION = f"{__version__}/{COMPARISON}"


@dataclass(frozen=True)
class Claim:
    """What is proven, and of what it depends; a proof holds only for an equal claim.

    Parameters
    ----------
    address : `str`
        The resource, or the resources that share their members.
    spec : `str`
        Digest of its table.
    inputs : `Mapping` [`str`, `str`]
        Digest of each input: files that the table names, lists of files, datasets of Rucio.
    identity : `str`
        The repository (its registry and namespace) or Rucio server, without credentials.
    version : `str`
        Version of the code that compares.
    """

    address: str
    spec: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    identity: str = ""
    version: str = VERSION


@dataclass(frozen=True)
class Proof:
    """That all desired members were present, and no others.

    Parameters
    ----------
    claim : `Claim`
        What was proven.
    boundary : `datetime.datetime`
        UTC; members registered up to then are known by their number.
    older : `int`
        Number of members registered up to the boundary.
    newer : `frozenset` [`str`]
        The members registered after it.
    listed : `datetime.datetime` or `None`
        UTC; each member was listed at this time or later. `None` if that is unknown, as of proofs that earlier versions recorded.
    """

    claim: Claim
    boundary: datetime.datetime
    older: int
    newer: frozenset[str]
    listed: datetime.datetime | None = None

    def holds(self, total: int, newer: Collection[str]) -> bool:
        """Return True if the members are those of the proof, given the number of all and those registered after the boundary."""
        return self.find_added(total, newer) == frozenset()

    def find_added(self, total: int, newer: Collection[str]) -> frozenset[str] | None:
        """Return the members that came after the boundary since the proof, or None if others came or any is gone.

        The arguments are those of `holds`.
        """
        if total - len(newer) != self.older or not self.newer.issubset(newer):
            return None
        return frozenset(newer) - self.newer


def find_boundary(listed_at: datetime.datetime) -> datetime.datetime:
    """Return the boundary for members that are listed at a time: `MARGIN` before it, in whole seconds."""
    return (listed_at - MARGIN).replace(microsecond=0)


def find_earliest_listing(listings: Iterable[datetime.datetime | None]) -> datetime.datetime | None:
    """Return the earliest of some times at which members were listed; `None` if one of them is unknown, or there are none."""
    times = list(listings)
    known = [time for time in times if time is not None]
    return min(known, default=None) if len(known) == len(times) else None


def digest_members(ids: Iterable[str]) -> str:
    """Return a digest of a set of members, whatever their order."""
    return hashlib.sha256(json.dumps(sorted(ids)).encode()).hexdigest()
