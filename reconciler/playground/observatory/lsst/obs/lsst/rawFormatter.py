"""Formatter of raws."""

from standin.formatter import BytesFormatter


class LsstCamRawFormatter(BytesFormatter):
    """Raws of LSSTCam in FITS files."""
