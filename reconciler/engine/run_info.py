"""Who runs this program, where and when: told by the journal, by locks and in saved plans."""

from __future__ import annotations

import datetime
import getpass
import os
import socket


def who() -> str:
    """Name the user.

    Returns
    -------
    name : `str`
        The login name, or the number where there is no name.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def now() -> str:
    """Give the time.

    Returns
    -------
    time : `str`
        UTC, ISO form, to milliseconds.
    """
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def holder() -> dict[str, str]:
    """Say who holds or made something.

    Returns
    -------
    facts : `dict` [`str`, `str`]
        User, host, process and time.
    """
    return {"user": who(), "host": socket.gethostname(), "pid": str(os.getpid()), "since": now()}
