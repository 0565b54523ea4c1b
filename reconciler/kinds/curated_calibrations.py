"""Curated calibrations: the camera and the calibrations that the instrument's package keeps as text, certified in one collection.

Only that package knows which types an instrument has besides the camera: its class is asked unless the state names them. What was
written is compared with what is certified, and its validity ranges with the dates of its RUN collections.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from reconciler.engine.kind import Kind, KindTraits, Links, Requirements
from reconciler.engine.model import REPO, Action, Change, Command, Condition, DifferenceKind, Members, Observed, Spec
from reconciler.kinds.shared.curated_ranges import compare_ranges, list_curated_runs
from reconciler.patterns import Glob

if TYPE_CHECKING:
    from reconciler.systems.butler.datasets import Certification
    from reconciler.systems.context import Context

CAMERA = "camera"


class CuratedCalibrationsSpec(Spec):
    """Curated calibrations; the key is their CALIBRATION collection."""

    instrument: str = Field(
        description="Name of the instrument, or its fully qualified Python class.", examples=["lsst.obs.lsst.LsstComCam"]
    )
    label: str = Field(description="Label that becomes part of the collection names, usually a ticket.", examples=["DM-48650"])
    dataset_types: tuple[str, ...] = Field(
        (CAMERA,),
        description="Dataset types of which datasets must be certified. If it is left out, those that the instrument's class "
        "names are included, if it can be imported.",
        examples=[["camera", "defects"]],
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
        types = {dataset_type for name in desired for dataset_type in _find_certified_types(context, name)}
        certified = context.butler.certifications(sorted(types), desired)
        found = {name: _observe_certifications(context, name, spec, certified) for name, spec in desired.items()}
        return {name: observed for name, observed in found.items() if observed is not None}

    def plan(self, change: Change[CuratedCalibrationsSpec]) -> Iterable[WriteCuratedCalibrations]:
        if not change.exists:
            name, instrument, label = change.address.name, change.desired.instrument, change.desired.label
            collection = None if name == f"{name.partition('/')[0]}/calib/{label}" else name
            reason = "no such calibrations"
            yield WriteCuratedCalibrations(
                address=change.address, instrument=instrument, label=label, collection=collection, reason=reason
            )

    def apply(self, context: Context, action: WriteCuratedCalibrations) -> None:
        name = action.address.name
        bases = (name, f"{name.partition('/')[0]}/calib/{action.label}")
        runs = [run for base in bases for run in (f"{base}/unbounded", f"{base}/curated/*")]
        list(context.run_butler([_arguments(action, context.butler.uri)], runs))

    def commands(self, action: WriteCuratedCalibrations) -> Iterable[Command]:
        yield Command("butler", *_arguments(action, REPO))


def _find_certified_types(context: Context, name: str) -> frozenset[str]:
    existing = context.butler.collections().get(name)
    return existing.dataset_types if existing is not None and existing.type == "CALIBRATION" else frozenset()


def _observe_certifications(
    context: Context, name: str, spec: CuratedCalibrationsSpec, certified: set[Certification]
) -> Observed[CuratedCalibrationsSpec] | None:
    """Compare the certifications with what was written; None if the collection doesn't exist or nothing was written."""
    existing = context.butler.collections().get(name)
    if existing is None:
        return None
    if existing.type != "CALIBRATION":
        text = f"the name is taken by a {existing.type} collection"
        return Observed(spec, conditions=(Condition(DifferenceKind.CONFLICT, text),))
    bases = {name, f"{name.partition('/')[0]}/calib/{spec.label}"}
    found = {certification.dataset_type for certification in certified if certification.collection == name}
    if not found and not any(context.butler.count(CAMERA, [f"{base}/unbounded"]) for base in bases):
        return None
    written = {dataset_type for base in bases for dataset_type in _find_written_types(context, base)}
    lacking = [dataset_type for dataset_type in _find_desired_types(context, spec) if dataset_type not in written]
    members = compare_ranges(context, name, bases, lacking, certified)
    return Observed(spec, (members,), tuple(_explain_missing(name, members, lacking)))


def _explain_missing(name: str, members: Members, lacking: Sequence[str]) -> Iterable[Condition]:
    if lacking:
        yield Condition(DifferenceKind.BLOCKED, f"no datasets of {', '.join(lacking)} were written")
    if len(members.missing) > len(lacking):
        yield Condition(DifferenceKind.BLOCKED, f"datasets that were written are not certified in {name}")
    if members.missing:
        text = "write-curated-calibrations fails if some of its datasets exist: remove its RUN collections, then apply"
        yield Condition(DifferenceKind.BLOCKED, text)
    if members.unmanaged or members.changed:
        text = f"certified otherwise than write-curated-calibrations does; butler decertify-calibrations removes that from {name}"
        yield Condition(DifferenceKind.DEGRADED, text)


def _find_written_types(context: Context, base: str) -> set[str]:
    """Return the dataset types that have datasets in the RUN collections below a name."""
    return {
        dataset_type
        for name, facts in list_curated_runs(context, base)
        for dataset_type in facts.dataset_types
        if context.butler.count(dataset_type, [name])
    }


def _find_desired_types(context: Context, spec: CuratedCalibrationsSpec) -> Sequence[str]:
    """Return the dataset types that must have been written: those that the state or the instrument's class names."""
    if "dataset_types" in spec.model_fields_set:
        return spec.dataset_types
    from reconciler.systems.butler.instruments import find_curated_types

    class_name = spec.instrument
    if "." not in class_name:
        classes = {record.name: record.class_name for record in context.butler.records("instrument")}
        class_name = classes.get(class_name, "")
    return sorted({*spec.dataset_types, *find_curated_types(class_name, cached=not context.policy.deep)})


def _arguments(action: WriteCuratedCalibrations, repository: str) -> list[str]:
    collection = ["--collection", action.collection] if action.collection else []
    return ["write-curated-calibrations", repository, action.instrument, "--label", action.label, *collection]


KIND = CuratedCalibrationsKind()
