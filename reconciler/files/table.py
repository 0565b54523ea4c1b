"""Tables of files to ingest, in ECSV, CSV or FITS: the first column is the file's path, the others are dimensions."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.errors import StateError
from reconciler.files.text import get_file_version

TEXT_DIMENSIONS = frozenset({"band", "group", "instrument", "physical_filter", "skymap"})
"""Dimensions of the Butler's own universe whose values are text, even if they consist of digits."""
FORMATS = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".fits": "fits", ".fit": "fits"}


@dataclass(frozen=True)
class Row:
    """A row of a table: the path of a file as written, and its data ID from the other columns."""

    path: str
    data_id: Mapping[str, Any]


def read(path: str) -> tuple[Row, ...]:
    """Read the rows of a table in order; the result is cached until the file changes.

    Raises
    ------
    reconciler.errors.StateError
        If the file is missing or isn't a valid table.
    """
    return _read(path, *get_file_version(path))


def summarize(path: str) -> tuple[int, frozenset[str]]:
    """Count the rows of a text table and read its column names without parsing it, a thousand times faster than `read`.

    Returns
    -------
    count : `int`
        Number of rows; 0 for FITS, which can only be counted with `read`.
    columns : frozenset of `str`
        Names of all columns but the first; empty for FITS.

    Raises
    ------
    reconciler.errors.StateError
        If the file is missing or can't be read.
    """
    get_file_version(path)
    if FORMATS.get(os.path.splitext(path)[1].lower(), "") not in ("ascii.ecsv", "ascii.csv"):
        return 0, frozenset()
    try:
        with open(path, "rb") as stream:
            lines = (line for line in stream if line.strip() and not line.startswith(b"#"))
            names = re.split(r"[\s,]+", next(lines, b"").decode(errors="replace").strip())
            return sum(1 for _ in lines), frozenset(name.strip("\"'") for name in names[1:])
    except OSError as error:
        raise StateError(f"{path}: can't be read: {error.strerror}") from error


@functools.lru_cache(maxsize=64)
def _read(path: str, mtime: int, size: int) -> tuple[Row, ...]:
    from astropy.table import Table

    suffix = os.path.splitext(path)[1].lower()
    if suffix not in FORMATS:
        raise StateError(f'{path}: unsupported table format "{suffix}"; supported are {", ".join(sorted(FORMATS))}')
    try:
        table = Table.read(path, format=FORMATS[suffix])
        digits = [name for name in TEXT_DIMENSIONS.intersection(table.colnames) if table[name].dtype.kind in "iuf"]
        if digits and suffix == ".csv":  # a CSV file declares no types, and 007 is not 7
            table = Table.read(path, format=FORMATS[suffix], converters=dict.fromkeys(digits, str))
    except Exception as error:  # astropy raises nearly any exception if the content doesn't match the format
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise StateError(f"{path}: can't be read as a table: {first[:200]}") from error
    names = table.colnames
    if len(names) < 1:
        raise StateError(f"{path}: the table has no columns; the first must hold file paths, the others dimensions")
    columns = [[_decode(value, as_text=name in digits) for value in table[name].tolist()] for name in names]
    rows = []
    for values in zip(*columns, strict=True):
        if not isinstance(values[0], str):
            raise StateError(f'{path}: the first column, "{names[0]}", must hold file paths, but contains {values[0]!r}')
        rows.append(Row(values[0], dict(zip(names[1:], values[1:], strict=True))))
    return tuple(rows)


def _decode(value: Any, *, as_text: bool) -> Any:
    if as_text and not isinstance(value, bytes):
        return str(value)
    return value.decode().rstrip() if isinstance(value, bytes) else value


def columns(rows: tuple[Row, ...]) -> set[str]:
    """Return the names of the dimension columns, or an empty set for a table without rows."""
    return set(rows[0].data_id) if rows else set()
