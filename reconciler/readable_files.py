"""Which files can be read without waiting for ever."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def is_readable(path: Path) -> bool:
    """Return False if a path names a pipe or a device, of which opening or reading may wait for ever. A folder isn't refused.

    The pipes that a shell connects to this process are in ``/dev/fd`` and ``/proc``. They end with the program that writes.

    Raises
    ------
    OSError
        If it doesn't exist or can't be accessed.
    """
    mode = path.stat().st_mode
    connected = stat.S_ISFIFO(mode) and (path.is_relative_to("/dev") or path.is_relative_to("/proc"))
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or connected or str(path) == os.devnull
