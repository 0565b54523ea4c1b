"""Storage of packages of pretrained models."""

from standin.formatter import BytesFormatter


class NNModelPackagePayload:
    """The contents of a package."""


class NNModelPackageFormatter(BytesFormatter):
    """Packages in zip files."""

    default_extension = ".zip"
