"""Lists of visits or exposures, one number a line, as people hand them around."""

from __future__ import annotations

from pathlib import Path

from reconciler.errors import StateError
from reconciler.files.text import read_text


def read(path: str) -> list[int]:
    """Read a list.

    Parameters
    ----------
    path : `str`
        The file; empty lines and what follows a ``#`` are passed over.

    Returns
    -------
    numbers : `list` [`int`]
        Each once, in the file's order.

    Raises
    ------
    reconciler.errors.StateError
        If it is missing, or a line holds no number.
    """
    numbers: dict[int, None] = {}
    for number, line in enumerate(read_text(Path(path)).splitlines(), 1):
        text = line.partition("#")[0].strip().rstrip(",")
        if not text:
            continue
        if not text.isdecimal():
            raise StateError(f'{path}:{number}: "{text[:40]}" is not the number of a visit or exposure')
        numbers[int(text)] = None
    return list(numbers)
