"""Dimension records of an exposure, in each version of the dimension universe."""

from __future__ import annotations

from typing import Any

from astro_metadata_translator import ObservationInfo
from lsst.daf.butler import DimensionRecord, DimensionUniverse, Timespan


def make_records(info: ObservationInfo, universe: DimensionUniverse) -> dict[str, DimensionRecord]:
    """Make the records of an exposure and of what it depends on, in the order in which they are written.

    Parameters
    ----------
    info : `astro_metadata_translator.ObservationInfo`
        Metadata of one of the exposure's files.
    universe : `lsst.daf.butler.DimensionUniverse`
        Dimensions of the repository.

    Returns
    -------
    records : `dict` [`str`, `lsst.daf.butler.DimensionRecord`]
        Records by dimension; the one of the exposure comes last.
    """
    implied = universe["exposure"].implied
    made: dict[str, dict[str, Any]] = {}
    if "group" in implied:
        made["group"] = {"instrument": info.instrument, "name": info.exposure_group}
    if "day_obs" in implied:
        offset = info.observing_day_offset
        span = None if offset is None else Timespan.from_day_obs(info.observing_day, round(offset.to_value("s")))
        made["day_obs"] = {"instrument": info.instrument, "id": info.observing_day, "timespan": span}
    made["exposure"] = _exposure(info)
    return {
        name: universe[name].RecordClass(**{key: value for key, value in fields.items() if key in universe[name].schema.names})
        for name, fields in made.items()
    }


def _exposure(info: ObservationInfo) -> dict[str, Any]:
    """Return the fields of all universes."""
    position = None if info.tracking_radec is None else info.tracking_radec.icrs
    on_sky = position is not None and info.boresight_rotation_coord == "sky"
    # An end before the begin would be a timespan without bounds.
    end = max(info.datetime_begin, info.datetime_end)
    return {
        "instrument": info.instrument,
        "id": info.exposure_id,
        "day_obs": info.observing_day,
        "group": info.exposure_group,
        "group_name": info.exposure_group,
        "group_id": info.visit_id,
        "physical_filter": info.physical_filter,
        "obs_id": info.observation_id,
        "exposure_time": float(info.exposure_time_requested.to_value("s")),
        "dark_time": None if info.dark_time is None else float(info.dark_time.to_value("s")),
        "observation_type": info.observation_type,
        "observation_reason": info.observation_reason,
        "seq_num": info.observation_counter,
        "seq_start": info.group_counter_start,
        "seq_end": info.group_counter_end,
        "target_name": info.object,
        "science_program": info.science_program,
        "tracking_ra": None if position is None else float(position.ra.degree),
        "tracking_dec": None if position is None else float(position.dec.degree),
        "sky_angle": float(info.boresight_rotation_angle.degree) if on_sky else None,
        "azimuth": None if info.altaz_begin is None else float(info.altaz_begin.az.degree),
        "zenith_angle": None if info.altaz_begin is None else float(info.altaz_begin.zen.degree),
        "has_simulated": info.has_simulated_content,
        "can_see_sky": info.can_see_sky,
        "timespan": Timespan(info.datetime_begin, end),
    }
