"""The geometry of ComCam: where its detectors are in the focal plane, and which part of the sky each of them sees.

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


def make_camera(name: str) -> Camera:
    """Return the camera of nine detectors as the installed software has it."""
    shift = float(os.environ.get(SHIFT, "0"))
    return Camera(
        name,
        tuple(
            Detector(number, f"R22_S{number // 3}{number % 3}", PITCH * (number % 3 - 1) + shift, PITCH * (number // 3 - 1))
            for number in range(9)
        ),
    )
