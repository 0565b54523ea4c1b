"""Instruments of the LSST project."""

from standin.comcam import LsstComCam as _LsstComCam


class LsstComCam(_LsstComCam):
    """LSSTComCam, under the name that registries keep."""
