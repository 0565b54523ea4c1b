"""`butler write-curated-calibrations`: the camera for all times, then the curated text calibrations of each detector."""

from __future__ import annotations

from collections.abc import Sequence

from astropy.time import Time
from lsst.daf.butler import Butler, CollectionType, DatasetType, Timespan
from lsst.pipe.base import Instrument

from standin.comcam import DETECTORS

CURATED_DATE = "19700101T000000Z"


def write(butler: Butler, instrument: Instrument, collection: str | None, labels: Sequence[str], prefix: str | None) -> None:
    """Write the curated calibrations, in obs_base's order: a CALIBRATION collection, the camera, the rest.

    Parameters
    ----------
    butler : `lsst.daf.butler.Butler`
        A writeable repository.
    instrument : `lsst.pipe.base.Instrument`
        Whose calibrations.
    collection : `str` or `None`
        The CALIBRATION collection; made of the prefix and the labels for `None`.
    labels : sequence of `str`
        What stands in the names of the collections.
    prefix : `str` or `None`
        In place of the instrument's name.
    """
    name = instrument.getName()
    if prefix:
        instrument = type(instrument)(collection_prefix=prefix)
    collection = collection or instrument.makeCalibrationCollectionName(*labels)
    butler.collections.register(collection, CollectionType.CALIBRATION)
    unbounded = instrument.makeUnboundedCalibrationRunName(*labels)
    butler.collections.register(unbounded)
    camera = DatasetType("camera", ["instrument"], "Camera", isCalibration=True, universe=butler.dimensions)
    butler.registry.registerDatasetType(camera)
    ref = butler.put(instrument.getCamera(), camera, {"instrument": name}, run=unbounded)  # type: ignore[attr-defined]
    butler.registry.certify(collection, [ref], Timespan(None, None))

    crosstalk = DatasetType(
        "crosstalk", ["instrument", "detector"], "CrosstalkCalib", isCalibration=True, universe=butler.dimensions
    )
    butler.registry.registerDatasetType(crosstalk)
    run = instrument.makeCuratedCalibrationRunName(CURATED_DATE, *labels)
    butler.collections.register(run)
    from lsst.ip.isr import CrosstalkCalib

    refs = [butler.put(CrosstalkCalib(), crosstalk, {"instrument": name, "detector": number}, run=run) for number, _ in DETECTORS]
    butler.registry.certify(collection, refs, Timespan(Time("1970-01-01T00:00:00", scale="tai"), None))
