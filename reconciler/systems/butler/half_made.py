"""Repositories that an interrupted creation left half-made: a ``butler.yaml`` whose registry lacks tables or attributes."""

from __future__ import annotations

import os
from typing import Any

from reconciler.errors import ObserveError, clean
from reconciler.systems.butler import server
from reconciler.systems.butler.registry_database import registry_of
from reconciler.systems.butler.universe import read_universe

MISSING_ATTRIBUTE_ERRORS = ("LookupError", "MissingManagerError")
"""Exceptions that the Butler raises when attributes of a registry are missing."""


def is_half_made(config: Any, failure: BaseException | None) -> bool:
    """Return True if a repository could not be opened because tables or attributes of its registry are missing.

    Parameters
    ----------
    config : `lsst.daf.butler.ButlerConfig`
        Its configuration.
    failure : `BaseException` or `None`
        What the Butler raised.
    """
    from sqlalchemy.exc import OperationalError, ProgrammingError

    if isinstance(failure, OperationalError | ProgrammingError) and _reports_missing_tables(clean(failure)):
        return True
    if type(failure).__name__ not in MISSING_ATTRIBUTE_ERRORS or server.is_server(config):
        return False
    return read_universe(config) is None


def check_interrupted_creation(uri: str, config: Any) -> None:
    """Check that a repository without tables was left by an interrupted creation, and didn't lose its database.

    Raises
    ------
    reconciler.errors.ObserveError
        If its datastore contains files, or the folder of its database doesn't exist.
    """
    from lsst.resources import ResourcePath

    url, _ = registry_of(config)
    if url.get_backend_name() == "sqlite" and url.database and not os.path.isdir(os.path.dirname(url.database)):
        hint = "is a disk not mounted? The repository is not created again in its place"
        raise ObserveError(f"Butler {uri}: the folder of its database {url.database} doesn't exist", (hint,))
    root = str(config["datastore", "root"]).replace("<butlerRoot>", str(config.configDir))
    for _, _, files in ResourcePath(root, forceDirectory=True).walk():
        kept = [name for name in files if name != "butler.yaml" and not name.startswith("gen3.")]
        if kept:
            hint = "its creation was not interrupted; restore the database, or remove butler.yaml to start over"
            raise ObserveError(f"Butler {uri}: its registry has no tables, but its datastore contains files ({kept[0]})", (hint,))


def _reports_missing_tables(text: str) -> bool:
    return any(
        sign in text for sign in ("no such table", "UndefinedTable", "does not exist\nLINE", "unable to open database file")
    )
