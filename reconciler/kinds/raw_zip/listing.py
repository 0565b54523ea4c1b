"""The zips that Rucio has of some nights, and the dimension records next to them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.engine.model import Condition, DifferenceKind, JsonObject
from reconciler.kinds.raw_zip.spec import RawZipSpec
from reconciler.kinds.shared.delivered_files import find_datasets
from reconciler.kinds.shared.grown_raws import digest_files
from reconciler.kinds.shared.local_folders import LocalFolders
from reconciler.kinds.shared.nights import Nights

if TYPE_CHECKING:
    from reconciler.systems.context import Context
    from reconciler.systems.rucio.facts import DidFacts, FileFacts

ZIP = re.compile(r"(?:^|/)(?P<night>\d{8})/(?P<obs_id>[^/]+)\.zip$")
RECORDS = re.compile(r"(?:^|/)(?P<night>\d{8})/(?P<obs_id>[^/]+)_dimensions\.yaml$")
"""Names in Rucio, as lsst-dm/transfer_embargo gives them: ``INSTRUMENT/NIGHT/OBS_ID.zip`` and ``…/OBS_ID_dimensions.yaml``."""
NIGHT_IN_DATASET = re.compile(r"(?:^|/)(\d{8})(?=/|$)")
MOST_MONTHS = 3
"""Months of a window for each of which Rucio is searched; of a longer one, each year. A search is four requests."""


@dataclass(frozen=True, order=True)
class ExposureZip:
    """A zip in Rucio.

    Parameters
    ----------
    obs_id : `str`
        Name of its exposure.
    night : `int`
        Day of observation.
    path : `str`
        URI of the zip here.
    size : `int`
        Bytes.
    records : `str`
        URI here of the dimension records of the exposure; empty if Rucio has none.
    """

    obs_id: str
    night: int
    path: str
    size: int
    records: str

    def to_member(self) -> JsonObject:
        """Return the zip as a member of its table."""
        return {"exposure": self.obs_id, "day_obs": self.night, "path": self.path, "records": self.records, "bytes": self.size}


@dataclass(frozen=True)
class ZipListing:
    """The zips of some nights.

    Parameters
    ----------
    zips : `Mapping` [`str`, `ExposureZip`]
        By name of the exposure.
    names : frozenset of `str`
        The exposures that have a zip, or several.
    conditions : `tuple` [`Condition`, ...]
        Files that are neither zips nor records, exposures with several zips, and zips in a dataset of another night.
    misplaced : `bool`
        Whether there are such zips.
    """

    zips: Mapping[str, ExposureZip]
    names: frozenset[str]
    conditions: tuple[Condition, ...]
    misplaced: bool


@dataclass(frozen=True)
class ZipDatasets:
    """The Rucio datasets of a table for some nights.

    Parameters
    ----------
    context : `reconciler.systems.context.Context`
        The live systems.
    spec : `RawZipSpec`
        The table.
    facts : `Mapping` [`str`, `DidFacts`]
        The datasets by DID.
    unregistered : `tuple` [`str`, ...]
        The patterns of ``delivered_by`` that no dataset matches.
    """

    context: Context
    spec: RawZipSpec
    facts: Mapping[str, DidFacts]
    unregistered: tuple[str, ...]

    @classmethod
    def find(cls, context: Context, spec: RawZipSpec, nights: Nights) -> ZipDatasets:
        """Search Rucio for the datasets of a table."""
        searched = {pattern: list(_narrow(pattern, nights)) for pattern in spec.delivered_by}
        found, _ = find_datasets(context, [narrow for narrowed in searched.values() for narrow in narrowed])
        facts = {did: its for did, its in found.items() if (night := find_night(did)) is None or night in nights}
        unregistered = tuple(
            pattern
            for pattern, narrowed in searched.items()
            if not any(did in found for narrow in narrowed for did in context.rucio.matching(narrow))
        )
        return cls(context, spec, facts, unregistered)

    def digest(self) -> dict[str, str]:
        """Return a digest of each dataset; an open one is listed, as it may change unnoticed."""
        listed = self.context.rucio.files_by_dataset([did for did in self.facts if not self._is_closed(did)])
        return {
            did: f"{found.length} {found.bytes} {found.updated_at}"
            if self._is_closed(did)
            else digest_files({file.name: file.size for file in listed[did]})
            for did, found in self.facts.items()
        }

    def _is_closed(self, did: str) -> bool:
        """Return False also for a container: datasets in a closed one may be open."""
        found = self.facts[did]
        return found.length is not None and not found.is_open and found.type != "CONTAINER"

    def list_zips(self, nights: Collection[int] | Nights) -> ZipListing:
        """Return the zips of some nights, each once however many datasets contain it."""
        dids = [did for did in self.facts if (night := find_night(did)) is None or night in nights]
        by_dataset = self.context.rucio.files_by_dataset(dids)
        files = {file.name: file for listed in by_dataset.values() for file in listed}
        listing = _sort_files(self.spec, files, nights)
        misplaced = tuple(_find_misplaced(by_dataset))
        if not misplaced:
            return listing
        are = "zip is" if len(misplaced) == 1 else "zips are"
        text = f"{len(misplaced):,} {are} in a Rucio dataset of another night"
        condition = Condition(DifferenceKind.DEGRADED, text, misplaced, "delivered_by")
        return dataclasses.replace(listing, conditions=(*listing.conditions, condition), misplaced=True)


def find_night(did: str) -> int | None:
    """Return the night in the name of a dataset, such as ``raw:Dataset/LSSTCam/raw/Tract1234/20250415``; None if it has none."""
    found = NIGHT_IN_DATASET.findall(did.partition(":")[2])
    return int(found[-1]) if found else None


def _find_misplaced(files: Mapping[str, Sequence[FileFacts]]) -> Iterator[JsonObject]:
    """Yield the zips whose folder is of another night than their dataset, which would hide them from a comparison by night."""
    for did, listed in files.items():
        night = find_night(did)
        for file in listed if night is not None else ():
            found = ZIP.search(file.name)
            if found is not None and int(found["night"]) != night:
                yield {"exposure": found["obs_id"], "day_obs": int(found["night"]), "problem": f"in {did}", "zip": file.name}


def _narrow(pattern: str, nights: Nights) -> Iterator[str]:
    """Yield patterns for the months or years of some nights, if the pattern ends with any name, which then has to have a night.

    A wildcard of Rucio matches slashes, too, so the night may be any part of what the last one stands for.
    """
    if not pattern.endswith("/*") or not nights.is_bounded:
        yield pattern
        return
    first, last = nights.first // 100, nights.last // 100
    months = [month for month in range(first, last + 1) if 1 <= month % 100 <= 12]
    prefixes = months if len(months) <= MOST_MONTHS else range(first // 100, last // 100 + 1)
    for prefix in prefixes:
        yield f"{pattern}{prefix}*"


def _sort_files(spec: RawZipSpec, files: Mapping[str, FileFacts], nights: Collection[int] | Nights) -> ZipListing:
    """Sort files into zips, their records, and others."""
    records: dict[tuple[str, str], str] = {}
    rivals: dict[str, list[ExposureZip]] = {}
    strays: list[str] = []
    names, folders = sorted(files), LocalFolders(spec.locations)
    for name in names:
        if found := RECORDS.search(name):
            records[found["night"], found["obs_id"]] = folders.locate(name)
    for name in names:
        found = ZIP.search(name)
        if found is None:
            strays += [] if RECORDS.search(name) else [name]
        elif int(found["night"]) in nights:
            beside = records.get((found["night"], found["obs_id"]), "")
            path, size = folders.locate(name), files[name].size
            zipped = ExposureZip(found["obs_id"], int(found["night"]), path, size, beside)
            rivals.setdefault(zipped.obs_id, []).append(zipped)
    zips = {obs_id: its[0] for obs_id, its in rivals.items() if len(its) == 1}
    several = [zipped for its in rivals.values() if len(its) > 1 for zipped in its]
    return ZipListing(zips, frozenset(rivals), tuple(_describe_others(strays, several)), misplaced=False)


def _describe_others(strays: Sequence[str], several: Iterable[ExposureZip]) -> Iterator[Condition]:
    if strays:
        are = "file is" if len(strays) == 1 else "files are"
        text = f"{len(strays):,} {are} neither NIGHT/OBS_ID.zip nor NIGHT/OBS_ID_dimensions.yaml"
        yield Condition(DifferenceKind.DEGRADED, text, tuple({"file": name} for name in strays), "delivered_by")
    members = tuple({"exposure": zipped.obs_id, "day_obs": zipped.night, "zip": zipped.path} for zipped in several)
    if members:
        text = "exposures with several zips, of which only one can be ingested: remove the others from the datasets"
        yield Condition(DifferenceKind.BLOCKED, text, members, "delivered_by")
