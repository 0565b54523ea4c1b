"""Which names the tables of a state bring, so that a name that doesn't exist yet isn't reported as a mistake."""

from __future__ import annotations

from collections.abc import Collection

from reconciler.engine.model import DesiredState
from reconciler.files import export_file
from reconciler.kinds.dataset_type import DatasetTypeSpec
from reconciler.kinds.import_ import ImportSpec
from reconciler.systems.context import ComingNames

INSERTED_ELEMENTS = {
    "raw": ("exposure", "group", "day_obs"),
    "raw_zip": ("exposure", "group", "day_obs", "visit"),
    "visits": ("visit", "visit_system"),
}
"""Dimensions of which the resources of a kind insert records, by the kind."""
OWN_KINDS = "reconciler.kinds."


def find_coming_names(state: DesiredState, tokens: Collection[str]) -> ComingNames:
    """Return the dataset types, and the dimensions with records, that the tables of a state bring.

    Parameters
    ----------
    state : `DesiredState`
        The state.
    tokens : `Collection` [`str`]
        All tokens that its tables mention, as in `Graph.tokens`.

    Raises
    ------
    reconciler.errors.StateError
        If an export file can't be read.
    """
    types = frozenset(token.partition(":")[2] for token in tokens if token.startswith("dataset_type:"))
    dimensions = {a.name: spec.dimensions for a, spec in state.resources.items() if isinstance(spec, DatasetTypeSpec)}
    kinds = {state.kind_of(address) for address in state.resources}
    if not all(type(kind).__module__.startswith(OWN_KINDS) for kind in kinds):  # a plug-in may bring anything
        return ComingNames(types, dimensions, all_types=True, elements=None)
    names = {kind.name for kind in kinds}
    elements = {element for path in find_export_files(state) for element in export_file.read(path).dimensions}
    elements.update(element for name in names for element in INSERTED_ELEMENTS.get(name, ()))
    return ComingNames(types, dimensions, "curated_calibrations" in names, frozenset(elements))


def find_export_files(state: DesiredState) -> list[str]:
    """Return the paths of the export files that the [import] tables of a state name, in the order of the file."""
    return [spec.export_file for spec in state.resources.values() if isinstance(spec, ImportSpec)]
