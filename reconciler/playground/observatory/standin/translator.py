"""Translation of the headers of the playground's FITS files, for raws that no index file describes."""

from __future__ import annotations

from typing import Any, ClassVar

import astropy.units as u
from astro_metadata_translator import StubTranslator
from astro_metadata_translator.translators import FitsTranslator
from astropy.coordinates import Angle, SkyCoord
from astropy.time import Time, TimeDelta


class ComCamTranslator(FitsTranslator, StubTranslator):
    """Headers with one keyword for each property; see `reconciler.playground.campaign`."""

    name = "StandInComCam"
    supported_instrument = "LSSTComCam"
    _const_map: ClassVar[dict[str, Any]] = {
        "boresight_rotation_coord": "sky",
        "has_simulated_content": False,
        "observing_day_offset": TimeDelta(12 * 3600, format="sec", scale="tai"),
        "altaz_begin": None,
        "visit_id": None,
    }
    _trivial_map: ClassVar[dict[str, Any]] = {
        "exposure_id": "EXPID",
        "observation_id": "OBSID",
        "exposure_group": "GROUPID",
        "observing_day": "DAYOBS",
        "observation_counter": "SEQNUM",
        "group_counter_start": "SEQSTART",
        "group_counter_end": "SEQEND",
        "observation_type": "IMGTYPE",
        "observation_reason": "REASON",
        "science_program": "PROGRAM",
        "object": "OBJECT",
        "physical_filter": "FILTER",
        "detector_num": "DETECTOR",
        "can_see_sky": "SKY",
        "exposure_time_requested": ("EXPTIME", {"unit": u.s}),
        "dark_time": ("EXPTIME", {"unit": u.s}),
    }

    def to_datetime_begin(self) -> Time:
        return Time(self._header["DATE-BEG"], scale="tai")

    def to_datetime_end(self) -> Time:
        return Time(self._header["DATE-END"], scale="tai")

    def to_tracking_radec(self) -> SkyCoord | None:
        if "RA" not in self._header:
            return None
        return SkyCoord(self._header["RA"], self._header["DEC"], unit="deg", frame="icrs")

    def to_boresight_rotation_angle(self) -> Angle:
        return Angle(0 * u.deg)
