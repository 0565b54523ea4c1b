"""Zips of datasets: what one contains, and its ingest together with the dimension records that lie next to it.

A zip is what `Butler.retrieve_artifacts_zip` writes: the files of the datasets, and an index of them. Its datasets keep their
UUIDs, and it is ingested as a whole or not at all.
"""

from __future__ import annotations

import functools
import io
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.errors import ReconcileError
from reconciler.systems import worker_link
from reconciler.systems.butler.errors import concerns_all, explain, translate_read_errors, translate_write_errors
from reconciler.systems.butler.repository import Repository
from reconciler.systems.worker_link import Steps

if TYPE_CHECKING:
    from lsst.daf.butler import Butler

INDEX = "_butler_zip_index.json"
"""Member of a zip that lists its datasets; `lsst.daf.butler` has no public name for it."""

IMPLIED = frozenset({"day_obs", "group", "physical_filter"})
"""Fields of an exposure that are part of the data IDs of its datasets."""


class ZippedDataset(NamedTuple):
    """A dataset in a zip."""

    dataset_type: str
    run: str
    data_id: Mapping[str, Any]


class UnusableZip(ReconcileError):
    """A zip that can't be ingested; the message is the reason."""


class ZipJob(NamedTuple):
    """A zip to ingest: the exposure's name and night, the URIs of the zip and of its records, which may be empty."""

    obs_id: str
    night: int
    path: str
    records: str


class ZipTarget(NamedTuple):
    """How zips are ingested: the instrument and the RUN collection of the raws in them, and the Butler's transfer mode."""

    instrument: str
    run: str
    transfer: str


@dataclass(frozen=True)
class ZipContent:
    """The datasets in a zip by UUID, and their dataset types as the Butler serializes them, by name."""

    datasets: Mapping[str, ZippedDataset]
    dataset_types: Mapping[str, Any]

    @property
    def exposures(self) -> set[tuple[Any, Any]]:
        """The instruments and exposures of its datasets."""
        return {(found.data_id.get("instrument"), found.data_id.get("exposure")) for found in self.datasets.values()}


def read_content(uri: str) -> ZipContent:
    """Read the index of a zip.

    Raises
    ------
    UnusableZip
        If there is no such zip, or it is incomplete or has no index.
    reconciler.errors.ObserveError
        If the storage can't be asked.
    """
    import pydantic
    from lsst.daf.butler.datastores.file_datastore.retrieve_artifacts import ZipIndex
    from lsst.resources import ResourcePath

    with translate_read_errors(uri, "storage"):
        try:
            with ResourcePath(uri).open("rb") as stream, zipfile.ZipFile(stream) as opened:
                index = ZipIndex.model_validate_json(opened.read(INDEX))
        except FileNotFoundError as error:
            raise UnusableZip("is missing") from error
        except IsADirectoryError as error:
            raise UnusableZip("is a folder") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError) as error:
            raise UnusableZip("is no intact zip; was it truncated?") from error
        except KeyError as error:
            raise UnusableZip(f"has no {INDEX}, so it isn't a zip of datasets") from error
        except pydantic.ValidationError as error:
            raise UnusableZip(f"has an index that the installed Butler can't read: {error.errors()[0]['msg']}") from error
    refs: Any = index.refs
    datasets = {
        str(id): ZippedDataset(ref.dataset_type_name, ref.run, dict(ref.data_id)) for id, ref in refs.compact_refs.items()
    }
    return ZipContent(datasets, dict(refs.dataset_types))


def read_exposures(uri: str, instrument: str, night: int) -> dict[int, str]:
    """Return the names of the exposures of an instrument and a night whose dimension records a file contains, by number.

    Raises
    ------
    UnusableZip
        If there is no such file, or it contains anything else than dimension records, or exposures of another night.
    reconciler.errors.ObserveError
        If the storage can't be asked.
    """
    found = _find_exposures(_read_records(uri), instrument, night)
    return {number: str(record["obs_id"]) for number, record in found.items()}


def _read_records(uri: str) -> bytes:
    from lsst.resources import ResourcePath

    with translate_read_errors(uri, "storage"):
        try:
            content: bytes = ResourcePath(uri).read()
        except FileNotFoundError as error:
            raise UnusableZip("its dimension records are missing") from error
    return content


def _read_needed_records(job: ZipJob, *, needed: bool) -> bytes:
    """Read the dimension records of a zip; nothing if they haven't arrived and the repository has them."""
    try:
        return _read_records(job.records) if job.records else b""
    except UnusableZip:
        if needed:
            raise
        return b""


