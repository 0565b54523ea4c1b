"""The LSSTCam instrument: 189 science detectors, numbered from 0 on, then the guiders and wavefront sensors of the corner rafts.

Names and numbers of the detectors are those of obs_lsst, and the filters are some of its filters.
"""

from __future__ import annotations

from typing import Any

from standin.camera import CORNER_RAFTS, SCIENCE_RAFTS
from standin.formatter import BytesFormatter
from standin.instrument import LsstInstrument

FILTERS = (
    ("empty", "white"), ("none", "white"), ("unknown", "unknown"),
    ("u_24", "u"), ("g_6", "g"), ("r_57", "r"), ("i_39", "i"), ("z_20", "z"), ("y_10", "y"),
)  # fmt: skip


class LsstCam(LsstInstrument):
    """LSSTCam."""

    name = "LSSTCam"
    policyName = "lsstCam"
    filters = FILTERS
    rafts = SCIENCE_RAFTS
    corners = CORNER_RAFTS

    def getRawFormatter(self, dataId: Any) -> type[BytesFormatter]:
        from lsst.obs.lsst.rawFormatter import LsstCamRawFormatter

        return LsstCamRawFormatter
