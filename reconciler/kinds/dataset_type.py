"""Dataset types: defined once, and never redefined, since datasets may lean on the definition."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from reconciler.engine.model import Action, Condition, Kind, Missing, Seen, Spec

if TYPE_CHECKING:
    from reconciler.systems.context import Live


class DatasetTypeSpec(Spec):
    """A dataset type."""

    storage_class: str = Field(description="Its storage class.", examples=["SimpleCatalog"])
    dimensions: tuple[str, ...] = Field(description="Its dimensions; those they need may be left out.", examples=[["htm7"]])
    is_calibration: bool = Field(False, description="Whether its datasets may be certified.")


class DatasetTypeKind(Kind[DatasetTypeSpec]):
    """The kind of ``dataset_type`` tables."""

    name = "dataset_type"
    spec = DatasetTypeSpec
    summary = "Dataset types."
    holds = False
    rank = 50
    answers = ("dataset_type",)

    def provides(self, name: str, spec: DatasetTypeSpec) -> Iterable[str]:
        yield f"dataset_type:{name}"

    def exists(self, live: Live, tokens: Collection[str]) -> Collection[str]:
        return {f"dataset_type:{name}" for name in live.butler.dataset_types()} & set(tokens)

    def observe(self, live: Live, desired: Mapping[str, DatasetTypeSpec]) -> Mapping[str, Seen[DatasetTypeSpec]]:
        types = live.butler.dataset_types()
        seen = {}
        for name, spec in desired.items():
            if name not in types:
                continue
            there = types[name]
            same = there.dimensions == live.butler.required(spec.dimensions)
            found = DatasetTypeSpec.model_validate(
                spec.model_dump()
                | {
                    "storage_class": there.storage_class,
                    "dimensions": spec.dimensions if same else there.dimensions,
                    "is_calibration": there.is_calibration,
                }
            )
            text = "it is defined otherwise, and a dataset type can't be redefined; is the state right?"
            seen[name] = Seen(found, conditions=(Condition("conflict", text),) if found != spec else ())
        return seen

    def plan(self, missing: Missing[DatasetTypeSpec]) -> Iterable[Action]:
        if missing.seen.spec is None:
            args = missing.desired.model_dump(mode="json", include={"storage_class", "dimensions", "is_calibration"})
            yield Action(missing.id, "register", args, "no such dataset type")

    def apply(self, live: Live, action: Action) -> None:
        from reconciler.systems.butler.write_definitions import register_dataset_type

        args = action.args
        register_dataset_type(
            live.butler, action.id.name, args["dimensions"], args["storage_class"], is_calibration=args["is_calibration"]
        )

    def commands(self, action: Action) -> Iterable[Sequence[str]]:
        flag = ["--is-calibration"] if action.args["is_calibration"] else []
        definition = [action.args["storage_class"], *action.args["dimensions"]]
        yield ["butler", "register-dataset-type", *flag, "$REPO", action.id.name, *definition]


KIND = DatasetTypeKind()
