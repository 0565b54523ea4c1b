"""Dataset types: defined once, and never redefined, since existing datasets may depend on the definition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from reconciler.engine.commands import REPO, Command
from reconciler.engine.kind import Kind, KindTraits, Links
from reconciler.engine.model import Action, Change, Condition, DifferenceKind, Observed
from reconciler.engine.spec import Spec

if TYPE_CHECKING:
    from reconciler.systems.context import Context


class DatasetTypeSpec(Spec):
    """A dataset type; the key is its name."""

    storage_class: str = Field(description="Name of the storage class.", examples=["SimpleCatalog"])
    dimensions: tuple[str, ...] = Field(
        description="Names of the dimensions; those that others require may be left out.", examples=[["htm7"]]
    )
    is_calibration: bool = Field(
        False,
        description="Whether its datasets may be certified in CALIBRATION collections, with a validity range.",
        examples=[True],
    )


class RegisterDatasetType(Action):
    """Define a dataset type."""

    is_single_call = True

    verb: Literal["register"] = "register"
    storage_class: str
    dimensions: tuple[str, ...]
    is_calibration: bool


class DatasetTypeKind(Kind[DatasetTypeSpec, RegisterDatasetType]):
    """The kind of ``dataset_type`` tables."""

    name = "dataset_type"
    spec = DatasetTypeSpec
    traits = KindTraits(summary="Dataset types.", order=50, affects_content=False)

    def links(self, name: str, spec: DatasetTypeSpec) -> Links:
        return Links(provides=[f"dataset_type:{name}"])

    def observe(self, context: Context, desired: Mapping[str, DatasetTypeSpec]) -> Mapping[str, Observed[DatasetTypeSpec]]:
        types = context.butler.dataset_types()
        observed = {}
        for name, spec in desired.items():
            required = context.butler.required(spec.dimensions)
            existing = types.get(name)
            if existing is None or existing.storage_class != spec.storage_class:
                context.butler.check_storage_class(spec.storage_class)
            if existing is None:
                continue
            same_dimensions = existing.dimensions == required
            found = spec.model_copy(
                update={
                    "storage_class": existing.storage_class,
                    "dimensions": spec.dimensions if same_dimensions else existing.dimensions,
                    "is_calibration": existing.is_calibration,
                }
            )
            text = "its definition differs, and a dataset type can't be redefined; is the state correct?"
            conflict = Condition(DifferenceKind.CONFLICT, text)
            observed[name] = Observed(found, conditions=(conflict,) if found != spec else ())
        return observed

    def plan(self, change: Change[DatasetTypeSpec]) -> Iterable[RegisterDatasetType]:
        if not change.exists:
            yield RegisterDatasetType(
                address=change.address,
                storage_class=change.desired.storage_class,
                dimensions=change.desired.dimensions,
                is_calibration=change.desired.is_calibration,
                reason="no such dataset type",
            )

    def apply(self, context: Context, action: RegisterDatasetType) -> None:
        from reconciler.systems.butler.write_definitions import register_dataset_type

        name, dimensions, storage_class = action.address.name, action.dimensions, action.storage_class
        register_dataset_type(context.butler, name, dimensions, storage_class, is_calibration=action.is_calibration)

    def commands(self, action: RegisterDatasetType) -> Iterable[Command]:
        flag = ["--is-calibration"] if action.is_calibration else []
        definition = [action.storage_class, *action.dimensions]
        yield Command("butler", "register-dataset-type", *flag, REPO, action.address.name, *definition)


KIND = DatasetTypeKind()
