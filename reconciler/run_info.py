"""Who runs this program, where and when: recorded by the journal, by locks and in plan files."""

from __future__ import annotations

import datetime
import getpass
import os
import socket


def current_user() -> str:
    """Return the login name, or the user's number where there is no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def timestamp() -> str:
    """Return the current time: UTC, ISO form, to milliseconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def run_info() -> dict[str, str]:
    """Return ``user``, ``host`` and ``pid`` of this run, and ``since``: the time of this call."""
    return {"user": current_user(), "host": socket.gethostname(), "pid": str(os.getpid()), "since": timestamp()}
