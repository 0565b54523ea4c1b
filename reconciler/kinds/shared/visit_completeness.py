"""Which exposures lack a visit, by visit system: pure, from what was read before.

obs_base defines visits by up to three systems. Each exposure is a visit of its own (one-to-one). The exposures of a sequence,
called snaps, are one visit (by-seq-start-end), which needs the first of them, and so are those of a group (by-group-metadata).
The visit of a sequence of one exposure belongs to the first two systems.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.systems.butler.observations import Exposure

ONE_TO_ONE, BY_GROUP, BY_SEQUENCE = 0, 1, 2
SYSTEMS = {"one-to-one": ONE_TO_ONE, "by-group-metadata": BY_GROUP, "by-seq-start-end": BY_SEQUENCE}
"""Numbers of the visit systems, as obs_base's VisitSystem has them."""
NAMES = {number: name for name, number in SYSTEMS.items()}


@dataclass(frozen=True)
class Lack:
    """What an exposure lacks.

    Parameters
    ----------
    systems : `frozenset` [`int`]
        Visit systems in which it has no visit; empty if it has no visit at all and no system is known.
    group : `tuple` [`int`, ...]
        The exposures that lack a visit together with it, itself included: one define-visits must be given all of them.
    joins : `bool`
        Whether other exposures of its sequence or group have a visit already, to which it has to be added.
    """

    systems: frozenset[int]
    group: tuple[int, ...]
    joins: bool


def are_complete(
    exposures: Iterable[int],
    definitions: Iterable[tuple[int, int]],
    memberships: Iterable[tuple[int, int]],
    systems: Collection[int],
) -> bool:
    """Return True if exposures have a visit in every system, so that none is incomplete; see `find_incomplete`."""
    found = _find_systems(definitions, memberships, systems)
    return all(number in found and found[number] >= set(systems) for number in exposures)


def _find_systems(
    definitions: Iterable[tuple[int, int]], memberships: Iterable[tuple[int, int]], systems: Collection[int]
) -> dict[int, set[int]]:
    """Return the systems in which each exposure has a visit."""
    systems_of: dict[int, set[int]] = defaultdict(set)
    for visit, system in memberships:
        systems_of[visit].add(system)
    found: dict[int, set[int]] = {}
    for visit, number in definitions:
        found.setdefault(number, set()).update(systems_of.get(visit) or systems)
    return found


def find_incomplete(
    exposures: Iterable[Exposure],
    definitions: Iterable[tuple[int, int]],
    memberships: Iterable[tuple[int, int]],
    systems: Collection[int],
    *,
    strict: bool = False,
) -> dict[int, Lack]:
    """Return what exposures lack, by exposure.

    Parameters
    ----------
    exposures : iterable of `Exposure`
        The exposures on the sky of one instrument.
    definitions : iterable of `tuple` [`int`, `int`]
        Visit and exposure of each record of visit_definition.
    memberships : iterable of `tuple` [`int`, `int`]
        Visit and visit system of each record of visit_system_membership. A visit without any counts for every system.
    systems : collection of `int`
        Visit systems in which each exposure has to have a visit.
    strict : `bool`
        Whether a visit of a sequence of one exposure has to be recorded for each of these systems; otherwise it may have been
        defined when the instrument had only some of them.
    """
    found = _find_systems(definitions, memberships, systems)
    known = {exposure.id: exposure for exposure in exposures}
    groups = _Groups.build(known)
    lacking = {}
    for number, exposure in known.items():
        needed = groups.select_needed(exposure, systems)
        if not strict and number in found and not groups.has_snaps(exposure):
            needed -= {ONE_TO_ONE, BY_SEQUENCE}
        missing = needed - found.get(number, set())
        if number not in found or missing:
            lacking[number] = missing
    return {number: groups.describe(known[number], missing, lacking, found) for number, missing in lacking.items()}


@dataclass(frozen=True)
class _Groups:
    """The exposures of each sequence and each group."""

    members: Mapping[Hashable, list[int]]
    complete: frozenset[Hashable]
    """Sequences whose first exposure is there."""

    @classmethod
    def build(cls, exposures: Mapping[int, Exposure]) -> _Groups:
        members: dict[Hashable, list[int]] = defaultdict(list)
        complete = set()
        for number, exposure in sorted(exposures.items()):
            for key in (_find_sequence(exposure), exposure.group):
                if key is not None:
                    members[key].append(number)
            if exposure.seq_start == exposure.seq_num:
                complete.add(_find_sequence(exposure))
        return cls(members, frozenset(complete))

    def has_snaps(self, exposure: Exposure) -> bool:
        return _find_sequence(exposure) is not None

    def select_needed(self, exposure: Exposure, systems: Collection[int]) -> set[int]:
        """Return the systems in which define-visits gives an exposure a visit."""
        needed = set(systems)
        if self.has_snaps(exposure) and _find_sequence(exposure) not in self.complete:
            needed.discard(BY_SEQUENCE)
        return needed

    def describe(
        self, exposure: Exposure, missing: set[int], lacking: Mapping[int, set[int]], found: Mapping[int, set[int]]
    ) -> Lack:
        mates: set[int] = set()
        joins = False
        for system, key in ((BY_SEQUENCE, _find_sequence(exposure)), (BY_GROUP, exposure.group)):
            if system in missing and key is not None:
                mates |= {other for other in self.members[key] if other in lacking}
                joins |= any(system in found.get(other, ()) for other in self.members[key])
        return Lack(frozenset(missing), tuple(sorted(mates | {exposure.id})), joins)


def _find_sequence(exposure: Exposure) -> Hashable | None:
    """Return what identifies the sequence of an exposure; None if that has one exposure only."""
    start, end = exposure.seq_start, exposure.seq_end
    return None if start is None or start == end else (exposure.day_obs, start, end)
