"""A lock on a file, which the operating system releases when the process ends."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import stat
from pathlib import Path
from typing import Any

from reconciler.errors import ApplyError, LockHeld, LockLost
from reconciler.run_info import run_info


class FileLock:
    """A lock on a file, whose content names the holder; a `reconciler.systems.lock.Lock`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock: Any = None
        self.inode: tuple[int, int] | None = None

    def acquire(self) -> None:
        import filelock

        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = _mode_of_files_in(self.path.parent)
            self.lock = filelock.FileLock(str(self.path), mode=mode)
            self.lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise LockHeld(_describe_holder(_read_holder(self.path))) from error
        except OSError as error:
            raise self._explain(error) from error
        self.inode = self._find_inode()
        with contextlib.suppress(OSError):  # the name of the holder is a courtesy
            if (found := os.stat(self.path)).st_uid == os.getuid():
                if found.st_gid != (group := os.stat(self.path.parent).st_gid):
                    os.chown(self.path, -1, group)
                os.chmod(self.path, mode)
            self.path.write_text(json.dumps(run_info()), encoding="utf-8")

    def find_holder(self) -> str:
        """Return who holds the lock, empty if nobody; it creates no file, and holds a shared lock for a moment.

        Raises
        ------
        reconciler.errors.ApplyError
            If the file can't be opened.
        """
        import fcntl

        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise self._explain(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _describe_holder(_read_holder(self.path))
        finally:
            os.close(descriptor)
        return ""

    def _explain(self, error: OSError) -> ApplyError:
        """Describe why a lock file can't be used: usually it belongs to another user."""
        message = f"the lock {self.path} can't be acquired: {error.strerror}"
        with contextlib.suppress(OSError):
            found = os.stat(self.path)
            if isinstance(error, PermissionError) and found.st_uid != os.getuid():
                owner = _name_of_user(found.st_uid)
                hints = (
                    f"the file belongs to {owner}; if no apply is running, {owner} may remove it: rm {self.path}",
                    "a folder that its group may write in gets a lock file that its group may use: chmod g+ws",
                )
                return ApplyError(message, hints)
        return ApplyError(message)

    def _find_inode(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def check(self, *, creating: bool) -> None:
        if self.inode is None or self._find_inode() != self.inode:
            self.inode = None
            raise LockLost(f"the lock {self.path} was removed")

    def release(self) -> None:
        if self.lock is not None:
            with contextlib.suppress(OSError):
                if self.inode is not None and self._find_inode() == self.inode:
                    os.truncate(self.path, 0)
            self.lock.release()
            self.inode = None


def _mode_of_files_in(folder: Path) -> int:
    """Return the mode of a lock file: who may write in its folder may lock it."""
    allowed = stat.S_IMODE(os.stat(folder).st_mode)
    return 0o600 | (0o060 if allowed & 0o020 else 0) | (0o006 if allowed & 0o002 else 0)


def _name_of_user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _read_holder(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _describe_holder(info: dict[str, str]) -> str:
    if not info:
        return "another run holds it"
    return f"{info.get('user')} on {info.get('host')} (process {info.get('pid')}) has held it since {info.get('since')}"
