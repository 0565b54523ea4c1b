"""Curated calibrations: the camera for all times, then the text files of the instrument's data package, type by type.

As in obs_base, each type is one transaction, and the camera is certified before the first file is read: a file that can't be read
leaves the set half written. The data package has a folder for each instrument, type and detector, with a file for each begin of a
validity range. The variable ``OBS_LSST_DATA_DIR`` names another package, as the set-up of the Science Pipelines does.
"""

from __future__ import annotations

import datetime
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from astropy.time import Time
from lsst.daf.butler import Butler, CollectionType, DatasetType, Timespan

PACKAGE = "OBS_LSST_DATA_DIR"
STANDARD = {
    "bfk": "BrighterFatterKernel",
    "crosstalk": "CrosstalkCalib",
    "defects": "Defects",
    "linearizer": "Linearizer",
    "manual_defects": "Defects",
}
"""Storage classes of the types that a data package can have; all of them have a dataset for each detector."""


def _package() -> Path:
    return Path(os.environ.get(PACKAGE, Path(__file__).parent.parent / "obs_lsst_data"))


def list_types(policy: str) -> list[str]:
    """Return the types that the data package has for an instrument, which ``policy`` names."""
    return [name for name in sorted(STANDARD) if (_package() / policy / name).is_dir()]


def write(butler: Butler, instrument: Any, collection: str | None, labels: Sequence[str]) -> None:
    """Write all curated calibrations of an instrument.

    Parameters
    ----------
    butler : `lsst.daf.butler.Butler`
        A writeable repository.
    instrument : `lsst.pipe.base.Instrument`
        The instrument.
    collection : `str` or `None`
        CALIBRATION collection; `None` for the one that the labels give.
    labels : sequence of `str`
        Parts of the names of collections.

    Raises
    ------
    KeyError
        If a file lacks metadata.
    """
    collection = collection or instrument.makeCalibrationCollectionName(*labels)
    butler.registry.registerCollection(collection, type=CollectionType.CALIBRATION)
    run = instrument.makeUnboundedCalibrationRunName(*labels)
    butler.registry.registerCollection(run, type=CollectionType.RUN)
    camera = DatasetType("camera", ["instrument"], "Camera", isCalibration=True, universe=butler.dimensions)
    butler.registry.registerDatasetType(camera)
    ref = butler.put(instrument.getCamera(), camera, {"instrument": instrument.getName()}, run=run)
    butler.registry.certify(collection, [ref], Timespan(None, None))
    for name in list_types(instrument.policyName):
        _write_type(butler, instrument, name, collection, labels)


def _write_type(butler: Butler, instrument: Any, name: str, collection: str, labels: Sequence[str]) -> None:
    """Write the files of one type: all are read, then all datasets are written and certified in one transaction."""
    dimensions = ["instrument", "detector"]
    kind = DatasetType(name, dimensions, STANDARD[name], isCalibration=True, universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    found = []
    for detector in instrument.getCamera():
        folder = _package() / instrument.policyName / name / detector.name.lower()
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        begins = [_begin(file) for file in files]
        for file, begin, end in zip(files, begins, [*begins[1:], None], strict=True):
            calibration = kind.storageClass.pytype.readText(str(file))
            run = instrument.makeCuratedCalibrationRunName(_check(calibration, file, detector.id, name), *labels)
            found.append((calibration, detector.id, run, Timespan(begin, end)))
    for run in {run for _, _, run, _ in found}:
        butler.registry.registerCollection(run, type=CollectionType.RUN)
    refs = defaultdict(list)
    with butler.transaction():
        for calibration, number, run, span in found:
            refs[span].append(butler.put(calibration, kind, {"instrument": instrument.getName(), "detector": number}, run=run))
        for span, its in refs.items():
            butler.registry.certify(collection, its, span)


def _begin(file: Path) -> Time:
    return Time(datetime.datetime.fromisoformat(file.stem), format="datetime", scale="utc")


def _check(calibration: Any, file: Path, detector: int, name: str) -> str:
    """Check the metadata of a calibration against the path of its file, and return its date."""
    metadata = calibration.getMetadata()
    said = (metadata["INSTRUME"].lower(), metadata["OBSTYPE"].lower(), int(metadata["DETECTOR"]))
    if said != (file.parents[2].name.lower(), name, detector):
        raise ValueError(f"{file} is about {said}")
    return str(metadata["CALIBDATE"])
