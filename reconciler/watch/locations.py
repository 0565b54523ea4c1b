"""Where the history is: a SQLite file by default, or the URL of a PostgreSQL database.

It imports neither SQLAlchemy nor anything else that is slow, because `reconcile status` does without.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from reconciler.errors import ReconcileError

VARIABLE = "RECONCILE_HISTORY"
DIALECTS = ("postgresql", "postgres")


class HistoryError(ReconcileError):
    """The history can't be used: locked, corrupt, of a newer version or another program, or on a full disk."""


class MissingHistory(HistoryError):
    """There is no history at this place yet."""


@dataclass(frozen=True)
class HistoryLocation:
    """Where a history is; exactly one of both is set.

    Parameters
    ----------
    file : `pathlib.Path` or `None`
        A SQLite file.
    url : `str` or `None`
        A PostgreSQL URL, without a password.
    """

    file: Path | None = None
    url: str | None = None

    def __str__(self) -> str:
        return str(self.file) if self.file is not None else str(self.url)

    @property
    def folder(self) -> Path | None:
        """The folder of a SQLite file, which also has the locks of checks."""
        return self.file.parent if self.file is not None else None


def find_history(option: str | None, environment: Mapping[str, str] | None = None) -> HistoryLocation:
    """Return where the history is, by ``--history``, the environment variable, or the default.

    Parameters
    ----------
    option : `str` or `None`
        A path or a URL.
    environment : `Mapping`, optional
        Environment variables; those of this process by default.

    Raises
    ------
    reconciler.watch.locations.HistoryError
        If there is no place for it, or if it is a URL with a password or for another database.
    """
    variables = os.environ if environment is None else environment
    text = option or variables.get(VARIABLE)
    if text is None or not text.strip():
        return HistoryLocation(_default_file(variables))
    if "://" not in text:
        return HistoryLocation(Path(os.path.expanduser(text)).absolute())
    return _parse_url(text)


def _default_file(environment: Mapping[str, str]) -> Path:
    base = environment.get("XDG_STATE_HOME", "").strip()
    if not base and not environment.get("HOME", "").strip():
        hint = f"give --history FILE or set {VARIABLE}; a crontab line has no other way to find it without HOME"
        raise HistoryError("there is no place for the history: neither HOME nor XDG_STATE_HOME is set", (hint,))
    from platformdirs import user_state_path

    folder = Path(base) / "rubin-reconciler" if base else user_state_path("rubin-reconciler")
    return folder / "history.sqlite"


def _parse_url(text: str) -> HistoryLocation:
    try:
        parts = urlsplit(text)
        password = parts.password
    except ValueError as error:
        raise HistoryError("the URL of the history isn't valid; write postgresql://USER@HOST/DATABASE") from error
    scheme = parts.scheme.partition("+")[0]
    if scheme == "sqlite":
        return HistoryLocation(Path(unquote(parts.path.removeprefix("/"))).absolute())
    if scheme not in DIALECTS:
        raise HistoryError(f'a history can\'t be kept in "{scheme}"; write a path, or postgresql://USER@HOST/DATABASE')
    if password is not None or "password" in parse_qs(parts.query):
        hint = "put it into ~/.pgpass, into the Butler's db-auth.yaml, or into the environment variable PGPASSWORD"
        raise HistoryError("the URL of the history contains a password, which any user of this machine could read", (hint,))
    return HistoryLocation(url="postgresql" + text[len(scheme) :] if scheme == "postgres" else text)
