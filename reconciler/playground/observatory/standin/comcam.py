"""The ComCam instrument: nine detectors, fifteen filters, a camera, and the curated calibrations of its data package.

The filters are those of obs_lsst's ComCam definitions; visit system 2 groups exposures by their sequence numbers.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from lsst.daf.butler import Butler, Registry
from lsst.pipe.base import Instrument
from lsst.utils.introspection import get_full_type_name

from standin import calibrations
from standin.camera import Camera, make_camera
from standin.formatter import BytesFormatter
from standin.visit_groups import BY_SEQ_START_END

FILTERS = (
    ("empty", "white"), ("none", "white"), ("unknown", "unknown"), ("pinhole", "white"), ("OG590_2_5mm", "OG590"),
    ("u_05", "u"), ("u_02", "u"), ("u_06", "u"), ("g_07", "g"), ("g_01", "g"), ("r_03", "r"),
    ("i_06", "i"), ("z_03", "z"), ("z_02", "z"), ("y_04", "y"),
)  # fmt: skip
CONFIGS = "STANDIN_CONFIGS"
"""Variable with a folder of configuration files, such as ``defineVisits.py``, in place of those of the instrument's package."""


class LsstComCam(Instrument):
    """LSSTComCam."""

    policyName = "comCam"
    """Folder of the instrument in its data package."""

    @property
    def configPaths(self) -> Sequence[str]:  # type: ignore[override]
        return [place] if (place := os.environ.get(CONFIGS)) else []

    @classmethod
    def getName(cls) -> str:
        return "LSSTComCam"

    def getRawFormatter(self, dataId: Any) -> type[BytesFormatter]:
        return BytesFormatter

    @classmethod
    def getCamera(cls) -> Camera:
        return make_camera(cls.getName())

    @classmethod
    def getCuratedCalibrationNames(cls) -> frozenset[str]:
        return frozenset({"camera", *calibrations.list_types(cls.policyName)})

    def get_curated_calibration_labels(self) -> list[str]:
        return []

    def writeCuratedCalibrations(self, butler: Butler, collection: str | None = None, labels: Sequence[str] = ()) -> None:
        calibrations.write(butler, self, collection, labels)

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
                    "visit_system": BY_SEQ_START_END,
                },
                update=update,
            )
            for detector in self.getCamera():
                raft, name_in_raft = detector.name.split("_")
                registry.syncDimensionData(
                    "detector",
                    {
                        "instrument": self.getName(),
                        "id": detector.id,
                        "full_name": detector.name,
                        "name_in_raft": name_in_raft,
                        "raft": raft,
                        "purpose": "SCIENCE",
                    },
                    update=update,
                )
            for name, band in FILTERS:
                record = {"instrument": self.getName(), "name": name, "band": band}
                registry.syncDimensionData("physical_filter", record, update=update)
