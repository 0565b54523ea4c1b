"""The ComCam instrument: nine detectors, and the fifteen filters of obs_lsst's ComCam definitions."""

from __future__ import annotations

from standin.instrument import LsstInstrument

FILTERS = (
    ("empty", "white"), ("none", "white"), ("unknown", "unknown"), ("pinhole", "white"), ("OG590_2_5mm", "OG590"),
    ("u_05", "u"), ("u_02", "u"), ("u_06", "u"), ("g_07", "g"), ("g_01", "g"), ("r_03", "r"),
    ("i_06", "i"), ("z_03", "z"), ("z_02", "z"), ("y_04", "y"),
)  # fmt: skip


class LsstComCam(LsstInstrument):
    """LSSTComCam."""

    name = "LSSTComCam"
    policyName = "comCam"
    filters = FILTERS
