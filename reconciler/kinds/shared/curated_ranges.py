"""Validity ranges that curated calibrations must have, derived from the RUN collections that contain them.

``write-curated-calibrations`` writes each dataset to a RUN collection named by the date from which it is valid, until the next
date with a dataset of the same type and data ID; what is valid at all times is in ``…/unbounded``.
"""

from __future__ import annotations

import datetime
import re
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from reconciler.engine.model import JsonObject, Members
from reconciler.kinds.shared.validity import describe_range

if TYPE_CHECKING:
    from reconciler.systems.butler.datasets import Certification
    from reconciler.systems.butler.instruments import CuratedFacts
    from reconciler.systems.butler.repository import DatasetRef
    from reconciler.systems.context import Context

TOLERANCE = 60 * 10**9
"""Nanoseconds by which a range may differ from the date of its RUN collection, which is in UTC while ranges are in TAI."""
CURATED = re.compile(r"/curated/(\d{8}T\d{6})Z?$")


def compare_ranges(
    context: Context, collection: str, runs: Collection[str], lacking: Iterable[str], certified: Iterable[Certification]
) -> Members:
    """Compare the certifications of a CALIBRATION collection with the datasets in some RUN collections.

    Parameters
    ----------
    context : `reconciler.systems.context.Context`
        The live systems.
    collection : `str`
        The CALIBRATION collection.
    runs : collection of `str`
        The RUN collections, of `list_curated_runs`.
    lacking : iterable of `str`
        Dataset types that must be there and of which no dataset was written.
    certified : iterable of `Certification`
        All certifications of these datasets, and of others, in the collection.
    """
    refs = _list_written(context, runs)
    expected = _find_expected_ranges(refs)
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    unmanaged = []
    for its_collection, dataset_type, dataset_id, begin, end in sorted(certified):
        if its_collection == collection:
            found[dataset_id].append((begin, end))
            if dataset_id not in expected:
                unmanaged.append({"dataset_type": dataset_type, "id": dataset_id, "validity": describe_range(begin, end)})
    changed = []
    for dataset_id, desired in expected.items():
        differing = [actual for actual in found[dataset_id] if not _is_close(actual, desired)]
        member = _to_member(refs[dataset_id], desired)
        changed += [{**member, "certified": describe_range(*actual)} for actual in differing]
    members: dict[Hashable, JsonObject] = {f"type {name}": {"dataset_type": name} for name in lacking}
    members |= {dataset_id: _to_member(refs[dataset_id], desired) for dataset_id, desired in expected.items()}
    present = {dataset_id for dataset_id, ranges in found.items() if ranges}
    return Members.compare("certifications", members, present, unmanaged=unmanaged, changed=changed)


def list_curated_runs(context: Context, names: CuratedFacts) -> list[str]:
    """Return the RUN collections that write-curated-calibrations has made of these names."""
    collections = context.butler.collections()
    candidates = (names.unbounded, *collections.below(names.curated))
    return [name for name in candidates if name in collections and collections[name].type == "RUN"]


def _list_written(context: Context, names: Iterable[str]) -> dict[str, DatasetRef]:
    """Return the calibrations in the RUN collections that write-curated-calibrations makes, by UUID."""
    types = context.butler.dataset_types()
    runs: dict[str, list[str]] = defaultdict(list)
    for name in names:
        for dataset_type in context.butler.collections()[name].dataset_types:
            if dataset_type in types and types[dataset_type].is_calibration:
                runs[dataset_type].append(name)
    refs: dict[str, DatasetRef] = {}
    for dataset_type in sorted(runs):
        refs |= context.butler.members(dataset_type, sorted(runs[dataset_type]))
    return refs


def _find_expected_ranges(refs: Mapping[str, DatasetRef]) -> dict[str, tuple[int, int]]:
    from reconciler.systems.butler.export_values import nanoseconds

    series: dict[Hashable, list[tuple[str, str]]] = defaultdict(list)
    expected: dict[str, tuple[int, int]] = {}
    for dataset_id, ref in refs.items():
        dated = CURATED.search(ref.run)
        if dated is None:
            expected[dataset_id] = nanoseconds(None, None)
        else:
            date = datetime.datetime.strptime(dated[1], "%Y%m%dT%H%M%S").isoformat(" ")
            series[ref.datasetType.name, frozenset(ref.dataId.required.items())].append((date, dataset_id))
    for dated_ids in series.values():
        dates = sorted(dated_ids)
        for (begin, dataset_id), (end, _) in zip(dates, [*dates[1:], (None, "")], strict=True):
            expected[dataset_id] = nanoseconds(begin, end)
    return expected


def _is_close(actual: tuple[int, int], desired: tuple[int, int]) -> bool:
    return all(abs(one - other) <= TOLERANCE for one, other in zip(actual, desired, strict=True))


def _to_member(ref: DatasetRef, desired: tuple[int, int]) -> dict[str, Any]:
    return {"dataset_type": ref.datasetType.name, "id": str(ref.id), **ref.dataId.required, "validity": describe_range(*desired)}
