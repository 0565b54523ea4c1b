"""Which zips that aren't ingested have arrived here, together with the dimension records that their ingest needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.counts import plural
from reconciler.engine.model import Condition, DifferenceKind
from reconciler.kinds.raw_zip.listing import ExposureZip, ZipDatasets
from reconciler.kinds.shared.delivery import query_delivery

if TYPE_CHECKING:
    from reconciler.systems.context import Context

MOST_NAMED = 5
"""Nights that a text names."""


@dataclass(frozen=True)
class Arrivals:
    """The zips that aren't ingested.

    Parameters
    ----------
    here : `tuple` [`ExposureZip`, ...]
        Those that can be ingested now.
    awaited : `tuple` [`ExposureZip`, ...]
        Those of which the zip or the records are still to come.
    conditions : `tuple` [`Condition`, ...]
        What is waited for, and zips that will never have records.
    """

    here: tuple[ExposureZip, ...]
    awaited: tuple[ExposureZip, ...]
    conditions: tuple[Condition, ...]


def find_arrivals(context: Context, datasets: ZipDatasets, zips: Sequence[ExposureZip], known: Mapping[int, str]) -> Arrivals:
    """Find out which zips have arrived; records are needed for exposures that the repository doesn't know."""
    new = {zipped.obs_id for zipped in zips} - set(known.values())
    ordered = sorted(zips)
    places = [zipped.path for zipped in ordered] + [
        zipped.records for zipped in ordered if zipped.obs_id in new and zipped.records
    ]
    state = query_delivery(context, list(datasets.facts) if ordered else (), places)
    awaited, here, bare = [], [], []
    for zipped in ordered:
        needed = zipped.obs_id in new
        if not state.is_delivered(zipped.path) or (needed and zipped.records and not state.is_delivered(zipped.records)):
            awaited.append(zipped)
        elif needed and not zipped.records:
            bare.append(zipped)
        else:
            here.append(zipped)
    conditions = []
    if awaited:
        conditions.append(Condition(DifferenceKind.WAITING, _describe_awaited(awaited), field="delivered_by"))
    if bare:
        which = "it" if len(bare) == 1 else "them"
        text = (
            f"{plural(len(bare), 'zip')} can't be ingested: Rucio has no dimension records OBS_ID_dimensions.yaml next to {which}"
        )
        members = tuple({"exposure": zipped.obs_id, "day_obs": zipped.night, "zip": zipped.path} for zipped in bare)
        conditions.append(Condition(DifferenceKind.BLOCKED, text, members, "delivered_by"))
    return Arrivals(tuple(here), tuple(awaited), tuple(conditions))


def _describe_awaited(awaited: Sequence[ExposureZip]) -> str:
    counts = Counter(zipped.night for zipped in awaited)
    named = [f"{night} ({count:,})" for night, count in sorted(counts.items())[:MOST_NAMED]]
    more = f" and {len(counts) - MOST_NAMED:,} more nights" if len(counts) > MOST_NAMED else ""
    return f"waiting for {plural(len(awaited), 'zip')} of {', '.join(named)}{more}, registered in Rucio and not here yet"
