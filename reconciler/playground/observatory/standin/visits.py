"""`butler define-visits`: one visit for each on-sky exposure, one transaction for each visit."""

from __future__ import annotations

from lsst.daf.butler import Butler

from standin.comcam import DETECTORS, VISIT_SYSTEM, LsstComCam
from standin.skymap import square


def define_visits(butler: Butler, where: str, update_records: bool) -> int:
    """Define the visits of on-sky exposures that have none.

    Parameters
    ----------
    butler : `lsst.daf.butler.Butler`
        A writeable repository.
    where : `str`
        Which exposures; all for an empty string.
    update_records : `bool`
        Whether an existing visit may be changed.

    Returns
    -------
    count : `int`
        How many visits were made.
    """
    instrument = LsstComCam.getName()
    registry = butler.registry
    registry.syncDimensionData("visit_system", {"instrument": instrument, "id": VISIT_SYSTEM, "name": "by-seq-start-end"})
    exposures = butler.query_dimension_records("exposure", instrument=instrument, where=where or "", limit=None, explain=False)
    made = 0
    for exposure in exposures:
        if exposure.tracking_ra is None or exposure.can_see_sky is False:
            continue
        region = square(exposure.tracking_ra, exposure.tracking_dec, 0.35)
        visit = {
            "instrument": instrument,
            "id": exposure.id,
            "day_obs": exposure.day_obs,
            "physical_filter": exposure.physical_filter,
            "name": exposure.obs_id,
            "seq_num": exposure.seq_num,
            "exposure_time": exposure.exposure_time,
            "target_name": exposure.target_name,
            "observation_reason": exposure.observation_reason,
            "science_program": exposure.science_program,
            "azimuth": None,
            "zenith_angle": None,
            "region": region,
            "timespan": exposure.timespan,
        }
        with registry.transaction():
            if registry.syncDimensionData("visit", visit, update=update_records) is not True:
                continue
            key = {"instrument": instrument, "visit": exposure.id}
            registry.insertDimensionData("visit_definition", key | {"exposure": exposure.id})
            registry.insertDimensionData("visit_system_membership", key | {"visit_system": VISIT_SYSTEM})
            registry.insertDimensionData(
                "visit_detector_region",
                *(
                    key
                    | {
                        "detector": number,
                        "region": square(
                            exposure.tracking_ra + 0.23 * (number % 3 - 1),
                            exposure.tracking_dec + 0.23 * (number // 3 - 1),
                            0.11,
                        ),
                    }
                    for number, _ in DETECTORS
                ),
            )
        made += 1
    return made
