"""Formatter of everything that reads and writes FITS by itself."""

from standin.formatter import ObjectFormatter


class FitsGenericFormatter(ObjectFormatter):
    """Calibrations and catalogs in FITS files."""
