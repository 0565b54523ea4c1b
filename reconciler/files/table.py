"""Tables of files to ingest: the first column is the file, the others are the data ID; ECSV, CSV and FITS."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.errors import StateError
from reconciler.files.text import stamp

FORMATS = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".fits": "fits", ".fit": "fits"}


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Parameters
    ----------
    path : `str`
        The file, as written.
    data_id : mapping
        The other columns.
    """

    path: str
    data_id: Mapping[str, Any]


def read(path: str) -> tuple[Row, ...]:
    """Read a table; the same file is read once.

    Parameters
    ----------
    path : `str`
        The file.

    Returns
    -------
    rows : tuple of `Row`
        In the table's order.

    Raises
    ------
    reconciler.errors.StateError
        If it is missing or no table.
    """
    return _read(path, *stamp(path))


def glance(path: str) -> tuple[int, frozenset[str]]:
    """Count the rows of a table and name its columns, without parsing it: a thousand times faster than reading it.

    Parameters
    ----------
    path : `str`
        The file.

    Returns
    -------
    count : `int`
        Rows; 0 where that can't be told, so that whoever counts first reads it then.
    columns : frozenset of `str`
        All but the first.

    Raises
    ------
    reconciler.errors.StateError
        If it is missing.
    """
    stamp(path)
    if FORMATS.get(os.path.splitext(path)[1].lower(), "") not in ("ascii.ecsv", "ascii.csv"):
        return 0, frozenset()
    with open(path, "rb") as stream:
        lines = (line for line in stream if line.strip() and not line.startswith(b"#"))
        names = re.split(r"[\s,]+", next(lines, b"").decode(errors="replace").strip())
        return sum(1 for _ in lines), frozenset(name.strip("\"'") for name in names[1:])


@functools.lru_cache(maxsize=64)
def _read(path: str, changed: int, size: int) -> tuple[Row, ...]:
    from astropy.table import Table

    suffix = os.path.splitext(path)[1].lower()
    if suffix not in FORMATS:
        raise StateError(f"{path}: not a table that is known here; {', '.join(sorted(set(FORMATS)))} are")
    try:
        table = Table.read(path, format=FORMATS[suffix])
    except Exception as error:  # astropy raises nearly anything for a file that is not what its name says
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise StateError(f"{path}: can't be read as a table: {first[:200]}") from error
    names = table.colnames
    if len(names) < 1:
        raise StateError(f"{path}: the table has no columns; the first names the file, the others are dimensions")
    columns = [[_plain(value) for value in table[name].tolist()] for name in names]
    rows = []
    for values in zip(*columns, strict=True):
        if not isinstance(values[0], str):
            raise StateError(f'{path}: the first column, "{names[0]}", is to name files and holds {values[0]!r}')
        rows.append(Row(values[0], dict(zip(names[1:], values[1:], strict=True))))
    return tuple(rows)


def _plain(value: Any) -> Any:
    return value.decode().rstrip() if isinstance(value, bytes) else value


def columns(rows: tuple[Row, ...]) -> set[str]:
    """Name the dimension columns.

    Parameters
    ----------
    rows : tuple of `Row`
        A table.

    Returns
    -------
    names : `set` [`str`]
        Empty for an empty table.
    """
    return set(rows[0].data_id) if rows else set()
