"""Curated calibrations: the camera and the calibrations that the instrument's package keeps as text, certified in one collection.

Only that package knows which types an instrument has besides the camera, so the state may name the types to check.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from reconciler.engine.kind import Kind, KindTraits, Links, Requirements
from reconciler.engine.model import REPO, Action, Change, Command, Condition, DifferenceKind, Observed, Spec
from reconciler.patterns import Glob

if TYPE_CHECKING:
    from reconciler.systems.context import Context

CAMERA = "camera"


class CuratedCalibrationsSpec(Spec):
    """Curated calibrations; the key is their CALIBRATION collection."""

    instrument: str = Field(
        description="Name of the instrument, or its fully qualified Python class.", examples=["lsst.obs.lsst.LsstComCam"]
    )
    label: str = Field(description="Label that becomes part of the collection names, usually a ticket.", examples=["DM-48650"])
    dataset_types: tuple[str, ...] = Field(
        (CAMERA,), description="Dataset types of which datasets must be certified.", examples=[["camera", "defects"]]
    )


class WriteCuratedCalibrations(Action):
    """Write and certify the curated calibrations of an instrument."""

    verb: Literal["write"] = "write"
    instrument: str
    label: str
    collection: str | None


class CuratedCalibrationsKind(Kind[CuratedCalibrationsSpec, WriteCuratedCalibrations]):
    """The kind of ``curated_calibrations`` tables."""

    name = "curated_calibrations"
    spec = CuratedCalibrationsSpec
    traits = KindTraits(summary="Calibrations that an instrument's package keeps.", order=40)

    def links(self, name: str, spec: CuratedCalibrationsSpec) -> Links:
        return Links(
            provides=[f"collection:{name}", f"collection:{name}/unbounded"],
            contributes=[f"dataset_type:{dataset_type}" for dataset_type in spec.dataset_types],
            needs=[f"instrument:{spec.instrument}"] if "." not in spec.instrument else [],
            after=[Glob("instrument:*")],
        )

    def requirements(self, spec: CuratedCalibrationsSpec) -> Requirements:
        return Requirements(butler_commands=["write-curated-calibrations"])

    def observe(
        self, context: Context, desired: Mapping[str, CuratedCalibrationsSpec]
    ) -> Mapping[str, Observed[CuratedCalibrationsSpec]]:
        types = {dataset_type for spec in desired.values() for dataset_type in spec.dataset_types}
        certified = {(c.collection, c.dataset_type) for c in context.butler.certifications(sorted(types), desired)}
        observed = {}
        for name, spec in desired.items():
            existing = context.butler.collections().get(name)
            if existing is None:
                continue
            if existing.type != "CALIBRATION":
                text = f"the name is taken by a {existing.type} collection"
                observed[name] = Observed(spec, conditions=(Condition(DifferenceKind.CONFLICT, text),))
                continue
            found = tuple(dataset_type for dataset_type in spec.dataset_types if (name, dataset_type) in certified)
            if not found and not context.butler.count(CAMERA, [f"{name}/unbounded"]):
                continue
            conditions: tuple[Condition, ...] = ()
            if len(found) < len(spec.dataset_types):
                text = (
                    "its creation was interrupted, and write-curated-calibrations fails if some of its datasets exist: "
                    "remove its RUN collections, then apply"
                )
                conditions = (Condition(DifferenceKind.BLOCKED, text),)
            observed[name] = Observed(spec.model_copy(update={"dataset_types": found}), conditions=conditions)
        return observed

    def plan(self, change: Change[CuratedCalibrationsSpec]) -> Iterable[WriteCuratedCalibrations]:
        if not change.exists:
            name, instrument, label = change.address.name, change.desired.instrument, change.desired.label
            collection = None if name == f"{name.partition('/')[0]}/calib/{label}" else name
            reason = "no such calibrations"
            yield WriteCuratedCalibrations(
                address=change.address, instrument=instrument, label=label, collection=collection, reason=reason
            )

    def apply(self, context: Context, action: WriteCuratedCalibrations) -> None:
        list(context.run_butler([_arguments(action, context.butler.uri)]))

    def commands(self, action: WriteCuratedCalibrations) -> Iterable[Command]:
        yield Command("butler", *_arguments(action, REPO))


def _arguments(action: WriteCuratedCalibrations, repository: str) -> list[str]:
    collection = ["--collection", action.collection] if action.collection else []
    return ["write-curated-calibrations", repository, action.instrument, "--label", action.label, *collection]


KIND = CuratedCalibrationsKind()
