"""What the Python class of an instrument knows of it, if the package with that class is installed."""

from __future__ import annotations

import contextlib


def find_curated_types(class_name: str) -> frozenset[str]:
    """Return the dataset types of an instrument's curated calibrations; empty if its class can't be imported or doesn't know."""
    from lsst.utils import doImport

    with contextlib.suppress(Exception):  # importing a package of the Science Pipelines raises nearly anything
        found = doImport(class_name)
        names = found().getCuratedCalibrationNames()
        return frozenset(str(name) for name in names)
    return frozenset()
