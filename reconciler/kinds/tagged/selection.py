"""The datasets that a ``tagged`` table selects: listed, or only counted."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from reconciler.engine.model import Condition, DifferenceKind
from reconciler.errors import ObserveError, StateError
from reconciler.kinds.shared.names import explain_unknown_type, is_coming
from reconciler.kinds.tagged.spec import TaggedSpec

RAW_DIMENSIONS = {"instrument", "exposure", "detector"}

if TYPE_CHECKING:
    from reconciler.systems.butler.repository import DatasetRef
    from reconciler.systems.context import Context


def find_desired(context: Context, spec: TaggedSpec) -> tuple[dict[str, DatasetRef], list[Condition]]:
    """Return the datasets that should be members by UUID, and conditions for listed ones that don't exist yet.

    Raises
    ------
    reconciler.errors.ObserveError
        If the query expression is invalid.
    """
    ids = spec.read_ids() if spec.ids else None
    refs: dict[str, DatasetRef] = {}
    conditions: list[Condition] = []
    known = context.butler.dataset_types()
    for dataset_type in spec.dataset_types:
        if dataset_type not in known:
            kind = DifferenceKind.WAITING if is_coming(context, dataset_type) else DifferenceKind.BLOCKED
            conditions.append(Condition(kind, explain_unknown_type(context, dataset_type)))
            continue
        if spec.listed_dimension:
            found, missing = _find_listed(context, spec, dataset_type)
            conditions += missing
        else:
            with _named_expression(spec.where):
                found = context.butler.members_where(dataset_type, spec.sources, spec.where)
        refs |= {str(ref.id): ref for ref in found if ids is None or str(ref.id) in ids}
    if ids is not None and len(ids) > len(refs):
        text = f"{len(ids) - len(refs):,} of {len(ids):,} listed datasets are not in {', '.join(spec.sources)}"
        conditions.append(Condition(DifferenceKind.WAITING, text))
    return refs, conditions


def count_desired(context: Context, spec: TaggedSpec) -> int | None:
    """Count the datasets that should be members; return None if they have to be listed."""
    if spec.ids or (spec.listed_dimension and spec.where):
        return None
    count = 0
    for dataset_type in spec.dataset_types:
        definition = context.butler.dataset_types().get(dataset_type)
        if definition is None:
            return None
        if spec.listed_dimension:
            dimension, numbers, undefined = resolve_listed(context, spec, definition.dimensions)
            if undefined or dimension not in definition.dimensions:
                return None
            count += context.butler.count_in(dataset_type, spec.sources, dimension, numbers, spec.instrument or "")
        else:
            with _named_expression(spec.where):
                count += context.butler.count(dataset_type, spec.sources, spec.where)
    return count


def count_of_all_detectors(context: Context, spec: TaggedSpec) -> int | None:
    """Return how many raws of the listed visits or exposures there are at most: one RUN collection has no more than these.

    It is calculated, in a fifth of the time of counting those that exist. None if they may be of several RUN collections, or if
    something else selects them besides visits or exposures.
    """
    if not spec.listed_dimension or spec.ids or spec.where or len(spec.dataset_types) > 1 or len(spec.sources) > 1:
        return None
    source = context.butler.collections().get(spec.sources[0])
    definition = context.butler.dataset_types().get(spec.dataset_types[0])
    if source is None or source.type != "RUN" or definition is None or set(definition.dimensions) != RAW_DIMENSIONS:
        return None
    _, exposures, undefined = resolve_listed(context, spec, definition.dimensions)
    return None if undefined else len(exposures) * len(context.butler.records("detector", instrument=spec.instrument))


def _find_listed(context: Context, spec: TaggedSpec, dataset_type: str) -> tuple[list[DatasetRef], list[Condition]]:
    """Return the datasets of the listed visits or exposures, and a condition for those that have none."""
    definition = context.butler.dataset_types()[dataset_type]
    dimension, numbers, undefined = resolve_listed(context, spec, definition.dimensions)
    if dimension not in definition.dimensions:
        raise StateError(f"{spec.listed_dimension}s: dataset type {dataset_type} has no dimension {dimension}")
    missing: set[Hashable] = set(undefined)
    found = context.butler.refs_in(dataset_type, spec.sources, dimension, numbers, spec.instrument or "")
    if spec.where:
        with _named_expression(spec.where):
            selected = context.butler.data_ids(dataset_type, spec.sources, definition.dimensions, spec.where)
        found = [ref for ref in found if tuple(ref.dataId[name] for name in definition.dimensions) in selected]
    else:
        missing |= set(numbers) - {ref.dataId[dimension] for ref in found}
    if not missing:
        return found, []
    listed = (
        f"1 listed {spec.listed_dimension} has" if len(missing) == 1 else f"{len(missing):,} listed {spec.listed_dimension}s have"
    )
    text = f"{listed} no {dataset_type} in {', '.join(spec.sources)} yet"
    members = tuple({dimension: number} for number in sorted(missing, key=str))
    return found, [Condition(DifferenceKind.WAITING, text, members)]


def resolve_listed(context: Context, spec: TaggedSpec, dimensions: Collection[str]) -> tuple[str, list[int], set[int]]:
    """Return the dimension by which to query, its values, and the listed visits that are not defined.

    Visits are mapped to exposures for dataset types with exposures: on a SQLite database that was never analyzed, a query of
    raws by visit takes a hundred times as long.
    """
    numbers = sorted(set(spec.read_numbers()))
    if spec.listed_dimension != "visit" or "exposure" not in dimensions:
        return spec.listed_dimension, numbers, set()
    exposures = _find_exposures(context, spec.instrument or "")
    chosen = {exposure for visit in numbers for exposure in exposures.get(visit, ())}
    return "exposure", sorted(chosen), {visit for visit in numbers if visit not in exposures}


def _find_exposures(context: Context, instrument: str) -> Mapping[int, Sequence[int]]:
    """Return the exposures of each defined visit."""
    exposures: dict[int, list[int]] = defaultdict(list)
    for visit, exposure in context.butler.visit_definitions(instrument):
        exposures[visit].append(exposure)
    return exposures


@contextlib.contextmanager
def _named_expression(where: str) -> Iterator[None]:
    """Name the query expression in the message of an error, since the Butler doesn't."""
    try:
        yield
    except ObserveError as error:
        raise ObserveError(f"where = {where!r}: {error}", error.hints) from error
