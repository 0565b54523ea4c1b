"""Lists of ingested raws in batches of some exposures, which bounds the memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from reconciler.engine.model import Condition
from reconciler.kinds.raw.spec import RawSpec
from reconciler.kinds.shared.storage_check import check_stored_files, sample_size
from reconciler.kinds.shared.suspects import Suspects

if TYPE_CHECKING:
    from reconciler.systems.butler.repository import DatasetRef
    from reconciler.systems.context import Context

RAWS_PER_BATCH = 20_000
"""Raws whose files are checked on storage at once, which bounds the memory."""


def check_storage(context: Context, name: str, spec: RawSpec) -> tuple[Condition, ...]:
    """Check the files of ingested raws."""
    if spec.verify == "none":
        return ()
    total = context.butler.count("raw", [name])
    return check_stored_files(context, spec.verify, _list_batches(context, name, spec, total), total, spec.delivered_by)


def _list_batches(context: Context, name: str, spec: RawSpec, total: int) -> Iterator[list[DatasetRef]]:
    """Yield the raws exposure by exposure, in batches; for a sample of N, one batch with the raws of N random exposures."""
    exposures = sorted(context.butler.data_ids("raw", [name], ["instrument", "exposure"]))
    count, size = sample_size(spec.verify), max(RAWS_PER_BATCH * len(exposures) // max(total, 1), 1)
    if count is not None:
        suspects = Suspects.read(context)
        exposures = suspects.choose(exposures, count, suspects.list_exposures().__contains__)
        size = max(len(exposures), 1)
    yield from list_raws(context, name, exposures, size)


def list_raws(context: Context, name: str, exposures: Sequence[tuple[Any, ...]], size: int) -> Iterator[list[DatasetRef]]:
    """Yield the raws of some exposures, each an instrument and a number, in batches of ``size`` exposures."""
    for start in range(0, len(exposures), size):
        numbers: dict[str, list[int]] = defaultdict(list)
        for instrument, exposure in exposures[start : start + size]:
            numbers[instrument].append(exposure)
        yield [
            ref
            for instrument, chosen in numbers.items()
            for ref in context.butler.refs_in("raw", [name], "exposure", chosen, instrument)
        ]
