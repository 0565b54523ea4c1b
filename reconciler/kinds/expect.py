"""Expectations: how many datasets there have to be. Nothing is ever done about one that fails; it says what is missing."""

from __future__ import annotations

import fnmatch
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from reconciler.engine.model import Action, Condition, Kind, Missing, Seen, Spec
from reconciler.kinds.shared.incomplete_nights import among, between, exposures, incomplete

if TYPE_CHECKING:
    from reconciler.systems.context import Live


class ExpectSpec(Spec):
    """How many datasets there have to be."""

    dataset_type: str = Field(description="Of which type.", examples=["raw"])
    collections: tuple[str, ...] = Field(min_length=1, description="Where; chains are searched through.")
    where: str = Field("", description="A Butler query expression.", examples=["exposure.observation_type = 'science'"])
    count: int | None = Field(None, ge=0, description="Exactly so many.", examples=[148845])
    min: int | None = Field(None, ge=0, description="At least so many.")
    max: int | None = Field(None, ge=0, description="At most so many.")
    did: str | None = Field(None, description="As many as this Rucio dataset or these have files, scope:name with wildcards.")
    files: str = Field("*", description="Which files of it count.", examples=["*.fits"])


class ExpectKind(Kind[ExpectSpec]):
    """The kind of ``expect`` tables."""

    name = "expect"
    spec = ExpectSpec
    summary = "Expected numbers of datasets."
    rank = 90
    derived = True

    def systems(self, spec: ExpectSpec) -> frozenset[Literal["butler", "rucio"]]:
        return frozenset({"butler", "rucio"} if spec.did else {"butler"})

    def needs(self, name: str, spec: ExpectSpec) -> Iterable[str]:
        yield from (f"collection:{collection}" for collection in spec.collections)

    def check(self, name: str, spec: ExpectSpec) -> Iterable[str]:
        if spec.count is None and spec.min is None and spec.max is None and spec.did is None:
            yield 'needs "count", "min", "max" or "did"'
        if spec.count is not None and spec.did is not None:
            yield 'wants "count" and "did"; name one'
        if spec.min is not None and spec.max is not None and spec.min > spec.max:
            yield f"min: {spec.min} is more than max, {spec.max}"

    def observe(self, live: Live, desired: Mapping[str, ExpectSpec]) -> Mapping[str, Seen[ExpectSpec]]:
        return {name: self._see(live, spec) for name, spec in desired.items()}

    def _see(self, live: Live, spec: ExpectSpec) -> Seen[ExpectSpec]:
        count = live.butler.count(spec.dataset_type, spec.collections, spec.where)
        wanted, lowest, highest = spec.count, spec.min, spec.max
        if spec.did is not None:
            files = live.rucio.files(live.rucio.matching(spec.did))
            wanted = sum(fnmatch.fnmatchcase(file.name, spec.files) for file in files)
        facts = {"count": count, "wanted": wanted, "min": lowest, "max": highest}
        text = ""
        if wanted is not None and count != wanted:
            text = f"{count:,} datasets, {wanted:,} wanted"
        elif lowest is not None and count < lowest:
            text = f"{count:,} datasets, at least {lowest:,} wanted"
        elif highest is not None and count > highest:
            text = f"{count:,} datasets, at most {highest:,} wanted"
        if not text:
            return Seen(spec, facts=facts)
        short = count < (wanted if wanted is not None else lowest or 0)
        members = tuple(_incomplete(live, spec)) if short else ()
        if members:
            text += "; these lack detectors"
        return Seen(spec, conditions=(Condition("failed", text, members, "count"),), facts=facts)

    def plan(self, missing: Missing[ExpectSpec]) -> Iterable[Action]:
        return ()

    def apply(self, live: Live, action: Action) -> None:
        return None


def _incomplete(live: Live, spec: ExpectSpec) -> Iterable[dict[str, Any]]:
    """Name the exposures of which detectors are missing."""
    known = live.butler.dataset_types().get(spec.dataset_type)
    if known is None or not {"exposure", "detector"} <= set(known.dimensions):
        return
    for instrument in sorted({record.instrument for record in live.butler.records("detector")}):
        yield from _lacking(live, spec, instrument)


def _lacking(live: Live, spec: ExpectSpec, instrument: str) -> Iterable[dict[str, Any]]:
    """Name them for one instrument; of many datasets, only the nights that are not complete are listed."""
    detectors = {record.id for record in live.butler.records("detector", instrument=instrument)}
    where, days = spec.where, ""
    if live.counts(live.butler.count(spec.dataset_type, spec.collections, spec.where)):

        def surplus(begin: int, end: int) -> int:
            # Without spec.where, so that other expectations, and raw, ask the same.
            there = live.butler.count(spec.dataset_type, spec.collections, between(instrument, begin, end))
            return there - len(detectors) * exposures(live, instrument, begin, end)

        nights = incomplete(sorted(record.id for record in live.butler.records("day_obs", instrument=instrument)), surplus)
        if not nights:
            return
        where, days = among(instrument, nights, spec.where), f"day_obs IN ({', '.join(map(str, nights))})"
    have: dict[int, set[int]] = defaultdict(set)
    rows = live.butler.data_ids(spec.dataset_type, spec.collections, ["instrument", "exposure", "detector"], where)
    for whose, exposure, detector in rows:
        if whose == instrument:
            have[exposure].add(detector)
    short = {exposure: detectors - there for exposure, there in sorted(have.items()) if detectors - there}
    night_of = {r.id: r.day_obs for r in live.butler.records("exposure", days, instrument=instrument)} if short else {}
    for exposure, lacking in short.items():
        yield from ({"exposure": exposure, "detector": detector, "day_obs": night_of[exposure]} for detector in sorted(lacking))


KIND = ExpectKind()
