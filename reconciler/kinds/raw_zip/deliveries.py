"""The zips of a table that are in Rucio, in the Butler, or in both, for the ledger of deliveries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, NamedTuple

from reconciler.kinds.raw_zip.comparison import is_proven
from reconciler.kinds.raw_zip.contents import read_contents
from reconciler.kinds.raw_zip.ingested import IngestedNights
from reconciler.kinds.raw_zip.listing import RECORDS, ZIP, ZipDatasets
from reconciler.kinds.raw_zip.spec import RawZipSpec
from reconciler.kinds.shared.delivered_files import DeliveredFile, Deliveries, RefBatches
from reconciler.kinds.shared.nights import Nights, resolve_nights

if TYPE_CHECKING:
    from reconciler.systems.context import Context
    from reconciler.systems.rucio.facts import FileFacts

RAW = "raw"
ZIPS_PER_BATCH = 100


class _Registered(NamedTuple):
    """A zip in Rucio, with the first dataset that contains it and the dimension records next to it, if there are any."""

    file: FileFacts
    night: int
    dataset: str
    records: tuple[FileFacts, ...]


def list_deliveries(context: Context, name: str, spec: RawZipSpec) -> Deliveries:
    """Return the zips that are in Rucio, in the Butler, or in both.

    A zip whose exposure isn't ingested is delivered when its dimension records are, too. The Butler has a zip of which it has all
    datasets.
    """
    nights = resolve_nights(spec.nights)
    datasets = ZipDatasets.find(context, spec, nights)
    ingested = IngestedNights.select(context, spec.instrument, nights)
    refs = ingested.list_datasets(RAW, name)
    by_exposure = ingested.group_by_exposure(refs)

    def find_refs(keys: Collection[Hashable]) -> RefBatches:
        chosen = sorted(map(str, keys))
        for start in range(0, len(chosen), ZIPS_PER_BATCH):
            yield [(obs_id, refs[id]) for obs_id in chosen[start : start + ZIPS_PER_BATCH] for id in sorted(by_exposure[obs_id])]

    night_of = {obs_id: night for obs_id, night in ingested.find_nights().items() if obs_id in by_exposure}
    partly = (
        set() if is_proven(context, name, spec, nights, datasets) else _find_partly_ingested(datasets, nights, name, by_exposure)
    )
    zips = tuple(_pair_with_exposures(_list_registered(datasets, nights), night_of, partly))
    return Deliveries(zips, tuple(datasets.facts), datasets.unregistered, find_refs)


def _find_partly_ingested(datasets: ZipDatasets, nights: Nights, name: str, by_exposure: Mapping[str, Set[str]]) -> set[str]:
    """Return the exposures that the Butler has without all datasets of their zip; a zip that can't be read shows nothing."""
    ingested = IngestedNights.select(datasets.context, datasets.spec.instrument, nights)
    zips = [zipped for obs_id, zipped in datasets.list_zips(nights).zips.items() if obs_id in by_exposure]
    contents = read_contents(datasets.context, zips, datasets.spec.instrument, name, ingested.name_exposures())
    everything = ingested.list_all(contents.find_types())
    return {obs_id for obs_id, content in contents.usable.items() if not content.datasets.keys() <= everything}


def _pair_with_exposures(
    registered: Mapping[str, Sequence[_Registered]], night_of: Mapping[str, int], partly: Set[str]
) -> Iterator[DeliveredFile]:
    """Yield each exposure with its zip; of several zips of one that isn't ingested, none can be."""
    for obs_id, rivals in registered.items():
        known = obs_id in night_of
        usable = rivals[:1] if known or len(rivals) == 1 else ()
        for zipped in usable:
            yield DeliveredFile(
                obs_id,
                zipped.night,
                dataset=zipped.dataset,
                file=zipped.file,
                in_butler=known and obs_id not in partly,
                key=obs_id,
                needs=() if known else zipped.records,
            )
        for zipped in rivals[len(usable) :]:
            yield DeliveredFile(zipped.file.name, zipped.night, dataset=zipped.dataset, file=zipped.file, recognized=False)
    for obs_id in night_of.keys() - registered.keys():
        yield DeliveredFile(obs_id, night_of[obs_id], in_butler=True, key=obs_id)


def _list_registered(datasets: ZipDatasets, nights: Nights) -> Mapping[str, Sequence[_Registered]]:
    """Return the zips of some nights in Rucio, by the name of the exposure."""
    files: dict[str, tuple[FileFacts, str]] = {}
    for did, listed in datasets.context.rucio.files_by_dataset(list(datasets.facts)).items():
        for file in listed:
            files.setdefault(file.name, (file, did))
    records = {(found["night"], found["obs_id"]): files[name][0] for name in files if (found := RECORDS.search(name))}
    zips: dict[str, list[_Registered]] = defaultdict(list)
    for name in sorted(files):
        found = ZIP.search(name)
        if found is not None and int(found["night"]) in nights:
            file, did = files[name]
            its = records.get((found["night"], found["obs_id"]))
            zips[found["obs_id"]].append(_Registered(file, int(found["night"]), did, (its,) if its else ()))
    return zips
