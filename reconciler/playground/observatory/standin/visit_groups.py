"""Which exposures make a visit: one each, or the snaps of a sequence.

Visit systems have the numbers of obs_base: 0 for one visit of each exposure, 2 for exposures from ``seq_start`` to ``seq_end``.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_LOG = logging.getLogger("lsst.obs.base.defineVisits")
ONE_TO_ONE, BY_SEQ_START_END = 0, 2
SYSTEMS = {ONE_TO_ONE: "one-to-one", BY_SEQ_START_END: "by-seq-start-end"}


@dataclass(frozen=True)
class Visit:
    """A visit to define: its number, its name, its exposures, and the visit systems that it belongs to."""

    id: int
    name: str
    exposures: tuple[Any, ...]
    systems: tuple[int, ...]


def group_one_to_one(exposures: Iterable[Any]) -> Iterator[Visit]:
    """Make a visit of each exposure."""
    for exposure in exposures:
        yield Visit(exposure.id, exposure.obs_id, (exposure,), (ONE_TO_ONE,))


def group_by_counter(exposures: Iterable[Any]) -> Iterator[Visit]:
    """Make a visit of each exposure, and one of each sequence of exposures.

    A sequence of one exposure is one visit of both systems. The visit of a longer sequence takes the number and name of the first
    exposure, whose own visit is renamed; it isn't made before the first exposure is there.
    """
    for members in _sequences(exposures).values():
        first = members[0]
        several = first.seq_start != first.seq_end
        begins = first.seq_num == first.seq_start
        if several and not begins and first.seq_num:
            _LOG.warning("No visit of several exposures: the first one of %s isn't given", first.obs_id)
        for exposure in members:
            if not several:
                yield Visit(exposure.id, exposure.obs_id, (exposure,), (ONE_TO_ONE, BY_SEQ_START_END))
            elif begins and exposure is first:
                yield Visit(int(f"9{exposure.id}"), f"{exposure.obs_id}_first", (exposure,), (ONE_TO_ONE,))
            else:
                yield Visit(exposure.id, exposure.obs_id, (exposure,), (ONE_TO_ONE,))
        if several and begins:
            yield Visit(first.id, first.obs_id, tuple(members), (BY_SEQ_START_END,))


def _sequences(exposures: Iterable[Any]) -> dict[Any, list[Any]]:
    found = defaultdict(list)
    for exposure in sorted(exposures, key=lambda exposure: (exposure.day_obs, exposure.seq_num)):
        found[exposure.day_obs, exposure.seq_start, exposure.seq_end].append(exposure)
    return found


def find_other_snaps(exposures: Sequence[Any], registry: Any) -> list[Any]:
    """Return what ``--incremental`` adds: exposures of the same sequence numbers, also those of other nights, as in obs_base."""
    found = []
    for members in _sequences(exposures).values():
        first = members[0]
        lacking = set(range(first.seq_start, first.seq_end + 1)) - {exposure.seq_num for exposure in members}
        if lacking:
            found += registry.queryDimensionRecords(
                "exposure",
                where="exposure.seq_start = first AND exposure.seq_end = last AND exposure.seq_num IN (lacking)",
                bind={"first": first.seq_start, "last": first.seq_end, "lacking": lacking},
                instrument=first.instrument,
            )
    return found


GROUPINGS: dict[str, tuple[Callable[[Iterable[Any]], Iterator[Visit]], tuple[int, ...]]] = {
    "one-to-one": (group_one_to_one, (ONE_TO_ONE,)),
    "one-to-one-and-by-counter": (group_by_counter, (ONE_TO_ONE, BY_SEQ_START_END)),
}
"""Ways to group exposures, each with the visit systems that it uses."""
