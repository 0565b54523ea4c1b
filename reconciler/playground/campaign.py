"""Made-up nights of raw exposures, with index files so that they can be ingested without reading pixels.

As in the real campaign, most exposures are science, some are calibrations that belong to no visit, and some lack a detector.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.playground.world import INSTRUMENT, Sizes

FIRST_NIGHT = (2024, 11, 8)
DETECTORS = tuple(f"R22_S{number // 3}{number % 3}" for number in range(9))
FILTERS = ("g_01", "r_03", "i_06", "z_03", "y_04")
EXPOSURE_TIME = 30.0
"""Seconds."""
EVERY_NTH_IS_CALIBRATION = 4
EVERY_NTH_LACKS_A_DETECTOR = 5


@dataclass(frozen=True)
class Exposure:
    """One made-up exposure.

    Parameters
    ----------
    night : `int`
        Day of observation as a number, such as 20241108.
    sequence : `int`
        Sequence number within the night, starting at 1.
    snaps : `tuple` [`int`, `int`] or `None`
        First and last sequence number of the exposures that make a visit together; `None` for one that is a visit alone.
    """

    night: int
    sequence: int
    snaps: tuple[int, int] | None = None

    @property
    def id(self) -> int:
        return self.night * 100_000 + self.sequence

    @property
    def name(self) -> str:
        return f"CC_O_{self.night}_{self.sequence:06d}"

    @property
    def is_science(self) -> bool:
        return self.sequence % EVERY_NTH_IS_CALIBRATION != 1

    @property
    def detectors(self) -> tuple[int, ...]:
        lost = self.sequence % 9 if self.sequence % EVERY_NTH_LACKS_A_DETECTOR == 0 else None
        return tuple(number for number in range(9) if number != lost)


def list_nights(sizes: Sizes) -> list[int]:
    """Return the days of observation, which are consecutive."""
    first = datetime.date(*FIRST_NIGHT)
    return [int((first + datetime.timedelta(days=n)).strftime("%Y%m%d")) for n in range(sizes.nights)]


def list_exposures(sizes: Sizes) -> Iterator[Exposure]:
    """Yield all exposures of the campaign, in the order they were taken."""
    for night in list_nights(sizes):
        for sequence in range(1, sizes.exposures + 1):
            yield Exposure(night, sequence)


def select_visits(sizes: Sizes) -> list[int]:
    """Return the visits to process: nine of ten science exposures, like the 1,792 good visits that the procedure lists."""
    science = [exposure.id for exposure in list_exposures(sizes) if exposure.is_science]
    return [visit for number, visit in enumerate(science) if number % 10]


def observation(exposure: Exposure) -> dict[str, Any]:
    """Return the properties of an exposure under the names of astro_metadata_translator, as text and numbers."""
    begin = datetime.datetime.strptime(str(exposure.night), "%Y%m%d") + datetime.timedelta(seconds=exposure.sequence * 40)
    first, last = exposure.snaps or (exposure.sequence, exposure.sequence)
    return {
        "instrument": INSTRUMENT,
        "exposure_id": exposure.id,
        "exposure_group": exposure.name,
        "observation_id": exposure.name,
        "observing_day": exposure.night,
        "observation_counter": exposure.sequence,
        "group_counter_start": first,
        "group_counter_end": last,
        "observation_type": "science" if exposure.is_science else "flat",
        "observation_reason": "science" if exposure.is_science else "calibration",
        "science_program": "BLOCK-320" if exposure.is_science else "BLOCK-T60",
        "object": "ECDFS" if exposure.is_science else "UNKNOWN",
        "physical_filter": FILTERS[first % len(FILTERS)],
        "exposure_time": EXPOSURE_TIME,
        "datetime_begin": begin.isoformat(),
        "datetime_end": (begin + datetime.timedelta(seconds=EXPOSURE_TIME)).isoformat(),
        "tracking_radec": [50.0 + 0.01 * (first % 100), -28.0] if exposure.is_science else None,
        "can_see_sky": exposure.is_science,
    }


def file_names(exposure: Exposure) -> dict[int, str]:
    """Return the names of an exposure's raws by detector."""
    return {number: f"{exposure.name}_{DETECTORS[number]}.fits" for number in exposure.detectors}


