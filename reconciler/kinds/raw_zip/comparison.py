"""Compare zips with the repository, night by night: by a proof, or by the UUIDs in their indexes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.engine.model import Address, Comparison, Condition, Members
from reconciler.engine.proof import Proof, find_earliest_listing
from reconciler.kinds.raw_zip.arrivals import find_arrivals
from reconciler.kinds.raw_zip.contents import read_contents
from reconciler.kinds.raw_zip.findings import (
    check_guiders,
    check_places,
    describe_damaged,
    describe_states,
    describe_unusable,
    find_state,
)
from reconciler.kinds.raw_zip.ingested import IngestedNights
from reconciler.kinds.raw_zip.listing import ZipDatasets, find_night
from reconciler.kinds.raw_zip.spec import RawZipSpec
from reconciler.kinds.shared.nights import Nights, resolve_nights
from reconciler.kinds.shared.proven_datasets import Growth, ProvenDatasets, digest_spec

if TYPE_CHECKING:
    from reconciler.systems.context import Context

RAW, GUIDER = "raw", "guider_raw"
MOST_READ = 2_000
"""Zips that aren't ingested whose indexes are read to name what is wrong with them; of more, apply names it."""
DatasetsOfType = tuple[str, str]
"""Datasets of a type in a RUN collection."""
WINDOW = "nights"
"""Input of a proof: the nights that the table is about."""


def compare_with_zips(
    context: Context, name: str, spec: RawZipSpec, nights: Nights, datasets: ZipDatasets
) -> tuple[Members, tuple[Condition, ...]]:
    """Compare what is ingested of some nights with the zips that Rucio has of them."""
    if context.policy.compares_by_count(context.butler.count(RAW, [name])):
        exposures = IngestedNights.select(context, spec.instrument, nights).count_exposures(RAW, name)
        listing = datasets.list_zips(nights)
        if exposures == len(listing.zips):
            return Members.counted("exposures", exposures), listing.conditions
    proofs = _Proofs.prepare(context, name, spec, nights, datasets)
    if found := proofs.find_all():
        return Members.proven("raws", proofs.count, find_earliest_listing(proof.listed for proof in found)), ()
    compare = functools.partial(_compare_nights, context, name, spec, datasets)
    growths = proofs.find_growths()
    result = compare(proofs.find_changed_nights(growths)) if growths else None
    if result is None or result.misplaced or not result.listed.issuperset(_list_added(growths)):
        growths = ()
        result = compare(nights)
    if result.members.agree and not result.conditions and result.types <= proofs.types:
        proofs.record(growths)
    proven = len(datasets.list_zips(nights).zips) - result.members.desired  # the zips of nights that have not changed
    members = dataclasses.replace(
        result.members, desired=result.members.desired + proven, present=result.members.present + proven
    )
    if proven and growths:
        listed = find_earliest_listing(growth.listed for growth in growths)
        members = dataclasses.replace(members, compared=Comparison.PROOF, listed=listed)
    return members, result.conditions


def is_proven(context: Context, name: str, spec: RawZipSpec, nights: Nights, datasets: ZipDatasets) -> bool:
    """Return True if a proof shows that all datasets of all zips of some nights are ingested, and no others."""
    return bool(_Proofs.prepare(context, name, spec, nights, datasets).find_all())


@dataclass(frozen=True)
class _Result:
    """What a comparison of some nights gave.

    ``listed`` are the UUIDs of the datasets that were compared, ``types`` their types, each with its RUN collection.
    ``misplaced`` means that some zips are in a Rucio dataset of another night.
    """

    members: Members
    conditions: tuple[Condition, ...]
    listed: frozenset[str]
    types: Set[DatasetsOfType]
    misplaced: bool