def _find_exposures(content: bytes, instrument: str, night: int) -> dict[int, Mapping[str, Any]]:
    from reconciler.files import export_yaml

    try:
        document = export_yaml.parse(content)
        parts = document["data"] if document else []
        others = {str(part["type"]) for part in parts} - {"dimension"}
        records = [record for part in parts if part.get("element") == "exposure" for record in part["records"]]
        found = {int(record["id"]): record for record in records}
        nights = [(str(record["instrument"]), int(record["day_obs"]), str(record["obs_id"])) for record in records]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnusableZip(f"its dimension records can't be read: {error}") from error
    if others:
        raise UnusableZip(f"its dimension records come with others, of type {', '.join(sorted(others))}")
    if not found:
        raise UnusableZip("its dimension records contain no exposure")
    for its_instrument, its_night, obs_id in nights:
        if its_instrument != instrument:
            raise UnusableZip(f"its dimension records are of {its_instrument}")
        if its_night != night:
            raise UnusableZip(f"is in the folder of {night}, and {obs_id} is of {its_night} in its dimension records")
    return found


def _compare_records(recorded: Mapping[int, Mapping[str, Any]], known: Mapping[int, Any]) -> None:
    """Check that the repository's exposures, which an import leaves as they are, have the data IDs that their records have."""
    for number in recorded.keys() & known.keys():
        for name in IMPLIED & recorded[number].keys():
            theirs, ours = recorded[number][name], getattr(known[number], name, None)
            if theirs != ours:
                raise UnusableZip(f"has {name} {theirs} in its dimension records, and {ours} in the repository")


def check_content(content: ZipContent, instrument: str, obs_id: str, run: str, names: Mapping[int, str]) -> None:
    """Check that a zip contains datasets of one exposure alone, some of them in a RUN collection, given exposures by number.

    Raises
    ------
    UnusableZip
        If it doesn't.
    """
    if not content.datasets:
        raise UnusableZip("contains no datasets")
    runs = {found.run for found in content.datasets.values()}
    if run not in runs:
        raise UnusableZip(f"contains datasets of {', '.join(sorted(runs))} and none of {run}")
    for found_instrument, exposure in sorted(content.exposures, key=str):
        if found_instrument != instrument:
            raise UnusableZip(f"contains datasets of {found_instrument}")
        found = names.get(exposure)
        if found is None:
            raise UnusableZip(f"contains datasets of exposure {exposure}, which isn't {obs_id} or has no dimension record")
        if found != obs_id:
            raise UnusableZip(f"contains datasets of {found}")


def ingest_zips(uri: str, jobs: Sequence[ZipJob], target: ZipTarget) -> list[tuple[str, str]]:
    """Ingest zips in a worker, until all are done or a stop is requested.

    Returns
    -------
    ended : `list` [`tuple` [`str`, `str`]]
        Each exposure that was handled, and why its zip could not be ingested; empty if it could.
    """
    ended = []
    for job in jobs:
        if worker_link.is_stop_requested():
            break
        ended.append((job.obs_id, ingest_zip(_repository(uri), job, target)))
        worker_link.count(Steps(done=1))
    return ended


@functools.cache
def _repository(uri: str) -> Repository:
    """Open a repository once for all chunks of a worker."""
    return Repository(uri)


def ingest_zip(repository: Repository, job: ZipJob, target: ZipTarget) -> str:
    """Insert the dimension records of an exposure and ingest its zip; return why that can't be done, or nothing.

    Raises
    ------
    reconciler.errors.ApplyError
        If the repository can't be written.
    """
    with translate_write_errors():
        butler = repository.open(writeable=True)
        try:
            _ingest(butler, job, target)
        except UnusableZip as error:
            return str(error)
        except ReconcileError:
            raise
        except Exception as error:
            if concerns_all(error):
                raise
            return explain(error)[0].partition(" Example: ")[0]
    return ""


def _ingest(butler: Butler, job: ZipJob, target: ZipTarget) -> None:
    content = read_content(job.path)
    known = _query_exposures(butler, target.instrument, content)
    records = _read_needed_records(job, needed=not {exposure for _, exposure in content.exposures} <= known.keys())
    recorded = _find_exposures(records, target.instrument, job.night) if records else {}
    names = {number: str(record["obs_id"]) for number, record in recorded.items()}
    names |= {number: str(record.obs_id) for number, record in known.items()}
    check_content(content, target.instrument, job.obs_id, target.run, names)
    _compare_records(recorded, known)
    _register_types(butler, content)
    if records:
        butler.import_(filename=io.StringIO(records.decode()), format="yaml")
    butler.ingest_zip(job.path, transfer=target.transfer)


def _register_types(butler: Butler, content: ZipContent) -> None:
    """Register the dataset types of a zip: the `ingest_zip` of lsst-daf-butler 29 can't do that within its transaction."""
    from lsst.daf.butler import DatasetType

    for name, found in content.dataset_types.items():
        if not butler.registry.queryDatasetTypes(name):
            butler.registry.registerDatasetType(DatasetType.from_simple(found, universe=butler.dimensions))


def _query_exposures(butler: Butler, instrument: str, content: ZipContent) -> dict[int, Any]:
    """Return the dimension records that the repository has of the exposures of a zip, by number."""
    known: dict[int, Any] = {}
    for found, exposure in content.exposures:
        if found == instrument and exposure is not None:
            records = butler.query_dimension_records("exposure", instrument=found, exposure=exposure, explain=False)
            known |= {record.id: record for record in records}
    return known
