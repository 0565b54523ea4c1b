"""Metadata of raws, from index files of astrometadata, from sidecar files, or from FITS headers.

As in obs_base, an index file in the folder of a file is preferred. A file that it doesn't name is opened, and a remote one is
downloaded for that. What can't be read is reported with its reason; nothing is written to a repository.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from astro_metadata_translator import MetadataTranslator, ObservationInfo
from astro_metadata_translator.indexing import process_index_data, process_sidecar_data
from lsst.resources import ResourcePath

from standin import translator as translator  # registers its class

INDEX = "_index.json"
REQUIRED = {
    "instrument", "exposure_id", "detector_num", "exposure_group", "observation_id", "observation_type", "observing_day",
    "physical_filter", "datetime_begin", "datetime_end", "exposure_time_requested", "group_counter_start", "group_counter_end",
    "has_simulated_content",
}  # fmt: skip
"""Properties without which a file can't be ingested; the same ones as in obs_base."""
OPTIONAL = {
    "altaz_begin", "boresight_rotation_angle", "boresight_rotation_coord", "can_see_sky", "dark_time", "object",
    "observation_counter", "observation_reason", "observing_day_offset", "science_program", "tracking_radec", "visit_id",
}  # fmt: skip


class MetadataError(Exception):
    """Metadata that can't be read or that lacks required properties."""


@dataclass(frozen=True)
class RawFile:
    """A file with its metadata, or with the reason why it has none."""

    path: ResourcePath
    info: ObservationInfo | None
    error: Exception | None = None

    @property
    def filename(self) -> ResourcePath:
        """The file, under obs_base's name."""
        return self.path

    @property
    def datasets(self) -> list[Any]:
        """The data ID of the file, in obs_base's form."""
        if self.info is None:
            return []
        data_id = {"instrument": self.info.instrument, "exposure": self.info.exposure_id, "detector": self.info.detector_num}
        return [SimpleNamespace(dataId=data_id)]


def read_files(paths: Sequence[ResourcePath], *, search_indexes: bool, workers: int) -> Iterator[RawFile]:
    """Yield all files with their metadata; those that index files describe come last.

    Parameters
    ----------
    paths : sequence of `lsst.resources.ResourcePath`
        Files; index files among them stand for all files that they name.
    search_indexes : `bool`
        Whether index files are looked for.
    workers : `int`
        Number of headers to read at the same time.
    """
    paths = [path.abspath() for path in paths]
    indexed: dict[ResourcePath, Any] = {}
    broken: list[RawFile] = []
    rest = paths
    if search_indexes:
        indexed, broken = _read_indexes(paths)
        unread = {file.path for file in broken}
        rest = [path for path in dict.fromkeys(paths) if path not in indexed and path not in unread and path.basename() != INDEX]
    if workers > 1:
        with ThreadPoolExecutor(workers) as pool:
            yield from pool.map(_read_file, rest)
    else:
        yield from map(_read_file, rest)
    yield from broken
    for path, content in indexed.items():
        yield _check(path, content)


def _read_indexes(paths: Iterable[ResourcePath]) -> tuple[dict[ResourcePath, Any], list[RawFile]]:
    """Return what the index files of the folders of some files have about them, and the index files that can't be read."""
    folders: dict[ResourcePath, set[str]] = defaultdict(set)
    for path in paths:
        folder, name = path.split()
        folders[folder].add(name)
    found: dict[ResourcePath, Any] = {}
    broken = []
    for folder, names in folders.items():
        place = folder.join(INDEX)
        if not place.exists():
            continue
        try:
            index: Any = process_index_data(json.loads(place.read()), force_dict=True)
        except Exception as error:  # whatever a broken file leads to
            broken.append(RawFile(place, None, error))
            continue
        for name in index if INDEX in names else names:
            if name in index:
                found[folder.join(name)] = index[name]
    return found, broken


def _read_file(path: ResourcePath) -> RawFile:
    """Read the metadata of a file from the JSON file next to it, or from its header."""
    try:
        with contextlib.suppress(Exception):  # as obs_base: a sidecar file that can't be read is as good as none
            return _check(path, process_sidecar_data(json.loads(path.updatedExtension(".json").read())))
        with path.as_local() as local:
            return _check(path, _read_header(local.ospath))
    except Exception as error:  # whatever a broken file leads to
        return RawFile(path, None, error)


def _read_header(path: str) -> dict[str, Any]:
    from astropy.io import fits

    header = dict(fits.getheader(path, 0))
    MetadataTranslator.determine_translator(header, filename=path)
    return header


def _check(path: ResourcePath, content: Any) -> RawFile:
    """Translate a header, and return the file with its metadata if they are complete."""
    try:
        if not isinstance(content, ObservationInfo):
            content = ObservationInfo(content, filename=str(path), pedantic=False, required=REQUIRED, subset=REQUIRED | OPTIONAL)
        if missing := sorted(name for name in REQUIRED if getattr(content, name) is None):
            raise MetadataError(f"{path} lacks {', '.join(missing)}")
    except Exception as error:  # whatever a broken header leads to
        return RawFile(path, None, error)
    return RawFile(path, content)
