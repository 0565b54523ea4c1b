"""What zips contain, read from their indexes in parallel, and why some of them can't be ingested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.kinds.raw_zip.listing import ExposureZip
    from reconciler.systems.butler.zips import ZipContent
    from reconciler.systems.context import Context

READS_AT_ONCE = 16
"""Concurrent reads of indexes; on remote storage they spend nearly all their time waiting."""


@dataclass(frozen=True)
class ZipContents:
    """Zips that can be used, and the others.

    Parameters
    ----------
    usable : `Mapping` [`str`, `ZipContent`]
        What zips contain, by the name of the exposure.
    problems : `Mapping` [`str`, `str`]
        Why the other zips can't be used.
    """

    usable: Mapping[str, ZipContent]
    problems: Mapping[str, str]

    def find_types(self) -> set[tuple[str, str]]:
        """Return the dataset types of the zips, each with the RUN collection of its datasets."""
        return {(found.dataset_type, found.run) for content in self.usable.values() for found in content.datasets.values()}


def read_contents(
    context: Context, zips: Iterable[ExposureZip], instrument: str, run: str, names: Mapping[int, str]
) -> ZipContents:
    """Read the indexes of zips, and check that each contains raws of its exposure.

    Parameters
    ----------
    context : `reconciler.systems.context.Context`
        The live systems.
    zips : iterable of `ExposureZip`
        The zips.
    instrument, run : `str`
        What their raws are of.
    names : `Mapping` [`int`, `str`]
        The exposures that the repository knows. The records next to a zip name its exposure if the repository doesn't know it.
    """
    from reconciler.systems.butler.zips import UnusableZip, check_content, read_content, read_exposures

    def read(zipped: ExposureZip) -> tuple[str, ZipContent | None, str]:
        try:
            content = context.read_file(("zip", zipped.path), lambda: read_content(zipped.path))
            known = names
            if zipped.records and not {exposure for _, exposure in content.exposures} <= names.keys():
                key = ("exposures", zipped.records, instrument, zipped.night)
                known = context.read_file(key, lambda: read_exposures(zipped.records, instrument, zipped.night))
            check_content(content, instrument, zipped.obs_id, run, known)
        except UnusableZip as problem:
            return zipped.obs_id, None, str(problem)
        return zipped.obs_id, content, ""

    with ThreadPoolExecutor(READS_AT_ONCE) as threads:
        found = list(threads.map(read, zips))
    usable = {obs_id: content for obs_id, content, _ in found if content is not None}
    return ZipContents(usable, {obs_id: problem for obs_id, _, problem in found if problem})
