"""Calibrations of instrument signature removal."""

from __future__ import annotations

from typing import Any

import yaml


class IsrCalib:
    """A calibration, of which only the metadata are kept."""

    def __init__(self, metadata: dict[str, Any] | None = None) -> None:
        self._metadata = metadata or {}

    @classmethod
    def readText(cls, path: str) -> IsrCalib:
        with open(path) as stream:
            return cls(yaml.safe_load(stream))

    def getMetadata(self) -> dict[str, Any]:
        return self._metadata


class Defects(IsrCalib):
    """Bad pixels."""


class CrosstalkCalib(IsrCalib):
    """Crosstalk between amplifiers."""


class Linearizer(IsrCalib):
    """Non-linearity."""


class PhotonTransferCurveDataset(IsrCalib):
    """Photon transfer curve."""


class BrighterFatterKernel(IsrCalib):
    """Brighter-fatter kernel."""
