"""Files that this program wrote for itself and trusts when it reads them again, such as caches."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def read_own_file(path: Path) -> bytes:
    """Read a regular file that this user owns and nobody else can write to or replace.

    Raises
    ------
    PermissionError
        If the file, or its folder, belongs to another user or others may write there; also for a symbolic link.
    OSError
        If it can't be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if path.is_symlink():
            raise PermissionError(f"{path} is a symbolic link") from error
        raise
    with open(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or not _is_own(status) or not _is_own(os.stat(path.parent)):
            raise PermissionError(f"{path} isn't a file that only this user can write to")
        return stream.read()


@contextmanager
def open_private_file(path: Path) -> Iterator[IO[str]]:
    """Open a file for writing, readable by its owner alone; it replaces ``path`` once all is written."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.unlink(missing_ok=True)  # and then O_EXCL: in a folder of others it could be a link, or readable by all
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            yield stream
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _is_own(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & WRITABLE_BY_OTHERS
