"""Instruments: the records of an instrument, its detectors and its filters, written by its class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from reconciler.engine.commands import REPO, Command
from reconciler.engine.kind import Kind, KindTraits, Links
from reconciler.engine.model import Action, Change, Observed
from reconciler.engine.spec import Spec

if TYPE_CHECKING:
    from reconciler.systems.context import Context


class InstrumentSpec(Spec):
    """An instrument; the key is its short name."""

    class_name: str = Field(
        alias="class",
        description="Fully qualified name of the instrument's Python class.",
        examples=["lsst.obs.lsst.LsstComCam"],
    )
    detectors: int | None = Field(None, ge=0, description="Exact number of detectors that must be registered.", examples=[9])
    filters: int | None = Field(
        None, ge=0, description="Minimum number of physical filters that must be registered.", examples=[7]
    )


class RegisterInstrument(Action):
    """Write the records of an instrument, or update them."""

    verb: Literal["register"] = "register"
    class_name: str
    update: bool


class InstrumentKind(Kind[InstrumentSpec, RegisterInstrument]):
    """The kind of ``instrument`` tables."""

    name = "instrument"
    spec = InstrumentSpec
    traits = KindTraits(summary="Instruments: their detectors and filters.", order=20, affects_content=False)

    def links(self, name: str, spec: InstrumentSpec) -> Links:
        return Links(provides=[f"instrument:{name}"])

    def observe(self, context: Context, desired: Mapping[str, InstrumentSpec]) -> Mapping[str, Observed[InstrumentSpec]]:
        records = {record.name: record for record in context.butler.records("instrument")}
        detectors = [record.instrument for record in context.butler.records("detector")]
        filters = [record.instrument for record in context.butler.records("physical_filter")]
        observed = {}
        for name, spec in desired.items():
            if name not in records:
                continue
            found: dict[str, object] = {"class_name": records[name].class_name}
            if spec.detectors is not None:
                found["detectors"] = detectors.count(name)
            elif not detectors.count(name):
                found["detectors"] = 0  # its record alone, without its detectors, is an incomplete registration
            if spec.filters is not None:
                found["filters"] = min(spec.filters, filters.count(name))  # additional filters are no difference
            observed[name] = Observed(spec.model_copy(update=found))
        return observed

    def plan(self, change: Change[InstrumentSpec]) -> Iterable[RegisterInstrument]:
        reason = "its records differ" if change.exists else "no such instrument"
        class_name = change.desired.class_name
        yield RegisterInstrument(address=change.address, class_name=class_name, update=change.exists, reason=reason)

    def apply(self, context: Context, action: RegisterInstrument) -> None:
        from reconciler.systems.butler.write_definitions import register_instrument

        register_instrument(context.butler, action.class_name, update=action.update)

    def commands(self, action: RegisterInstrument) -> Iterable[Command]:
        yield Command("butler", "register-instrument", *(["--update"] if action.update else []), REPO, action.class_name)


KIND = InstrumentKind()
