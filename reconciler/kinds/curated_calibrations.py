"""Curated calibrations: the camera and what the instrument's package keeps as text, certified in one collection.

What else besides the camera an instrument has is known only to its package, so the state may name the types to look for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from reconciler.engine.model import Action, Condition, Kind, Missing, Seen, Spec

if TYPE_CHECKING:
    from reconciler.systems.context import Live

CAMERA = "camera"


class CuratedCalibrationsSpec(Spec):
    """Curated calibrations; the key is their CALIBRATION collection."""

    instrument: str = Field(description="Name or class.", examples=["lsst.obs.lsst.LsstComCam"])
    label: str = Field(description="What stands in the names of the collections.", examples=["DM-48650"])
    dataset_types: tuple[str, ...] = Field((CAMERA,), description="Dataset types that have to be certified.")


class CuratedCalibrationsKind(Kind[CuratedCalibrationsSpec]):
    """The kind of ``curated_calibrations`` tables."""

    name = "curated_calibrations"
    spec = CuratedCalibrationsSpec
    summary = "Calibrations that an instrument's package keeps."
    rank = 40

    def provides(self, name: str, spec: CuratedCalibrationsSpec) -> Iterable[str]:
        yield f"collection:{name}"
        yield f"collection:{name}/unbounded"

    def contributes(self, name: str, spec: CuratedCalibrationsSpec) -> Iterable[str]:
        yield from (f"dataset_type:{dataset_type}" for dataset_type in spec.dataset_types)

    def needs(self, name: str, spec: CuratedCalibrationsSpec) -> Iterable[str]:
        if "." not in spec.instrument:
            yield f"instrument:{spec.instrument}"

    def follows(self, name: str, spec: CuratedCalibrationsSpec) -> Iterable[str]:
        yield "instrument:*"

    def subcommands(self, spec: CuratedCalibrationsSpec) -> Iterable[str]:
        yield "write-curated-calibrations"

    def observe(self, live: Live, desired: Mapping[str, CuratedCalibrationsSpec]) -> Mapping[str, Seen[CuratedCalibrationsSpec]]:
        wanted = {dataset_type for spec in desired.values() for dataset_type in spec.dataset_types}
        certified = {(c.collection, c.dataset_type) for c in live.butler.certifications(sorted(wanted), desired)}
        seen = {}
        for name, spec in desired.items():
            there = live.butler.collections().get(name)
            if there is None:
                continue
            if there.type != "CALIBRATION":
                text = f"the name is taken by a {there.type} collection"
                seen[name] = Seen(spec, conditions=(Condition("conflict", text),))
                continue
            found = tuple(t for t in spec.dataset_types if (name, t) in certified)
            begun = bool(live.butler.count(CAMERA, [f"{name}/unbounded"]))
            if not found and not begun:
                continue
            conditions: tuple[Condition, ...] = ()
            if len(found) < len(spec.dataset_types):
                text = "it was interrupted, and write-curated-calibrations fails on what is there: remove its RUNs, then apply"
                conditions = (Condition("blocked", text),)
            seen[name] = Seen(spec.model_copy(update={"dataset_types": found}), conditions=conditions)
        return seen

    def plan(self, missing: Missing[CuratedCalibrationsSpec]) -> Iterable[Action]:
        if missing.seen.spec is None:
            spec = missing.desired
            default = missing.id.name == f"{missing.id.name.partition('/')[0]}/calib/{spec.label}"
            collection = None if default else missing.id.name
            args = {"instrument": spec.instrument, "label": spec.label, "collection": collection}
            yield Action(missing.id, "write", args, "no such calibrations")

    def apply(self, live: Live, action: Action) -> None:
        list(live.run_butler([_write(action, live.butler.uri)]))

    def commands(self, action: Action) -> Iterable[Sequence[str]]:
        yield ["butler", *_write(action, "$REPO")]


def _write(action: Action, repository: str) -> list[str]:
    collection = ["--collection", action.args["collection"]] if action.args["collection"] else []
    instrument, label = action.args["instrument"], action.args["label"]
    return ["write-curated-calibrations", repository, instrument, "--label", label, *collection]


KIND = CuratedCalibrationsKind()
