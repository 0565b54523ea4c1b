"""The delegate of the Exposure storage class."""

from lsst.daf.butler import StorageClassDelegate


class ExposureAssembler(StorageClassDelegate):
    """Takes exposures apart; never asked to here."""
