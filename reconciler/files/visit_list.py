"""Lists of visits or exposures: text files with one number per line, which may end in a comma."""

from __future__ import annotations

from pathlib import Path

from reconciler.errors import StateError
from reconciler.files.text import read_text

MOST_DIGITS = 18
"""Digits of a number; the Butler's are of 64 bits."""


def read(path: str) -> list[int]:
    """Read the distinct numbers of a list in the order of the file; empty lines and ``#`` comments are skipped.

    Raises
    ------
    reconciler.errors.StateError
        If the file can't be read, or a line isn't a number of at most 18 digits.
    """
    numbers: dict[int, None] = {}
    for line_number, line in enumerate(read_text(Path(path)).splitlines(), 1):
        text = line.partition("#")[0].strip(", \t")
        if not text:
            continue
        if not text.isdecimal():
            raise StateError(f'{path}:{line_number}: "{text[:40]}" is not the number of a visit or exposure')
        if len(text) > MOST_DIGITS:
            raise StateError(f"{path}:{line_number}: {text[:40]} is too large for the number of a visit or exposure")
        numbers[int(text)] = None
    return list(numbers)
