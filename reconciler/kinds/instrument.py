"""Instruments: the records of one, its detectors and its filters, written by its class."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from reconciler.engine.model import Action, Kind, Missing, Seen, Spec

if TYPE_CHECKING:
    from reconciler.systems.context import Live


class InstrumentSpec(Spec):
    """An instrument; the key is its short name."""

    class_name: str = Field(alias="class", description="Full name of its class.", examples=["lsst.obs.lsst.LsstComCam"])
    detectors: int | None = Field(None, ge=0, description="How many detectors it has to have.", examples=[9])
    filters: int | None = Field(None, ge=0, description="How many physical filters it has to have at least.")


class InstrumentKind(Kind[InstrumentSpec]):
    """The kind of ``instrument`` tables."""

    name = "instrument"
    spec = InstrumentSpec
    summary = "Instruments: their detectors and filters."
    holds = False
    rank = 20
    answers = ("instrument",)

    def provides(self, name: str, spec: InstrumentSpec) -> Iterable[str]:
        yield f"instrument:{name}"

    def exists(self, live: Live, tokens: Collection[str]) -> Collection[str]:
        return {f"instrument:{record.name}" for record in live.butler.records("instrument")} & set(tokens)

    def observe(self, live: Live, desired: Mapping[str, InstrumentSpec]) -> Mapping[str, Seen[InstrumentSpec]]:
        records = {record.name: record for record in live.butler.records("instrument")}
        detectors = [record.instrument for record in live.butler.records("detector")]
        filters = [record.instrument for record in live.butler.records("physical_filter")]
        seen = {}
        for name, spec in desired.items():
            if name not in records:
                continue
            found: dict[str, object] = {"class_name": records[name].class_name}
            if spec.detectors is not None:
                found["detectors"] = detectors.count(name)
            elif not detectors.count(name):
                found["detectors"] = 0
            if spec.filters is not None:
                found["filters"] = min(spec.filters, filters.count(name))  # more than that is fine
            seen[name] = Seen(spec.model_copy(update=found))
        return seen

    def plan(self, missing: Missing[InstrumentSpec]) -> Iterable[Action]:
        absent = missing.seen.spec is None
        reason = "no such instrument" if absent else "its records differ"
        yield Action(missing.id, "register", {"class": missing.desired.class_name, "update": not absent}, reason)

    def apply(self, live: Live, action: Action) -> None:
        from reconciler.systems.butler.write_definitions import register_instrument

        register_instrument(live.butler, action.args["class"], update=action.args["update"])

    def commands(self, action: Action) -> Iterable[Sequence[str]]:
        yield ["butler", "register-instrument", *(["--update"] if action.args["update"] else []), "$REPO", action.args["class"]]


KIND = InstrumentKind()
