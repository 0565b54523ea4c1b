"""Numbers of datasets and of files in Rucio by night."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from reconciler.errors import StateError, did_you_mean
from reconciler.kinds.shared.nights import Nights
from reconciler.systems.butler.queries import between_nights

if TYPE_CHECKING:
    from reconciler.systems.context import Context

_NIGHT = re.compile(r"(?:^|/)(\d{8})(?=/)")


def check_dimensions(context: Context, dataset_type: str, dimensions: Iterable[str]) -> None:
    """Check that a dataset type has some dimensions; one that doesn't exist is not checked.

    Raises
    ------
    reconciler.errors.StateError
        If it lacks one of them.
    reconciler.errors.ObserveError
        If the repository can't be queried.
    """
    definition = context.butler.dataset_types().get(dataset_type)
    if definition is None:
        return
    known = set(context.butler.universe().conform(definition.dimensions).names)
    for dimension in dimensions:
        if dimension not in known:
            raise StateError(f"{dataset_type} has no dimension {dimension}{did_you_mean(dimension, known)}")


def count_by_night(
    context: Context,
    dataset_type: str,
    collections: Sequence[str],
    instrument: str,
    nights: Nights,
    where: str = "",
    distinct: str | None = None,
) -> Counter[int]:
    """Count the different data IDs of datasets by day of observation.

    A data ID that several collections contain counts once. An exposure that is registered while this runs isn't counted.

    Parameters
    ----------
    context : `reconciler.systems.context.Context`
        The live systems.
    dataset_type : `str`
        Dataset type, which has the dimension exposure.
    collections : sequence of `str`
        Collections to count in.
    instrument : `str`
        Short name of the instrument.
    nights : `Nights`
        The nights.
    where : `str`
        Butler query expression that selects the datasets.
    distinct : `str`, optional
        Dimension whose different values are counted in place of the data IDs.

    Returns
    -------
    counts : `collections.Counter` [`int`]
        The numbers by night; none if the dataset type doesn't exist.

    Raises
    ------
    reconciler.errors.StateError
        If the dataset type doesn't have a dimension that this needs.
    reconciler.errors.ObserveError
        If the repository can't be queried.
    """
    check_dimensions(context, dataset_type, ["exposure", *([distinct] if distinct else [])])
    definition = context.butler.dataset_types().get(dataset_type)
    if definition is None:
        return Counter()
    chosen = between_nights(instrument, nights.first, nights.last)
    night_of = context.butler.record_values("exposure", "day_obs", chosen, instrument=instrument)
    names = list(dict.fromkeys(["exposure", *([distinct] if distinct else definition.dimensions)]))
    rows = context.butler.data_ids(dataset_type, collections, names, f"{chosen} AND ({where})" if where else chosen)
    counted = slice(1, None) if distinct not in (None, "exposure") else slice(None)
    return Counter(night for night, *_ in {(night_of[row[0]], *row[counted]) for row in rows if row[0] in night_of})


def count_files_by_night(context: Context, did: str, pattern: str, nights: Nights) -> Counter[int]:
    """Count by night the files of the Rucio datasets and containers that match ``did``, a DID with wildcards.

    Only files whose whole names match a shell pattern count, each once. A container stands for all datasets below it. The night
    is the last folder of eight digits in the name of a file; files without one, or of other nights, don't count.

    Raises
    ------
    reconciler.errors.ObserveError
        If Rucio can't be queried.
    """
    counts: Counter[int] = Counter()
    for file in context.rucio.files(context.rucio.matching(did)):
        found = _NIGHT.findall(file.name)
        if found and int(found[-1]) in nights and fnmatch.fnmatchcase(file.name, pattern):
            counts[int(found[-1])] += 1
    return counts
