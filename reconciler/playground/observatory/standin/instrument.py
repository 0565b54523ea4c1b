"""What the instruments share: how they are registered, their camera, and the curated calibrations of their data package.

Visit system 2 groups exposures by their sequence numbers.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, ClassVar

from lsst.daf.butler import Butler, Registry
from lsst.pipe.base import Instrument
from lsst.utils.introspection import get_full_type_name

from standin import calibrations
from standin.camera import CENTRAL_RAFT, Camera, make_camera
from standin.formatter import BytesFormatter
from standin.visit_groups import BY_SEQ_START_END

CONFIGS = "STANDIN_CONFIGS"
"""Variable with a folder of configuration files, such as ``defineVisits.py``, in place of those of the instrument's package."""


class LsstInstrument(Instrument):
    """An instrument of the LSST project."""

    name: ClassVar[str]
    policyName: ClassVar[str]
    """Folder of the instrument in its data package."""
    filters: ClassVar[tuple[tuple[str, str], ...]]
    """Physical filters, each with its band."""
    rafts: ClassVar[tuple[str, ...]] = CENTRAL_RAFT
    corners: ClassVar[tuple[str, ...]] = ()

    @property
    def configPaths(self) -> Sequence[str]:  # type: ignore[override]
        return [place] if (place := os.environ.get(CONFIGS)) else []

    @classmethod
    def getName(cls) -> str:
        return cls.name

    def getRawFormatter(self, dataId: Any) -> type[BytesFormatter]:
        return BytesFormatter

    @classmethod
    def getCamera(cls) -> Camera:
        return make_camera(cls.name, cls.rafts, cls.corners)

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
                        "purpose": detector.purpose,
                    },
                    update=update,
                )
            for name, band in self.filters:
                record = {"instrument": self.getName(), "name": name, "band": band}
                registry.syncDimensionData("physical_filter", record, update=update)
