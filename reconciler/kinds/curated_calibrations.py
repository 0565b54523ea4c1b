"""Curated calibrations: the camera and the calibrations that the instrument's package keeps as text, certified in one collection.

Only that package knows which types an instrument has besides the camera: its class is asked unless the state names them. What was
written is compared with what is certified, and its validity ranges with the dates of its RUN collections.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from reconciler.engine.commands import REPO, Command
from reconciler.engine.kind import Kind, KindTraits, Links, Requirements
from reconciler.engine.model import Action, Change, Condition, DifferenceKind, Members, Observed
from reconciler.engine.spec import Spec
from reconciler.kinds.shared.curated_ranges import compare_ranges, list_curated_runs
from reconciler.kinds.shared.taken_names import find_taken_name
from reconciler.patterns import Glob

if TYPE_CHECKING:
    from reconciler.systems.butler.datasets import Certification
    from reconciler.systems.butler.instruments import CuratedFacts
    from reconciler.systems.context import Context

CAMERA = "camera"


class CuratedCalibrationsSpec(Spec):
    """Curated calibrations; the key is their CALIBRATION collection."""

    instrument: str = Field(
        description="Name of the instrument, or its fully qualified Python class.", examples=["lsst.obs.lsst.LsstComCam"]
    )
    label: str = Field(
        "",
        description="Label that becomes part of the names of the RUN collections, usually a ticket; empty for none.",
        examples=["DM-48650"],
    )
    dataset_types: tuple[str, ...] = Field(
        (CAMERA,),
        description="Dataset types of which datasets must be certified. If it is left out, those that the instrument's class "
        "names are included, if it can be imported.",
        examples=[["camera", "defects"]],
    )

    @property
    def labels(self) -> tuple[str, ...]:
        """The label, if there is one."""
        return (self.label,) if self.label else ()


class WriteCuratedCalibrations(Action):
    """Write and certify the curated calibrations of an instrument.

    Parameters
    ----------
    instrument : `str`
        Its name or class.
    label : `str`
        Label in the names of RUN collections; empty for none.
    collection : `str` or `None`
        CALIBRATION collection; `None` for the one that the instrument chooses.
    runs : `tuple` [`str`, ...]
        RUN collections that are written; ``a/*`` stands for all below ``a/``.
    """

    verb: Literal["write"] = "write"
    instrument: str
    label: str
    collection: str | None
    runs: tuple[str, ...] = ()


@dataclass(frozen=True)
class CuratedObserved(Observed[CuratedCalibrationsSpec]):
    """Curated calibrations, with the names that their instrument gives collections."""

    names: CuratedFacts | None = field(default=None, kw_only=True)


class CuratedCalibrationsKind(Kind[CuratedCalibrationsSpec, WriteCuratedCalibrations]):
    """The kind of ``curated_calibrations`` tables."""

    name = "curated_calibrations"
    spec = CuratedCalibrationsSpec
    traits = KindTraits(summary="Calibrations that an instrument's package keeps.", order=40)

    def links(self, name: str, spec: CuratedCalibrationsSpec) -> Links:
        # Without asking any live system, the name of an instrument that is given as a class is taken from that of the collection.
        instrument = name.partition("/")[0] if "." in spec.instrument else spec.instrument
        unbounded = "/".join((instrument, "calib", *spec.labels, "unbounded"))
        return Links(
            provides=[f"collection:{name}"],
            contributes=[f"collection:{unbounded}", *(f"dataset_type:{dataset_type}" for dataset_type in spec.dataset_types)],
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
        return {name: _observe_certifications(context, name, spec, certified) for name, spec in desired.items()}

    def plan(self, change: Change[CuratedCalibrationsSpec]) -> Iterable[WriteCuratedCalibrations]:
        if change.exists:
            return
        name, spec = change.address.name, change.desired
        names = change.observed.names if isinstance(change.observed, CuratedObserved) else None
        default = bool(spec.label) and names is not None and names.collection == name
        yield WriteCuratedCalibrations(
            address=change.address,
            instrument=spec.instrument,
            label=spec.label,
            collection=None if default else name,
            runs=() if names is None else (names.unbounded, f"{names.curated}*"),
            reason="no such calibrations",
        )

    def apply(self, context: Context, action: WriteCuratedCalibrations) -> None:
        list(context.commands.run([_arguments(action, context.butler.uri)], action.runs))

    def commands(self, action: WriteCuratedCalibrations) -> Iterable[Command]:
        yield Command("butler", *_arguments(action, REPO))


def _find_certified_types(context: Context, name: str) -> frozenset[str]:
    existing = context.butler.collections().get(name)
    return existing.dataset_types if existing is not None and existing.type == "CALIBRATION" else frozenset()


def _observe_certifications(
    context: Context, name: str, spec: CuratedCalibrationsSpec, certified: set[Certification]
) -> CuratedObserved:
    """Compare the certifications with what was written; it is absent if the collection doesn't exist or nothing was written."""
    if taken := find_taken_name(context, name, "CALIBRATION"):
        return CuratedObserved(spec, conditions=taken, taken=True)
    names = _find_names(context, name, spec)
    runs = list_curated_runs(context, names)
    written = {
        dataset_type
        for run in runs
        for dataset_type in context.butler.collections()[run].dataset_types
        if context.butler.count(dataset_type, [run])
    }
    if not written and not any(certification.collection == name for certification in certified):
        return CuratedObserved(None, names=names)
    desired = spec.dataset_types if "dataset_types" in spec.model_fields_set else sorted({*spec.dataset_types, *names.types})
    lacking = [dataset_type for dataset_type in desired if dataset_type not in written]
    members = compare_ranges(context, name, runs, lacking, certified)
    return CuratedObserved(spec, (members,), tuple(_explain_missing(name, members, lacking, runs)), names=names)


def _explain_missing(name: str, members: Members, lacking: Sequence[str], runs: Sequence[str]) -> Iterable[Condition]:
    if lacking:
        yield Condition(DifferenceKind.BLOCKED, f"no datasets of {', '.join(lacking)} were written")
    if len(members.missing) > len(lacking):
        yield Condition(DifferenceKind.BLOCKED, f"datasets that were written are not certified in {name}")
    if members.missing and runs:
        text = f"write-curated-calibrations fails if some of its datasets exist: remove {', '.join(runs)}, then apply"
        yield Condition(DifferenceKind.BLOCKED, text)
    if members.unmanaged or members.changed:
        text = f"certified otherwise than write-curated-calibrations does; butler decertify-calibrations removes that from {name}"
        yield Condition(DifferenceKind.DEGRADED, text)


def _find_names(context: Context, name: str, spec: CuratedCalibrationsSpec) -> CuratedFacts:
    """Return the names and types of the instrument's class, or the usual names if it can't be imported."""
    from reconciler.systems.butler.instruments import find_curated_facts, name_by_convention

    records = context.butler.records("instrument")
    is_class = "." in spec.instrument
    class_name = spec.instrument if is_class else {record.name: record.class_name for record in records}.get(spec.instrument, "")
    if facts := find_curated_facts(class_name, spec.labels, cached=not context.policy.deep):
        return facts
    registered = {record.class_name: record.name for record in records}
    instrument = registered.get(spec.instrument, name.partition("/")[0]) if is_class else spec.instrument
    return name_by_convention(instrument, spec.labels)


def _arguments(action: WriteCuratedCalibrations, repository: str) -> list[str]:
    label = ["--label", action.label] if action.label else []
    collection = ["--collection", action.collection] if action.collection else []
    return ["write-curated-calibrations", repository, action.instrument, *label, *collection]


KIND = CuratedCalibrationsKind()
