"""Made-up nights of LSSTCam: which exposures there are, their paths, and the Rucio datasets of each.

As in lsst-dm/transfer_embargo, each exposure is one zip. Most exposures are science and overlap one tract or two; the others are
calibrations. Some have guider files.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.kinds.shared.nights import find_running_night

if TYPE_CHECKING:
    from reconciler.playground.world import World

INSTRUMENT = "LSSTCam"
RAW_RUN, GUIDER_RUN = f"{INSTRUMENT}/raw/all", f"{INSTRUMENT}/raw/guider"
GUIDERS = (189, 190)
"""Detectors of the guider files that some exposures have."""
FILTERS = ("g_6", "r_57", "i_39", "z_20", "y_10")
FIRST_TRACT = 9813
FIELDS = 4
"""Number of fields that a night visits in turn, eight exposures each."""


@dataclass(frozen=True)
class Exposure:
    """One made-up exposure.

    Parameters
    ----------
    night : `int`
        Day of observation as a number, such as 20261128.
    sequence : `int`
        Sequence number within the night, starting at 1.
    n_detectors : `int`
        Number of its raws, whose detectors are counted from 0 on.
    """

    night: int
    sequence: int
    n_detectors: int = 9

    @property
    def id(self) -> int:
        return self.night * 100_000 + self.sequence

    @property
    def name(self) -> str:
        return f"MC_O_{self.night}_{self.sequence:06d}"

    @property
    def is_science(self) -> bool:
        return self.sequence % 4 != 1

    @property
    def guiders(self) -> tuple[int, ...]:
        """The detectors of its guider files."""
        return GUIDERS if self.sequence % 3 == 0 else ()

    @property
    def physical_filter(self) -> str:
        return FILTERS[self.sequence % len(FILTERS)]

    @property
    def field(self) -> int:
        return (self.sequence - 1) // 8 % FIELDS

    @property
    def tracts(self) -> tuple[int, ...]:
        """The tracts that it overlaps."""
        if not self.is_science:
            return ()
        first = FIRST_TRACT + 2 * self.field
        return (first, first + 1) if self.sequence % 2 == 0 else (first,)

    @property
    def zip_path(self) -> str:
        """The path of its zip below the folder of the Rucio scope, which is its LFN."""
        return f"{INSTRUMENT}/{self.night}/{self.name}.zip"

    @property
    def dimensions_path(self) -> str:
        """The path of the export of its dimension records."""
        return f"{INSTRUMENT}/{self.night}/{self.name}_dimensions.yaml"

    @property
    def sky_datasets(self) -> list[str]:
        """The names of the Rucio datasets that distribute it: one for each tract and night."""
        tracts = [f"Tract{tract}" for tract in self.tracts] or ["NoTract"]
        return [f"Dataset/{INSTRUMENT}/raw/{tract}/{self.night}" for tract in tracts]

    @property
    def own_dataset(self) -> str:
        """The name of its own Rucio dataset, from which it is archived."""
        return f"Dataset/{INSTRUMENT}/raw/Obs/{self.night}/{self.name}"


def list_nights(world: World) -> list[int]:
    """Return the nights of LSSTCam that `up` creates.

    The last one is the last complete night of the clock, when it is asked for first; then it is recorded.
    """
    number = world.sizes.lsstcam_nights
    if not number:
        return []
    recorded = world.read_record().get("lsstcam_last_night")
    last = _day(recorded) if recorded else _day(find_running_night()) - datetime.timedelta(days=1)
    if not recorded:
        world.update_record(lsstcam_last_night=_night(last))
    return [_night(last - datetime.timedelta(days=back)) for back in reversed(range(number))]


def list_exposures(world: World, nights: Iterable[int] | None = None) -> list[Exposure]:
    """Return the exposures of nights, by default of those that `up` creates, in the order they were taken."""
    sizes = world.sizes
    return [
        Exposure(night, sequence, sizes.lsstcam_detectors)
        for night in (list_nights(world) if nights is None else nights)
        for sequence in range(1, sizes.lsstcam_exposures + 1)
    ]


def _day(night: int) -> datetime.date:
    return datetime.datetime.strptime(str(night), "%Y%m%d").date()


def _night(day: datetime.date) -> int:
    return int(day.strftime("%Y%m%d"))
