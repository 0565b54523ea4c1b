"""`butler ingest-raws`: read the metadata of all files, then write each exposure: its records, and its raws in one transaction.

As in obs_base, nothing is written before the metadata of a group of files have been read. Each folder is a group, and all files
that are named are one. What fails for an exposure leaves the others alone, unless ``failFast`` is set: then an unreadable file
ends the command before anything of its group is written, and an exposure that can't be written ends it there. The UUID of a raw
follows from its data ID and run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from lsst.daf.butler import (
    Butler,
    CollectionType,
    DataCoordinate,
    DatasetIdGenEnum,
    DatasetRef,
    DatasetType,
    DimensionRecord,
    FileDataset,
    Progress,
)
from lsst.pex.config import ChoiceField, Config, Field
from lsst.pipe.base import Instrument, Task
from lsst.resources import ResourcePath
from lsst.utils.logging import getLogger

from standin.exposure_records import make_records
from standin.metadata import RawFile, read_files

TRANSFERS = ("move", "copy", "auto", "direct", "link", "hardlink", "symlink", "relsymlink")


class RawIngestConfig(Config):
    """What ``--config`` and ``--config-file`` can set."""

    transfer: ChoiceField[str] = ChoiceField(
        "Transfer mode.", str, {name: name for name in TRANSFERS}, default="auto", optional=True
    )
    failFast: Field[bool] = Field(dtype=bool, default=False, doc="Stop at the first problem.")


@dataclass
class _Exposure:
    """The files of an exposure, with its records, which the metadata of its first file give."""

    files: list[RawFile]
    records: dict[str, DimensionRecord]

    @property
    def name(self) -> str:
        record = self.records["exposure"]
        return f"{record.instrument}:{record.obs_id}"


@dataclass
class _Failures:
    """What could not be ingested."""

    files: list[RawFile] = field(default_factory=list)
    exposures: list[str] = field(default_factory=list)


class RawIngestTask(Task):
    """Ingests raws.

    Parameters
    ----------
    config : `RawIngestConfig`
        Configuration.
    butler : `lsst.daf.butler.Butler`
        A writeable repository.
    """

    ConfigClass: ClassVar[type[Config]] = RawIngestConfig
    _DefaultName: ClassVar[str] = "ingest"

    def __init__(self, config: RawIngestConfig | None = None, *, butler: Butler, **more: Any) -> None:
        super().__init__(config or self.ConfigClass(), log=getLogger("lsst"), **more)  # as the real one, which is of package lsst
        self.config.validate()
        self.butler = butler
        names = [record.name for record in butler.registry.queryDimensionRecords("instrument")]
        self.instruments = {name: Instrument.fromName(name, butler.registry) for name in names}
        self.raw = DatasetType("raw", ["instrument", "exposure", "detector"], "Exposure", universe=butler.dimensions)
        self.runs: set[str] = set()
        self.progress = Progress("obs.base.RawIngestTask")

    def run(
        self,
        files: Iterable[str],
        *,
        run: str | None = None,
        file_filter: str = r"\.fit[s]?\b",
        skip_existing_exposures: bool = False,
        update_exposure_records: bool = False,
        track_file_attrs: bool = True,
        search_indexes: bool = True,
        num_workers: int = 1,
    ) -> list[DatasetRef]:
        """Ingest files, and those below folders.

        Parameters
        ----------
        files : iterable of `str`
            URIs of files and folders.
        run : `str` or `None`
            RUN collection; `None` for the default of the instrument.
        file_filter : `str`
            Regular expression that the names of files in folders match.
        skip_existing_exposures : `bool`
            Whether raws that exist are left out without an error.
        update_exposure_records : `bool`
            Whether records of exposures that differ are updated.
        track_file_attrs : `bool`
            Whether sizes are recorded.
        search_indexes : `bool`
            Whether index files are looked for.
        num_workers : `int`
            Number of headers to read at the same time.

        Returns
        -------
        refs : `list` [`lsst.daf.butler.DatasetRef`]
            Raws that were ingested, and those that existed.

        Raises
        ------
        RuntimeError
            If something could not be ingested.
        """
        failures, refs = _Failures(), []
        for group in ResourcePath.findFileResources(files, file_filter, grouped=True):
            exposures, bad = self._prepare(tuple(group), search_indexes, num_workers)
            failures.files += bad
            for exposure in self.progress.wrap(exposures, desc="Ingesting raw exposures"):
                data_ids = self._expand(exposure)
                try:
                    for name, record in exposure.records.items():
                        self.butler.registry.syncDimensionData(name, record, update=update_exposure_records)
                except Exception as error:
                    failures.exposures.append(exposure.name)
                    record = exposure.records["exposure"]
                    self.log.warning("Records of exposure %s:%s can't be written: %s", record.instrument, record.obs_id, error)
                    if self.config.failFast:
                        raise
                    continue
                its_run = self._register(exposure, run)
                try:
                    refs += self._ingest(exposure, data_ids, its_run, skip_existing_exposures, track_file_attrs)
                except Exception as error:
                    failures.exposures.append(exposure.name)
                    self.log.warning("These raws can't be ingested: %s", error)
                    for file in exposure.files:
                        self.log.warning("- %s", file.filename)
                    if self.config.failFast:
                        raise
        if failures.files:
            self.log.warning("These files have no metadata that can be used:")
        for file in failures.files:
            self.log.warning("- %s", file.filename)
        self.log.info("%d raws ingested; %d exposures failed", len(refs), len(failures.exposures))
        if failures.files or failures.exposures:
            raise RuntimeError("Not everything could be ingested")
        return refs

    def _prepare(
        self, paths: Sequence[ResourcePath], search_indexes: bool, workers: int
    ) -> tuple[list[_Exposure], list[RawFile]]:
        """Read the metadata of a group of files, and return its exposures and the files that can't be read."""
        good, bad = defaultdict(list), []
        for file in read_files(paths, search_indexes=search_indexes, workers=workers):
            known = file.info is not None and file.info.instrument in self.instruments
            if file.info is not None and known:
                good[file.info.instrument, file.info.exposure_id].append(file)
                continue
            error = file.error or LookupError(f"instrument {file.info.instrument} isn't registered")
            if self.config.failFast:
                raise RuntimeError(f"Metadata of {file.path} can't be used") from error
            self.log.debug("Metadata of %s can't be used: %s", file.path, error)
            bad.append(RawFile(file.path, None, error))
        self.log.info("Metadata of %d files read", sum(map(len, good.values())))
        return [_Exposure(files, make_records(files[0].info, self.butler.dimensions)) for files in good.values()], bad

    def _expand(self, exposure: _Exposure) -> list[DataCoordinate]:
        """Return the data IDs of the files with all records; an unknown filter or detector ends the command, as in obs_base."""
        registry = self.butler.registry
        known = registry.expandDataId(exposure.records["exposure"].dataId, records=exposure.records)
        records = {name: known.records[name] for name in known.dimensions.elements}
        return [registry.expandDataId(known, detector=file.info.detector_num, records=records) for file in exposure.files]

    def _register(self, exposure: _Exposure, run: str | None) -> str:
        """Register the dataset type and the RUN collection of an exposure, once for each, and return the collection's name."""
        name = exposure.records["exposure"].instrument
        run = run or self.instruments[name].makeDefaultRawIngestRunName()
        if run not in self.runs:
            self.butler.registry.registerDatasetType(self.raw)
            self.butler.registry.registerCollection(run, type=CollectionType.RUN)
            self.runs.add(run)
        return run

    def _ingest(
        self, exposure: _Exposure, data_ids: Sequence[DataCoordinate], run: str, skip_existing: bool, track: bool
    ) -> list[DatasetRef]:
        """Ingest the raws of an exposure in one transaction."""
        instrument = self.instruments[exposure.records["exposure"].instrument]
        mode = DatasetIdGenEnum.DATAID_TYPE_RUN
        refs = [DatasetRef(self.raw, data_id, run=run, id_generation_mode=mode) for data_id in data_ids]
        datasets = [
            FileDataset(file.path, [ref], formatter=instrument.getRawFormatter(ref.dataId))
            for file, ref in zip(exposure.files, refs, strict=True)
        ]
        more = {"skip_existing": True} if skip_existing else {}  # which lsst-daf-butler 29 lacks
        self.butler.ingest(*datasets, transfer=self.config.transfer, record_validation_info=track, **more)
        return refs
