"""Compare the definitions in an export file with the repository's: universe, collections, dataset types, dimension records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reconciler.engine.model import Condition, DifferenceKind, JsonObject
from reconciler.errors import StateError
from reconciler.files import export_file
from reconciler.files.export_file import ExportFile

if TYPE_CHECKING:
    from reconciler.systems.context import Context

FIXED_ELEMENTS = ("instrument", "detector", "physical_filter", "skymap", "tract", "patch")
"""Dimensions whose records define what data IDs mean: data IDs of repositories that differ in them aren't comparable."""
EARLIEST_UNIVERSE_WITH_OBSERVATIONS = 6
"""Records of exposures and visits changed with this version; older ones can't be inserted as they are."""


def check_universe(context: Context, path: str, content: ExportFile) -> None:
    """Refuse an export file whose records the Butler would accept silently and store incorrectly.

    Raises
    ------
    reconciler.errors.StateError
        If its dimension universe has another namespace or a later version than the repository's, or it contains exposures or
        visits in a form that can't be inserted. An earlier version is accepted.
    reconciler.errors.ObserveError
        If the repository can't be queried.
    """
    universe = context.butler.universe()
    namespace, version = content.universe_namespace, content.universe_version
    if namespace != (universe.namespace if universe else export_file.NAMESPACE):
        raise StateError(f'{path}: written with the dimension universe "{namespace}", which the repository doesn\'t use')
    newest = universe.version if universe else version
    if not 1 <= version <= newest:
        raise StateError(
            f"{path}: written with version {version} of the dimension universe; the repository has version {newest}",
            ("export the datasets again from a repository of the same or an earlier version",),
        )
    if version < EARLIEST_UNIVERSE_WITH_OBSERVATIONS and {"exposure", "visit"} & set(content.dimensions):
        raise StateError(
            f"{path}: contains exposures or visits in the form of version {version} of the dimension universe",
            ("export the datasets again with a current stack",),
        )


def find_definition_conflicts(context: Context, content: ExportFile) -> Iterator[Condition]:
    """Yield a conflict for each collection of another type, and each dataset type of another definition, in the repository.

    The children of chains are not compared.

    Raises
    ------
    reconciler.errors.StateError
        If a dataset type that the repository has, too, names a dimension that it doesn't have.
    reconciler.errors.ObserveError
        If the repository can't be queried.
    """
    collections, dataset_types = context.butler.collections(), context.butler.dataset_types()
    for name, collection in content.collections.items():
        if name in collections and collections[name].type != collection.type:
            text = f"{name} is a {collections[name].type} collection in the repository, {collection.type} in the file"
            yield Condition(DifferenceKind.CONFLICT, text)
    for name, definition in content.dataset_types.items():
        if name not in dataset_types:
            continue
        same = (
            dataset_types[name].dimensions == context.butler.required(definition.dimensions)
            and dataset_types[name].storage_class == definition.storage_class
            and dataset_types[name].is_calibration == definition.is_calibration
        )
        if not same:
            text = f"the definition of dataset type {name} differs between the repository and the file"
            yield Condition(DifferenceKind.CONFLICT, text)


def find_record_differences(context: Context, content: ExportFile) -> Iterator[Condition]:
    """Yield one condition if records of `FIXED_ELEMENTS` differ from those of an export file; the Butler silently keeps its own.

    Others, such as exposures, are not compared, and absent ones are no difference.

    Raises
    ------
    reconciler.errors.ObserveError
        If the repository can't be queried.
    """
    from reconciler.systems.butler.export_values import record_values

    differing: list[JsonObject] = []
    for element, rows in content.dimensions.items():
        if element not in FIXED_ELEMENTS:
            continue
        existing = {frozenset(record.dataId.required.items()): record for record in context.butler.records(element)}
        for row in rows if existing else ():
            record = context.butler.make_record(element, record_values(row))
            other = existing.get(frozenset(record.dataId.required.items()))
            if other is not None and other != record:
                differing.append({"element": element, **dict(record.dataId.required)})
    if differing:
        names = ", ".join(sorted({member["element"] for member in differing}))
        text = f"{len(differing):,} records of {names} differ from the file's; the repository's are kept"
        yield Condition(DifferenceKind.DEGRADED, text, tuple(differing))