@dataclass(frozen=True)
class _Proofs:
    """The proofs of the datasets of a table: its raws and, if it names their RUN collection, its guiders."""

    datasets: tuple[ProvenDatasets, ...]
    types: Set[DatasetsOfType]
    counts: tuple[int, ...]
    nights: Nights
    inputs: Mapping[str, str]

    @classmethod
    def prepare(cls, context: Context, name: str, spec: RawZipSpec, nights: Nights, datasets: ZipDatasets) -> _Proofs:
        inputs = {WINDOW: str(nights), **datasets.digest()}
        digest = digest_spec(spec.model_copy(update={"nights": ""}))
        address = str(Address("raw_zip", name))
        claims = [(address, RAW, name)] + ([(f"{address} guiders", GUIDER, spec.guiders)] if spec.guiders else [])
        proven = tuple(ProvenDatasets.prepare(context, about, digest, inputs, what, [run]) for about, what, run in claims)
        types = {(what, run) for _, what, run in claims}
        return cls(proven, types, tuple(context.butler.count(what, [run]) for _, what, run in claims), nights, inputs)

    @property
    def count(self) -> int:
        """Number of raws."""
        return self.counts[0]

    @property
    def total(self) -> int:
        """Number of all datasets; if they are many, a proof is worth it for the few of another type in the same zips, too."""
        return sum(self.counts)

    def find_all(self) -> Sequence[Proof]:
        """Return the proofs that everything is as it was when it was listed and agreed; none if one of them doesn't hold."""
        found: list[Proof] = []
        for proven in self.datasets:
            proof = proven.find_proof(self.total)
            if proof is None:
                return ()
            found.append(proof)
        return found

    def record(self, growths: Sequence[Growth]) -> None:
        """Record that everything agrees, and was listed or, with what `find_growths` returned, has grown since it was."""
        since = growths or (None,) * len(self.datasets)
        for proven, count, growth in zip(self.datasets, self.counts, since, strict=True):
            proven.record(self.total, count, growth)

    def find_growths(self) -> Sequence[Growth]:
        """Return what came since each proof; nothing if more can have changed than some nights."""
        found: list[Growth] = []
        for proven in self.datasets:
            growth = proven.find_growth(self.total)
            if growth is None or self._compare_inputs(growth) is None:
                return ()
            found.append(growth)
        return found

    def find_changed_nights(self, growths: Iterable[Growth]) -> set[int]:
        """Return the nights that are new or whose Rucio datasets have changed since the proofs."""
        return {night for growth in growths for night in self._compare_inputs(growth) or ()}

    def _compare_inputs(self, growth: Growth) -> set[int] | None:
        """Return the nights that are new or whose Rucio datasets have changed since a proof; None if more can have changed."""
        names = [did for did in {*growth.inputs, *self.inputs} if growth.inputs.get(did) != self.inputs.get(did)]
        changed = {find_night(did) for did in names if did != WINDOW}
        new = self.nights.subtract(resolve_nights(growth.inputs[WINDOW]))
        if new is None or None in changed:
            return None
        return new | {night for night in changed if night is not None and night in self.nights}


def _list_added(growths: Iterable[Growth]) -> set[str]:
    """Return the datasets that came to the repository, by UUID."""
    return {str(ref.id) for growth in growths for ref in growth.added}


def _compare_nights(
    context: Context, name: str, spec: RawZipSpec, datasets: ZipDatasets, nights: Collection[int] | Nights
) -> _Result:
    """Compare all zips of some nights with all that is ingested of them."""
    listing = datasets.list_zips(nights)
    ingested = IngestedNights.select(context, spec.instrument, nights)
    raws = ingested.list_datasets(RAW, name)
    by_exposure = ingested.group_by_exposure(raws)
    known = ingested.name_exposures()
    present = [zipped for obs_id, zipped in listing.zips.items() if obs_id in by_exposure]
    arrivals = find_arrivals(
        context, datasets, [listing.zips[obs_id] for obs_id in listing.zips.keys() - by_exposure.keys()], known
    )
    read = [*present, *(arrivals.here if len(arrivals.here) <= MOST_READ else ())]
    contents = read_contents(context, read, spec.instrument, name, known)
    everything = ingested.list_all(contents.find_types() | {(RAW, name)})
    states = {
        zipped.obs_id: find_state(contents.usable[zipped.obs_id], by_exposure.get(zipped.obs_id, set()), everything)
        for zipped in read
        if zipped.obs_id in contents.usable
    }
    partly = [zipped for zipped in arrivals.here if zipped.obs_id in states and states[zipped.obs_id].is_partly]
    conditions = (
        *listing.conditions,
        *arrivals.conditions,
        *describe_unusable(arrivals.here, contents.problems),
        *describe_damaged(present, contents.problems),
        *describe_states([*present, *partly], states, spec.instrument),
        *check_guiders(spec, contents.find_types(), GUIDER),
        *check_places(context, spec, present, raws, by_exposure),
    )
    night_of = ingested.find_nights()
    unmanaged = tuple({"exposure": obs_id, "day_obs": night_of[obs_id]} for obs_id in sorted(by_exposure.keys() - listing.names))
    hindered = contents.problems.keys() | {zipped.obs_id for zipped in partly}
    missing = tuple(zipped.to_member() for zipped in arrivals.here if zipped.obs_id not in hindered)
    awaited = tuple(zipped.to_member() for zipped in arrivals.awaited)
    members = Members("exposures", len(listing.zips), len(present), missing, unmanaged=unmanaged, awaited=awaited)
    return _Result(members, conditions, frozenset(everything), contents.find_types(), listing.misplaced)
