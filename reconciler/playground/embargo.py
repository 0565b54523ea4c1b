"""A stand-in for USDF's embargo repository, from which each exposure of LSSTCam leaves as a zip.

It is filled by a process in the playground's environment, because it needs the stand-in observatory:
``python -m reconciler.playground.embargo DIR``.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from filelock import FileLock

from reconciler.playground.lsstcam_exposures import GUIDER_RUN, GUIDERS, INSTRUMENT, RAW_RUN, Exposure, list_exposures
from reconciler.playground.world import SLAC, World

RAW_FORMATTER = "lsst.obs.lsst.rawFormatter.LsstCamRawFormatter"
GUIDER_FORMATTER = "lsst.obs.base.formatters.fitsGeneric.FitsGenericFormatter"
DATASET_TYPES = (
    ("raw", "Exposure", RAW_RUN, RAW_FORMATTER),
    ("guider_raw", "Stamps", GUIDER_RUN, GUIDER_FORMATTER),
)
"""Each dataset type with its storage class, its RUN and the formatter of its files."""
RECORDS = (
    "exposure", "day_obs", "group",
    "visit", "visit_definition", "visit_detector_region", "visit_system", "visit_system_membership",
)  # fmt: skip
"""Dimensions whose records are exported with an exposure."""
EXPOSURE_TIME = 30.0
"""Seconds."""


def write_zips(world: World, exposures: Iterable[Exposure], scope: str = "raw") -> None:
    """Add exposures to the repository, and write the zip and the dimension records of each at SLAC, unless they exist.

    Parameters
    ----------
    world : `World`
        The playground.
    exposures : iterable of `Exposure`
        The exposures.
    scope : `str`
        Rucio scope, which is the folder of the zips at SLAC.
    """
    folder = world.storage(SLAC) / scope
    missing = [exposure for exposure in exposures if not (folder / exposure.dimensions_path).exists()]
    if not missing:
        return
    world.embargo.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(world.embargo.with_suffix(".lock")):
        repository = EmbargoRepository(world)
        for _, members in itertools.groupby(missing, key=lambda exposure: exposure.night):
            repository.add(list(members), folder)
        getattr(repository.butler, "close", lambda: None)()  # lsst-daf-butler 29 has no close


class EmbargoRepository:
    """The repository, open for writing; it is created if it doesn't exist."""

    def __init__(self, world: World) -> None:
        from lsst.daf.butler import Butler, DatasetType
        from lsst.obs.lsst import LsstCam

        self.world = world
        if not (world.embargo / "butler.yaml").exists():
            Butler.makeRepo(str(world.embargo))
        self.butler = Butler.from_config(str(world.embargo), writeable=True)
        camera = LsstCam()
        if not list(self.butler.registry.queryDimensionRecords("instrument")):
            camera.register(self.butler.registry)
        self.detectors = {detector.id: detector.name for detector in camera.getCamera()}
        dimensions = ("instrument", "exposure", "detector")
        for name, storage_class, run, _ in DATASET_TYPES:
            self.butler.registry.registerDatasetType(
                DatasetType(name, dimensions, storage_class, universe=self.butler.dimensions)
            )
            self.butler.collections.register(run)

    def add(self, exposures: list[Exposure], folder: Path) -> None:
        """Add exposures of one night, and write their zips and dimension records below a folder."""
        self._insert_records(exposures)
        refs = self._ingest(exposures)
        for exposure in exposures:
            self._write_zip(refs[exposure], folder / exposure.zip_path)
            self._write_records(exposure, folder / exposure.dimensions_path)

    def _insert_records(self, exposures: list[Exposure]) -> None:
        """Insert the dimension records of exposures and of their visits, unless they exist."""
        records: dict[str, list[Any]] = defaultdict(list)
        for exposure in exposures:
            for name, fields in _record_fields(exposure).items():
                records[name].append(self.butler.dimensions[name].RecordClass(**fields))
        self.butler.registry.insertDimensionData("day_obs", records["day_obs"][0], skip_existing=True)
        for name in ("group", "exposure"):
            self.butler.registry.insertDimensionData(name, *records[name], skip_existing=True)
        define_visits(self.butler, records["exposure"], {exposure.id: exposure.n_detectors for exposure in exposures})

    def _ingest(self, exposures: list[Exposure]) -> dict[Exposure, list[Any]]:
        """Write and ingest the files of exposures that aren't known, and return the datasets of each exposure."""
        from lsst.daf.butler import DataCoordinate, DatasetIdGenEnum, DatasetRef, FileDataset

        by_exposure: dict[Exposure, list[Any]] = {exposure: [] for exposure in exposures}
        for name, _, run, formatter in DATASET_TYPES:
            dataset_type = self.butler.get_dataset_type(name)
            night = {"instrument": INSTRUMENT, "day_obs": exposures[0].night}
            known = {ref.id for ref in self.butler.registry.queryDatasets(dataset_type, collections=[run], dataId=night)}
            files = []
            for exposure in exposures:
                for detector in exposure.guiders if name == "guider_raw" else range(exposure.n_detectors):
                    data_id = DataCoordinate.standardize(
                        instrument=INSTRUMENT, exposure=exposure.id, detector=detector, universe=self.butler.dimensions
                    )
                    # As ingest-raws does: the UUID follows from the data ID, so every playground has the same.
                    ref = DatasetRef(dataset_type, data_id, run, id_generation_mode=DatasetIdGenEnum.DATAID_TYPE_RUN)
                    by_exposure[exposure].append(ref)
                    if ref.id not in known:
                        path = self._write_file(exposure, detector)
                        files.append(FileDataset(path=path.as_uri(), refs=[ref], formatter=formatter))
            if files:
                self.butler.ingest(*files, transfer="direct")
        return by_exposure

    def _write_file(self, exposure: Exposure, detector: int) -> Path:
        suffix = "_guider" if detector in GUIDERS else ""
        folder = self.world.embargo / "files" / str(exposure.night) / exposure.name
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{exposure.name}_{self.detectors[detector]}{suffix}.fits"
        path.write_text(f"made-up pixels of {path.stem}\n")
        return path

    def _write_zip(self, refs: list[Any], path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as staging:
            made = self.butler.retrieve_artifacts_zip(refs, staging)
            Path(made.ospath).replace(path)

    def _write_records(self, exposure: Exposure, path: Path) -> None:
        partial = path.with_suffix(".part")
        with self.butler.export(filename=str(partial), format="yaml", transfer=None) as export:
            for name in RECORDS:
                records = self.butler.query_dimension_records(name, exposure=exposure.id, instrument=INSTRUMENT, explain=False)
                if records:
                    export.saveDimensionData(name, records)
        partial.replace(path)


def define_visits(butler: Any, records: list[Any], n_detectors: dict[int, int]) -> None:
    """Define the visits of exposures that are on the sky and have none.

    A visit has regions of the detectors that have raws, because those of all 205 would take most of the time.
    """
    from lsst.obs.lsst import LsstCam
    from standin.camera import Camera
    from standin.visits import DefineVisitsTask

    camera = LsstCam.getCamera()

    class DefineSmallVisitsTask(DefineVisitsTask):  # type: ignore[misc]
        def load_camera(self, exposure: Any, collections: Any) -> Camera:
            return Camera(camera.name, camera.detectors[: n_detectors[exposure.id]])

    DefineSmallVisitsTask(butler=butler).run(records, prefilter=True)


def _record_fields(exposure: Exposure) -> dict[str, dict[str, Any]]:
    """Return the fields of an exposure's records by dimension, in the order in which they can be inserted."""
    from astropy.time import Time
    from lsst.daf.butler import Timespan

    begin = datetime.strptime(str(exposure.night), "%Y%m%d") + timedelta(hours=24, seconds=exposure.sequence * 40)
    times = [Time(moment, scale="tai") for moment in (begin, begin + timedelta(seconds=EXPOSURE_TIME))]
    science = exposure.is_science
    return {
        "day_obs": {"instrument": INSTRUMENT, "id": exposure.night, "timespan": Timespan.from_day_obs(exposure.night, 12 * 3600)},
        "group": {"instrument": INSTRUMENT, "name": exposure.name},
        "exposure": {
            "instrument": INSTRUMENT,
            "id": exposure.id,
            "day_obs": exposure.night,
            "group": exposure.name,
            "physical_filter": exposure.physical_filter,
            "obs_id": exposure.name,
            "exposure_time": EXPOSURE_TIME,
            "dark_time": EXPOSURE_TIME,
            "observation_type": "science" if science else "flat",
            "observation_reason": "science" if science else "calibration",
            "seq_num": exposure.sequence,
            "seq_start": exposure.sequence,
            "seq_end": exposure.sequence,
            "target_name": f"field {exposure.field}" if science else "UNKNOWN",
            "science_program": "BLOCK-365" if science else "BLOCK-T60",
            "tracking_ra": 50.0 + 3 * exposure.field if science else None,
            "tracking_dec": -28.0 if science else None,
            "sky_angle": 0.0 if science else None,
            "azimuth": None,
            "zenith_angle": None,
            "has_simulated": False,
            "can_see_sky": science,
            "timespan": Timespan(*times),
        },
    }


if __name__ == "__main__":
    opened = World(Path(sys.argv[1]))
    write_zips(opened, list_exposures(opened))
