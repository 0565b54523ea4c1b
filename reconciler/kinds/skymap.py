"""Sky maps: the records of a map with its tracts and patches, and the map itself as a dataset."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from reconciler.engine.model import Action, Condition, InputPath, Kind, Missing, Seen, Spec

if TYPE_CHECKING:
    from reconciler.systems.context import Live

RUN = "skymaps"
DATASET_TYPE = "skyMap"


class SkymapSpec(Spec):
    """A sky map; the key is its name."""

    config: InputPath = Field(description="Configuration file of the map.", examples=["lsst_cells_v1.skymap.config"])
    tracts: int | None = Field(None, ge=1, description="How many tracts it has to have.")


class SkymapKind(Kind[SkymapSpec]):
    """The kind of ``skymap`` tables."""

    name = "skymap"
    spec = SkymapSpec
    summary = "Sky maps with their tracts and patches."
    rank = 25
    answers = ("skymap",)

    def provides(self, name: str, spec: SkymapSpec) -> Iterable[str]:
        yield f"skymap:{name}"

    def contributes(self, name: str, spec: SkymapSpec) -> Iterable[str]:
        yield f"collection:{RUN}"
        yield f"dataset_type:{DATASET_TYPE}"

    def exists(self, live: Live, tokens: Collection[str]) -> Collection[str]:
        return {f"skymap:{record.name}" for record in live.butler.records("skymap")} & set(tokens)

    def observe(self, live: Live, desired: Mapping[str, SkymapSpec]) -> Mapping[str, Seen[SkymapSpec]]:
        names = {record.name for record in live.butler.records("skymap")}
        stored = live.butler.data_ids(DATASET_TYPE, [RUN], ["skymap"])
        seen = {}
        for name, spec in desired.items():
            if name not in names:
                continue
            if (name,) not in stored:
                text = f"its records are there and its dataset in {RUN} is not: its registration was interrupted"
                seen[name] = Seen[SkymapSpec](None, conditions=(Condition("later", text),))
                continue
            tracts = live.butler.count_records("tract", skymap=name) if spec.tracts is not None else None
            seen[name] = Seen(spec.model_copy(update={"tracts": tracts}))
        return seen

    def plan(self, missing: Missing[SkymapSpec]) -> Iterable[Action]:
        if missing.seen.spec is None:
            yield Action(missing.id, "register", {"config": missing.desired.config}, "no such sky map")

    def apply(self, live: Live, action: Action) -> None:
        list(live.run_butler([["register-skymap", "--config-file", action.args["config"], live.butler.uri]]))

    def commands(self, action: Action) -> Iterable[Sequence[str]]:
        yield ["butler", "register-skymap", "--config-file", action.args["config"], "$REPO"]

    def inputs(self, spec: SkymapSpec) -> Iterable[str]:
        yield spec.config

    def subcommands(self, spec: SkymapSpec) -> Iterable[str]:
        yield "register-skymap"


KIND = SkymapKind()