def index_content(exposure: Exposure) -> dict[str, Any]:
    """Return the content of ``_index.json`` for an exposure, as ``astrometadata write-index`` writes it."""
    import astropy.units as u
    from astro_metadata_translator import ObservationInfo
    from astro_metadata_translator.indexing import calculate_index
    from astropy.coordinates import Angle, SkyCoord
    from astropy.time import Time, TimeDelta

    given = observation(exposure)
    seconds = given.pop("exposure_time") * u.s
    given |= {"exposure_time_requested": seconds, "exposure_time": seconds, "dark_time": seconds}
    given |= {name: Time(given[name], scale="tai") for name in ("datetime_begin", "datetime_end")}
    position = given.pop("tracking_radec")
    if position is not None:
        given["tracking_radec"] = SkyCoord(*position, unit="deg", frame="icrs")
        given |= {"boresight_rotation_angle": Angle(0 * u.deg), "boresight_rotation_coord": "sky"}
    given |= {"has_simulated_content": False, "observing_day_offset": TimeDelta(12 * 3600, format="sec", scale="tai")}
    infos = {
        name: ObservationInfo.makeObservationInfo(detector_num=number, detector_name=DETECTORS[number], **given)
        for number, name in file_names(exposure).items()
    }
    return dict(calculate_index({name: dict(info.to_simple()) for name, info in infos.items()}, "translated"))


def write_exposure(folder: Path, exposure: Exposure, *, index: bool = True) -> list[Path]:
    """Write the raws of an exposure below an instrument's folder, and return their paths.

    Parameters
    ----------
    folder : `pathlib.Path`
        Folder of the instrument.
    exposure : `Exposure`
        The exposure.
    index : `bool`
        Whether an index file, which is the last path, describes the raws; otherwise they have FITS headers.
    """
    place = folder / str(exposure.night) / exposure.name
    place.mkdir(parents=True, exist_ok=True)
    written = []
    for number, name in file_names(exposure).items():
        pixels = f"made-up pixels of {name}\n".encode() * 20
        (place / name).write_bytes(pixels if index else make_header(exposure, number))
        written.append(place / name)
    if not index:
        return written
    (place / "_index.json").write_text(json.dumps(index_content(exposure), indent=1))
    return [*written, place / "_index.json"]


def write_guider(folder: Path, exposure: Exposure) -> Path:
    """Write a guider file next to the raws of an exposure, as LSSTCam has them; it isn't a raw. Return its path."""
    place = folder / str(exposure.night) / exposure.name
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{exposure.name}_R00_SG0_guider.fits"
    path.write_bytes(b"made-up stamps of stars\n" * 20)
    return path


KEYWORDS = {
    "INSTRUME": "instrument", "EXPID": "exposure_id", "OBSID": "observation_id", "GROUPID": "exposure_group",
    "DAYOBS": "observing_day", "SEQNUM": "observation_counter", "SEQSTART": "group_counter_start", "SEQEND": "group_counter_end",
    "IMGTYPE": "observation_type", "REASON": "observation_reason", "PROGRAM": "science_program", "OBJECT": "object",
    "FILTER": "physical_filter", "EXPTIME": "exposure_time", "DATE-BEG": "datetime_begin", "DATE-END": "datetime_end",
    "SKY": "can_see_sky",
}  # fmt: skip
"""Keywords of the playground's FITS headers, with the properties that they hold."""


def make_header(exposure: Exposure, detector: int) -> bytes:
    """Return a FITS file of one header without pixels, which describes a raw."""
    from astropy.io import fits

    given = observation(exposure)
    header = fits.PrimaryHDU().header
    for keyword, name in KEYWORDS.items():
        header[keyword] = given[name]
    header["DETECTOR"] = detector
    if given["tracking_radec"]:
        header["RA"], header["DEC"] = given["tracking_radec"]
    text: str = header.tostring()
    return text.encode()
