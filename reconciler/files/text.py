"""Text files that an operator names, with one clear error for each way in which one can't be read."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.errors import StateError
from reconciler.state.braces import meant


def read_text(path: Path) -> str:
    """Read a text file.

    Parameters
    ----------
    path : `pathlib.Path`
        The file.

    Returns
    -------
    text : `str`
        Its content.

    Raises
    ------
    reconciler.errors.StateError
        If it can't be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise StateError(f"{path}: no such file{meant(path.name, siblings)}") from error
    except IsADirectoryError as error:
        raise StateError(f"{path}: a folder, not a file") from error
    except OSError as error:
        raise StateError(f"{path}: can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StateError(f"{path}: not UTF-8 text (byte {error.start})") from error


def stamp(path: str) -> tuple[int, int]:
    """Say which version of a file is there, so that the same one is read once.

    Parameters
    ----------
    path : `str`
        The file.

    Returns
    -------
    changed, size : `int`
        Nanoseconds and bytes.

    Raises
    ------
    reconciler.errors.StateError
        If it is not there or can't be read.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError as error:
        raise StateError(f"{path}: no such file", ("it is named relative to the state file",)) from error
    except OSError as error:
        raise StateError(f"{path}: can't be read: {error.strerror}") from error
    return found.st_mtime_ns, found.st_size
