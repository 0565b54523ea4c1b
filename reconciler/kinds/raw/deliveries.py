"""The raws of a table that are in Rucio, in the Butler, or in both, for the ledger of deliveries."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from reconciler.kinds.raw.batches import RAWS_PER_BATCH, list_raws
from reconciler.kinds.raw.data_id_pattern import DataIdPattern, find_night
from reconciler.kinds.raw.files import RawNames
from reconciler.kinds.raw.spec import RawSpec
from reconciler.kinds.shared.delivered_files import NO_DETECTOR, DeliveredFile, Deliveries, RefBatches, RegisteredFiles
from reconciler.kinds.shared.local_folders import LocalFolders

if TYPE_CHECKING:
    from reconciler.systems.context import Context
    from reconciler.systems.rucio.facts import FileFacts


def list_deliveries(context: Context, name: str, spec: RawSpec) -> Deliveries:
    """Return the raws that are in Rucio, in the Butler, or in both."""
    registered = RegisteredFiles.query(context, spec.delivered_by)
    names, folders = RawNames.compile(spec), LocalFolders(spec.list_locations())
    datasets = dict(registered.files.values())
    files = {folders.locate(file.name): (file, datasets[file]) for file in names.select(datasets)}
    if spec.data_id is None:
        raws = _pair_by_path(context, name, files)
    else:
        raws = _pair_by_data_id(context, name, spec, DataIdPattern.compile(spec.data_id), files)
    return Deliveries(
        tuple(raws), registered.datasets, registered.unregistered, functools.partial(_find_refs, context, name), by_night=True
    )


def _pair_by_data_id(
    context: Context, name: str, spec: RawSpec, pattern: DataIdPattern, files: Mapping[str, tuple[FileFacts, str]]
) -> Iterator[DeliveredFile]:
    """Yield each raw with its file in Rucio and its data ID in the Butler."""
    rows = context.butler.data_ids("raw", [name], ["instrument", "exposure", "detector"])
    numbers: dict[Any, tuple[Any, ...]] = {key: row for row, key in pattern.convert(context, spec.instrument, rows).items()}
    found_in_rucio: dict[Hashable, list[tuple[FileFacts, str]]] = defaultdict(list)
    unusable: list[tuple[FileFacts, str]] = []
    for path, found in sorted(files.items()):
        if data_id := pattern.parse(path):
            found_in_rucio[data_id["exposure"], data_id["detector"]].append(found)
        else:
            unusable.append(found)
    registered: dict[Hashable, tuple[FileFacts, str]] = {}
    for key, rivals in found_in_rucio.items():
        if len(rivals) == 1 or key in numbers:
            registered[key] = rivals.pop(0)
        unusable += rivals
    for file, did in unusable:
        yield DeliveredFile(file.name, find_night(file.name), dataset=did, file=file, recognized=False)
    records = context.butler.records("detector", instrument=spec.instrument) if pattern.by_full_name else ()
    detectors = {record.full_name: record.id for record in records}
    none: tuple[FileFacts | None, str] = (None, "")
    for key in dict.fromkeys([*registered, *numbers]):
        exposure, detector = key
        its, did = registered.get(key, none)
        yield DeliveredFile(
            str(exposure),
            find_night(str(exposure)),
            detector if isinstance(detector, int) else detectors.get(detector, NO_DETECTOR),
            did,
            its,
            key in numbers,
            numbers.get(key),
        )


def _pair_by_path(context: Context, name: str, files: Mapping[str, tuple[FileFacts, str]]) -> Iterator[DeliveredFile]:
    """Yield each raw with its file in Rucio and its path in the Butler; only the Butler knows the detector then."""
    refs = context.butler.refs("raw", [name])
    paths = context.butler.paths(refs)
    seen = set()
    for ref in refs:
        path = paths.get(str(ref.id), "")
        file, did = files.get(path, (None, ""))
        seen.add(path)
        exposure, detector = ref.dataId["exposure"], ref.dataId["detector"]
        key = (ref.dataId["instrument"], exposure, detector)
        yield DeliveredFile(str(exposure), find_night(str(exposure)), detector, did, file, True, key)
    for path, (its, did) in files.items():
        if path not in seen:
            yield DeliveredFile(its.name, find_night(path), dataset=did, file=its)


def _find_refs(context: Context, name: str, keys: Collection[Hashable]) -> RefBatches:
    """Yield raws by instrument, exposure and detector, in batches of some exposures."""
    chosen: Collection[Any] = set(keys)
    exposures = sorted({(instrument, exposure) for instrument, exposure, _ in chosen})
    size = max(RAWS_PER_BATCH * len(exposures) // max(len(chosen), 1), 1)
    for refs in list_raws(context, name, exposures, size):
        by_number = {(ref.dataId["instrument"], ref.dataId["exposure"], ref.dataId["detector"]): ref for ref in refs}
        yield [(key, ref) for key, ref in by_number.items() if key in chosen]
