"""Conversion of the plain values in an export file to those that the Butler uses."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from reconciler.errors import StateError
from reconciler.files.export_types import Encoded, Tai


@functools.cache
def nanoseconds(begin: str | None, end: str | None) -> tuple[int, int]:
    """Return a validity range (ISO times in TAI, None if unbounded) in TAI nanoseconds, as the registry stores it.

    Raises
    ------
    reconciler.errors.StateError
        If one of them is not a time.
    """
    from lsst.daf.butler import Timespan

    begin_nsec, end_nsec = Timespan(parse_time(begin), parse_time(end)).nsec
    return int(begin_nsec), int(end_nsec)


def parse_time(text: str | None) -> Any:
    """Return an ISO time in TAI as `astropy.time.Time`; None for None.

    Raises
    ------
    reconciler.errors.StateError
        If the text is not a time.
    """
    from astropy.time import Time

    try:
        return None if text is None else Time(text, format="iso", scale="tai")
    except (ValueError, TypeError) as error:
        raise StateError(f'"{text}" is not a time; an export file has times such as 2024-11-08 12:00:00') from error


def record_values(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a dimension record of an export file as the Butler's record classes take them.

    Raises
    ------
    reconciler.errors.StateError
        If a time or a region is wrong.
    """
    values: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Tai):
            values[key] = parse_time(value)
        elif isinstance(value, Encoded):
            from lsst.sphgeom import Region

            try:
                values[key] = Region.decode(bytes.fromhex(value))
            except (ValueError, RuntimeError) as error:
                raise StateError(f"the {key} of a dimension record is not an encoded region: {error}") from error
        else:
            values[key] = value
    return values
