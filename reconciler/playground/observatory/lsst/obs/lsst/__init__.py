"""Instruments of the LSST project."""

from standin.comcam import LsstComCam as _LsstComCam
from standin.lsstcam import LsstCam as _LsstCam


class LsstComCam(_LsstComCam):
    """LSSTComCam, under the name that registries keep."""


class LsstCam(_LsstCam):
    """LSSTCam, under the name that registries keep."""
