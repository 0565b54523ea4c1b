"""Made-up nights of raw exposures, with index files so that they can be ingested without reading pixels.

As in the real campaign, most exposures are science, some are calibrations that belong to no visit, and some lack a detector.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.playground.world import INSTRUMENT, Sizes

FIRST_NIGHT = (2024, 11, 8)
DETECTORS = tuple(f"R22_S{number // 3}{number % 3}" for number in range(9))
FILTERS = ("g_01", "r_03", "i_06", "z_03", "y_04")
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
    """

    night: int
    sequence: int

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
    import datetime

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


def index_content(exposure: Exposure) -> dict[str, object]:
    """Return the content of ``_index.json`` for an exposure, in the format of astrometadata."""
    seconds = exposure.sequence * 40
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    later = f"{(seconds + 30) // 3600:02d}:{(seconds + 30) // 60 % 60:02d}:{(seconds + 30) % 60:02d}"
    date = f"{str(exposure.night)[:4]}-{str(exposure.night)[4:6]}-{str(exposure.night)[6:]}"
    common: dict[str, object] = {
        "instrument": INSTRUMENT,
        "exposure_id": exposure.id,
        "exposure_group": exposure.name,
        "observation_id": exposure.name,
        "observing_day": exposure.night,
        "observation_counter": exposure.sequence,
        "observation_type": "science" if exposure.is_science else "flat",
        "observation_reason": "science" if exposure.is_science else "calibration",
        "science_program": "BLOCK-320" if exposure.is_science else "BLOCK-T60",
        "object": "ECDFS" if exposure.is_science else "UNKNOWN",
        "physical_filter": FILTERS[exposure.sequence % len(FILTERS)],
        "exposure_time": 30.0,
        "datetime_begin": f"{date}T{clock}",
        "datetime_end": f"{date}T{later}",
        "tracking_radec": [50.0 + 0.01 * (exposure.sequence % 100), -28.0],
    }
    files = {
        f"{exposure.name}_{DETECTORS[number]}.fits": {"detector_num": number, "detector_name": DETECTORS[number]}
        for number in exposure.detectors
    }
    return {"__CONTENT__": "translated", "__COMMON__": common, **files}


def write_exposure(folder: Path, exposure: Exposure) -> list[Path]:
    """Write the raws and the index file of an exposure below an instrument's folder, and return their paths."""
    place = folder / str(exposure.night) / exposure.name
    place.mkdir(parents=True, exist_ok=True)
    content = index_content(exposure)
    written = []
    for name in content:
        if name.endswith(".fits"):
            (place / name).write_bytes(f"made-up pixels of {name}\n".encode() * 20)
            written.append(place / name)
    (place / "_index.json").write_text(json.dumps(content, indent=1))
    return [*written, place / "_index.json"]
