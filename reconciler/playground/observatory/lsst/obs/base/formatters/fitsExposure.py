"""Formatter of exposures."""

from standin.formatter import BytesFormatter


class FitsExposureFormatter(BytesFormatter):
    """Exposures in FITS files."""
