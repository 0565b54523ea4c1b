"""From the plain values of an export file to those of the Butler, and of the Butler's to plain ones."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from reconciler.files.export_yaml import Encoded, Tai


@functools.cache
def nanoseconds(begin: str | None, end: str | None) -> tuple[int, int]:
    """Convert a validity range to what the registry keeps.

    Parameters
    ----------
    begin, end : `str` or `None`
        TAI in ISO form; `None` for unbounded.

    Returns
    -------
    nsec : (`int`, `int`)
        TAI nanoseconds.
    """
    from lsst.daf.butler import Timespan

    begin_nsec, end_nsec = Timespan(moment(begin), moment(end)).nsec
    return int(begin_nsec), int(end_nsec)


def moment(text: str | None) -> Any:
    """Convert a time.

    Parameters
    ----------
    text : `str` or `None`
        TAI in ISO form.

    Returns
    -------
    time : `astropy.time.Time` or `None`
        The same.
    """
    from astropy.time import Time

    return None if text is None else Time(text, format="iso", scale="tai")


def record_values(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the values of a dimension record of an export file.

    Parameters
    ----------
    row : mapping
        As read.

    Returns
    -------
    values : `dict`
        As the Butler's record classes take them.
    """
    made: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Tai):
            made[key] = moment(value)
        elif isinstance(value, Encoded):
            from lsst.sphgeom import Region

            made[key] = Region.decode(bytes.fromhex(value))
        else:
            made[key] = value
    return made
