"""Calibrations of instrument signature removal."""


class IsrCalib:
    """A calibration."""


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
