"""The ComCam instrument as a registry knows it: nine detectors, fifteen filters, a raw dataset type.

The filters are those of obs_lsst's ComCam definitions; visit system 2 groups exposures by their sequence numbers.
"""

from __future__ import annotations

from typing import Any

from lsst.daf.butler import Registry
from lsst.pipe.base import Instrument
from lsst.utils.introspection import get_full_type_name

from standin.formatter import BytesFormatter

FILTERS = (
    ("empty", "white"), ("none", "white"), ("unknown", "unknown"), ("pinhole", "white"), ("OG590_2_5mm", "OG590"),
    ("u_05", "u"), ("u_02", "u"), ("u_06", "u"), ("g_07", "g"), ("g_01", "g"), ("r_03", "r"),
    ("i_06", "i"), ("z_03", "z"), ("z_02", "z"), ("y_04", "y"),
)  # fmt: skip
DETECTORS = tuple((number, f"R22_S{number // 3}{number % 3}") for number in range(9))
VISIT_SYSTEM = 2


class Camera:
    """What `write-curated-calibrations` stores as the camera."""

    def __init__(self, name: str) -> None:
        self.name = name


class LsstComCam(Instrument):
    """LSSTComCam."""

    @classmethod
    def getName(cls) -> str:
        return "LSSTComCam"

    def getRawFormatter(self, dataId: Any) -> type[BytesFormatter]:
        return BytesFormatter

    def getCamera(self) -> Camera:
        return Camera(self.getName())

    def getCuratedCalibrationNames(self) -> frozenset[str]:
        return frozenset({"camera", "crosstalk"})

    def register(self, registry: Registry, *, update: bool = False) -> None:
        with registry.transaction():
            registry.syncDimensionData(
                "instrument",
                {
                    "name": self.getName(),
                    "detector_max": 1000,
                    "visit_max": 7050123199999,
                    "exposure_max": 7050123199999,
                    "class_name": get_full_type_name(type(self)),
                    "visit_system": VISIT_SYSTEM,
                },
                update=update,
            )
            for number, full_name in DETECTORS:
                raft, name_in_raft = full_name.split("_")
                registry.syncDimensionData(
                    "detector",
                    {
                        "instrument": self.getName(),
                        "id": number,
                        "full_name": full_name,
                        "name_in_raft": name_in_raft,
                        "raft": raft,
                        "purpose": "SCIENCE",
                    },
                    update=update,
                )
            for name, band in FILTERS:
                record = {"instrument": self.getName(), "name": name, "band": band}
                registry.syncDimensionData("physical_filter", record, update=update)
