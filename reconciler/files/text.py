"""Reading of text files that an operator names, with a clear error for each way in which that can fail."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from reconciler.errors import MissingFile, StateError, did_you_mean
from reconciler.readable_files import is_readable

BYTE_ORDER_MARK = "\ufeff"
"""What some editors write at the beginning of a UTF-8 file."""


def read_text(path: Path) -> str:
    """Read a UTF-8 text file without its byte order mark, ``/dev/null`` or a pipe that a shell connected (``/dev/stdin``).

    Raises
    ------
    reconciler.errors.MissingFile
        If the file doesn't exist.
    reconciler.errors.StateError
        If it can't be read, isn't UTF-8, or is another pipe or device, which may never end.
    """
    try:
        if not is_readable(path):
            raise StateError(f"{path}: is not a regular file")
        return path.read_text(encoding="utf-8").removeprefix(BYTE_ORDER_MARK)
    except FileNotFoundError as error:
        raise MissingFile(str(path), did_you_mean(path.name, _list_names(path.parent))) from error
    except IsADirectoryError as error:
        raise StateError(f"{path}: is a folder, not a file") from error
    except OSError as error:
        raise StateError(f"{path}: can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StateError(f"{path}: not UTF-8 text (invalid byte at offset {error.start})") from error


def _list_names(folder: Path) -> list[str]:
    """Return the names of the files in a folder; none if it may not be listed, or isn't a folder."""
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:
        return []


def digest_file(path: Path) -> str:
    """Return the SHA-256 of the content of a file that `read_text` would take, in hexadecimal digits.

    Raises
    ------
    reconciler.errors.StateError
        If the file doesn't exist or can't be read, or is a pipe or a device that `read_text` doesn't take.
    """
    try:
        if not is_readable(path):
            raise StateError(f"{path}: is not a regular file")
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise StateError(f"{path}: can't be read: {error.strerror}") from error


def get_file_version(path: str) -> tuple[int, int]:
    """Return the modification time in nanoseconds and the size in bytes of a file, as a key for caches of its content.

    Raises
    ------
    reconciler.errors.MissingFile
        If the file doesn't exist.
    reconciler.errors.StateError
        If it can't be accessed, or isn't a regular file: a folder, a pipe or a device.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError as error:
        raise MissingFile(path, hints=("relative paths start from the folder of the state file",)) from error
    except OSError as error:
        raise StateError(f"{path}: can't be read: {error.strerror}") from error
    if stat.S_ISDIR(status.st_mode):
        raise StateError(f"{path}: is a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise StateError(f"{path}: is not a regular file")
    return status.st_mtime_ns, status.st_size
