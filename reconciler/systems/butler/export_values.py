"""Conversion of the plain values in an export file to those that the Butler uses."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from reconciler.files.export_types import Encoded, Tai


@functools.cache
def nanoseconds(begin: str | None, end: str | None) -> tuple[int, int]:
    """Return a validity range (ISO times in TAI, None if unbounded) in TAI nanoseconds, as the registry stores it."""
    from lsst.daf.butler import Timespan

    begin_nsec, end_nsec = Timespan(parse_time(begin), parse_time(end)).nsec
    return int(begin_nsec), int(end_nsec)


def parse_time(text: str | None) -> Any:
    """Return an ISO time in TAI as `astropy.time.Time`."""
    from astropy.time import Time

    return None if text is None else Time(text, format="iso", scale="tai")


def record_values(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a dimension record of an export file as the Butler's record classes take them."""
    values: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Tai):
            values[key] = parse_time(value)
        elif isinstance(value, Encoded):
            from lsst.sphgeom import Region

            values[key] = Region.decode(bytes.fromhex(value))
        else:
            values[key] = value
    return values
