"""The campaign at its true size: 16,539 exposures of 60 nights, 148,845 raws, 19,201 of them science; times a factor.

The procedure states these counts; those that it took with `wc -l` include four lines of table frame, which are subtracted here.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

NIGHTS, EXPOSURES, SCIENCE, SELECTED = 60, 16_539, 2_134, 1_792
LACKING = 6
"""Number of exposures that lack a detector."""
FIRST_NIGHT = datetime.date(2024, 11, 8)
BASE, BASE_SCIENCE, BASE_SELECTED = 6, 4, 3
"""Numbers of exposures of the first night that the playground itself makes; one of them lacks a detector."""
DETECTORS = tuple(f"R22_S{number // 3}{number % 3}" for number in range(9))
SHARDS = range(131_072, 262_144)
FURTHER = 2_000
"""Number of additional Rucio datasets with rules."""
RAW_BYTES = 1_040


@dataclass(frozen=True)
class Exposure:
    """One exposure.

    Parameters
    ----------
    night, sequence : `int`
        Night as YYYYMMDD, and sequence number in the night.
    is_science, is_selected : `bool`
        Whether it is a science exposure, and one of the selected visits.
    lacks : `int` or `None`
        Detector without a raw.
    """

    night: int
    sequence: int
    is_science: bool
    is_selected: bool
    lacks: int | None

    @property
    def id(self) -> int:
        return self.night * 100_000 + self.sequence

    @property
    def name(self) -> str:
        return f"CC_O_{self.night}_{self.sequence:06d}"

    @property
    def detectors(self) -> Iterator[int]:
        return (number for number in range(9) if number != self.lacks)

    @property
    def folder(self) -> str:
        """Folder of its files, which is the first part of their names in Rucio."""
        return f"LSSTComCam/{self.night}/{self.name}"


def exposures(factor: int) -> Iterator[Exposure]:
    """Yield, in the order they were taken, the exposures of ``factor`` campaigns that the playground doesn't have."""
    for campaign in range(factor):
        ordinal = science_seen = 0
        for night in range(NIGHTS):
            day = int((FIRST_NIGHT + datetime.timedelta(days=campaign * NIGHTS + night)).strftime("%Y%m%d"))
            count = EXPOSURES // NIGHTS + (night < EXPOSURES % NIGHTS)
            for sequence in range(1, count + 1):
                if campaign == night == 0 and sequence <= BASE:
                    continue
                # Science exposures are spread evenly.
                goal = SCIENCE - (0 if campaign else BASE_SCIENCE)
                total = EXPOSURES - (0 if campaign else BASE)
                is_science = (ordinal + 1) * goal // total > ordinal * goal // total
                lacks = None
                if is_science:
                    science_seen += 1
                    # Those that lack a detector come last, so that the selected ones are complete.
                    if science_seen > goal - (LACKING - 1):
                        lacks = sequence % 9
                elif campaign and ordinal == 0:
                    lacks = 0
                yield Exposure(
                    day, sequence, is_science, is_science and science_seen <= SELECTED - BASE_SELECTED and not campaign, lacks
                )
                ordinal += 1
