"""Which files can be read without waiting for ever."""

from __future__ import annotations

import os
import stat
from pathlib import Path

CONNECTED = ("/dev/fd", "/proc")
"""Folders in which only the system makes entries."""


def is_readable(path: Path) -> bool:
    """Return False if a path names a pipe or a device, of which opening or reading may wait for ever. A folder isn't refused.

    The pipes that a shell connects to this process are ``/dev/stdin``, and below ``/dev/fd`` and ``/proc``. They end with the
    program that writes.

    Raises
    ------
    OSError
        If it doesn't exist or can't be accessed.
    """
    mode = path.stat().st_mode
    connected = stat.S_ISFIFO(mode) and (str(path) == "/dev/stdin" or any(map(path.is_relative_to, CONNECTED)))
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or connected or str(path) == os.devnull
