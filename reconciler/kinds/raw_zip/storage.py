"""Check the zips of ingested exposures on storage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from reconciler.engine.model import Condition
from reconciler.kinds.raw.batches import RAWS_PER_BATCH
from reconciler.kinds.raw_zip.ingested import IngestedNights
from reconciler.kinds.raw_zip.spec import RawZipSpec
from reconciler.kinds.shared.nights import Nights
from reconciler.kinds.shared.storage_check import check_stored_files, sample_size
from reconciler.kinds.shared.suspects import Suspects

if TYPE_CHECKING:
    from reconciler.systems.butler.repository import DatasetRef
    from reconciler.systems.context import Context


def check_storage(context: Context, name: str, spec: RawZipSpec, nights: Nights) -> tuple[Condition, ...]:
    """Check the members of the zips of ingested exposures; a sample of N is N exposures."""
    if spec.verify == "none":
        return ()
    datasets = IngestedNights.select(context, spec.instrument, nights).list_datasets("raw", name)
    by_exposure: dict[int, list[DatasetRef]] = defaultdict(list)
    for ref in datasets.values():
        by_exposure[int(ref.dataId["exposure"])].append(ref)
    count, exposures = sample_size(spec.verify), sorted(by_exposure)
    if count is not None:
        suspects = Suspects.read(context)
        suspected = suspects.list_exposures()
        exposures = suspects.choose(exposures, count, lambda exposure: (spec.instrument, exposure) in suspected)
    total = sum(len(by_exposure[exposure]) for exposure in exposures)
    batches = _pack([by_exposure[exposure] for exposure in exposures])
    return check_stored_files(context, spec.verify, batches, total, spec.delivered_by, sampled=True)


def _pack(groups: list[list[DatasetRef]]) -> Iterator[list[DatasetRef]]:
    """Yield batches of whole exposures, which bounds the memory and opens each zip once."""
    batch: list[DatasetRef] = []
    for group in groups:
        batch += group
        if len(batch) >= RAWS_PER_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
