"""Images."""


class Exposure:
    """An image with its calibration."""


class ExposureF(Exposure):
    """An image of single-precision pixels."""
