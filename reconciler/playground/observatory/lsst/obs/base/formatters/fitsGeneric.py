"""Formatter of everything that reads and writes FITS by itself."""

from standin.formatter import BytesFormatter


class FitsGenericFormatter(BytesFormatter):
    """Calibrations and catalogs in FITS files."""
