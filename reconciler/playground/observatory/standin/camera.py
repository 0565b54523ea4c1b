"""The geometry of the cameras: where their detectors are in the focal plane, and which part of the sky each of them sees.

The variable ``STANDIN_CAMERA_SHIFT`` moves all detectors by so many millimetres, as a later version of obs_lsst may.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from lsst.sphgeom import LonLat, UnitVector3d

SHIFT = "STANDIN_CAMERA_SHIFT"
PITCH, HALF = 41.4, 19.8
"""Distance of the centres of neighbouring detectors, and half the side of one, in millimetres."""
RAFT_PITCH = 127.0
"""Distance of the centres of neighbouring rafts in millimetres; raft R22 is in the middle of the focal plane."""
CENTRAL_RAFT = ("R22",)
SCIENCE_RAFTS = tuple(f"R{row}{column}" for row in range(5) for column in range(5) if (row % 4, column % 4) != (0, 0))
CORNER_RAFTS = ("R00", "R04", "R40", "R44")
CORNER_SLOTS = {"SG0": (0, 1), "SG1": (1, 0), "SW0": (0, 0), "SW1": (1, 1)}
"""Row and column of the guiders and the wavefront sensors in a corner raft."""
PURPOSES = {"S": "SCIENCE", "SG": "GUIDER", "SW": "WAVEFRONT"}
DEGREES_PER_MM = 1 / 180


@dataclass(frozen=True)
class Detector:
    """One detector.

    Parameters
    ----------
    id : `int`
        Its number.
    name : `str`
        Its full name.
    x, y : `float`
        Its centre in the focal plane, in millimetres.
    """

    id: int
    name: str
    x: float
    y: float

    @property
    def purpose(self) -> str:
        """What it is for: science, guiding or wavefront sensing."""
        return PURPOSES[self.name.partition("_")[2].rstrip("0123456789")]

    def corners(self, ra: float, dec: float) -> list[UnitVector3d]:
        """Return the positions of its corners on the sky if the camera points at a position in degrees."""
        return [
            UnitVector3d(LonLat.fromDegrees(ra + (self.x + x) * DEGREES_PER_MM, dec + (self.y + y) * DEGREES_PER_MM))
            for x, y in ((-HALF, -HALF), (HALF, -HALF), (HALF, HALF), (-HALF, HALF))
        ]


@dataclass(frozen=True)
class Camera:
    """A camera, which `write-curated-calibrations` stores and `define-visits` uses.

    Parameters
    ----------
    name : `str`
        Name of the instrument.
    detectors : `tuple` [`Detector`, ...]
        Its detectors.
    """

    name: str
    detectors: tuple[Detector, ...]

    def __iter__(self) -> Iterator[Detector]:
        return iter(self.detectors)


def make_camera(name: str, rafts: tuple[str, ...] = CENTRAL_RAFT, corners: tuple[str, ...] = ()) -> Camera:
    """Return a camera as the installed software has it.

    Parameters
    ----------
    name : `str`
        Name of the instrument.
    rafts : `tuple` [`str`, ...]
        Rafts of nine science detectors each, in the order of the detectors' numbers.
    corners : `tuple` [`str`, ...]
        Corner rafts, whose guiders and wavefront sensors are numbered after the science detectors.
    """
    shift = float(os.environ.get(SHIFT, "0"))
    slots = [(f"{raft}_S{row}{column}", row, column) for raft in rafts for row in range(3) for column in range(3)]
    slots += [(f"{raft}_{slot}", row, column) for raft in corners for slot, (row, column) in CORNER_SLOTS.items()]
    return Camera(name, tuple(_place(number, *slot, shift) for number, slot in enumerate(slots)))


def _place(number: int, name: str, row: int, column: int, shift: float) -> Detector:
    raft_x, raft_y = (RAFT_PITCH * (int(digit) - 2) for digit in (name[2], name[1]))
    return Detector(number, name, raft_x + PITCH * (column - 1) + shift, raft_y + PITCH * (row - 1))
