"""Lists of folders: text files with one URI or path per line."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.errors import StateError
from reconciler.files.text import read_text


def read(path: str) -> list[str]:
    """Read the distinct locations of a list in the order of the file; empty lines and ``#`` comments are skipped.

    Relative paths start from the folder of the list.

    Raises
    ------
    reconciler.errors.StateError
        If the file can't be read, or lists nothing.
    """
    lines = (line.strip() for line in read_text(Path(path)).splitlines())
    listed = [line for line in lines if line and not line.startswith("#")]
    if not listed:
        raise StateError(f"{path}: lists no locations")
    folder = os.path.dirname(path)
    return list(dict.fromkeys(line if "://" in line else os.path.normpath(os.path.join(folder, line)) for line in listed))
