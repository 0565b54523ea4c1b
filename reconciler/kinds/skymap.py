"""Sky maps: the records of a map with its tracts and patches, and the map itself as a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from reconciler.engine.commands import REPO, Command
from reconciler.engine.kind import Kind, KindTraits, Links, Requirements
from reconciler.engine.model import Action, Change, Condition, DifferenceKind, Observed
from reconciler.engine.spec import InputPath, Spec
from reconciler.kinds.shared.python_calls import butler_calls

if TYPE_CHECKING:
    from reconciler.systems.context import Context

RUN = "skymaps"
DATASET_TYPE = "skyMap"
CONFIG_MODULE = "lsst.pipe.tasks.script.registerSkymap"


class SkymapSpec(Spec):
    """A sky map; the key is its name."""

    config: InputPath = Field(
        description="Configuration file of the sky map, as register-skymap takes it.", examples=["lsst_cells_v1.skymap.config"]
    )
    tracts: int | None = Field(None, ge=1, description="Exact number of tracts that must be registered.", examples=[18938])


class RegisterSkymap(Action):
    """Write the records and the dataset of a sky map."""

    verb: Literal["register"] = "register"
    config: str


class SkymapKind(Kind[SkymapSpec, RegisterSkymap]):
    """The kind of ``skymap`` tables."""

    name = "skymap"
    spec = SkymapSpec
    traits = KindTraits(summary="Sky maps with their tracts and patches.", order=25)

    def links(self, name: str, spec: SkymapSpec) -> Links:
        return Links(provides=[f"skymap:{name}"], contributes=[f"collection:{RUN}", f"dataset_type:{DATASET_TYPE}"])

    def requirements(self, spec: SkymapSpec) -> Requirements:
        return Requirements(input_files=[spec.config], butler_commands=["register-skymap"])

    def observe(self, context: Context, desired: Mapping[str, SkymapSpec]) -> Mapping[str, Observed[SkymapSpec]]:
        names = {record.name for record in context.butler.records("skymap")}
        stored = context.butler.data_ids(DATASET_TYPE, [RUN], ["skymap"])
        observed = {}
        for name, spec in desired.items():
            if name not in names:
                continue
            tracts = context.butler.count_records("tract", skymap=name) if spec.tracts is not None else None
            conditions = () if (name,) in stored else (_explain_missing_dataset(name, spec),)
            observed[name] = Observed(spec.model_copy(update={"tracts": tracts}), conditions=conditions)
        return observed

    def plan(self, change: Change[SkymapSpec]) -> Iterable[RegisterSkymap]:
        if not change.exists:
            yield RegisterSkymap(address=change.address, config=change.desired.config, reason="no such sky map")

    def apply(self, context: Context, action: RegisterSkymap) -> None:
        list(context.commands.run([_arguments(action, context.butler.uri)], runs=[RUN]))

    def commands(self, action: RegisterSkymap) -> Iterable[Command]:
        yield Command("butler", *_arguments(action, REPO))


def _explain_missing_dataset(name: str, spec: SkymapSpec) -> Condition:
    """Return what an operator can do about a map whose records exist without its dataset, which register-skymap never repairs."""
    config = f"from {CONFIG_MODULE} import MakeSkyMapConfig; config = MakeSkyMapConfig(); config.load({spec.config!r}); "
    put = butler_calls(f"put(config.skyMap.apply(), {DATASET_TYPE!r}, skymap={name!r}, run={RUN!r})")
    command = Command(*put.words[:-1], config + put.words[-1])
    text = (
        f"its records exist, but its dataset in {RUN} doesn't, and register-skymap doesn't write it again; write it with Python"
    )
    return Condition(DifferenceKind.BLOCKED, text, commands=(command,))


def _arguments(action: RegisterSkymap, repository: str) -> list[str]:
    return ["register-skymap", "--config-file", action.config, repository]


KIND = SkymapKind()
