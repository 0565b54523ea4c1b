"""Dimension universes that the installed Butler can't read: one of a newer release, or of another project.

A registry contains the definition of its universe. If the Butler fails over it, only its name and version are read here.
"""

from __future__ import annotations

import importlib.metadata
import json
from typing import Any

from reconciler.errors import ObserveError
from reconciler.systems.butler.registry_database import open_database, registry_of

ATTRIBUTE = "config:dimensions.json"
"""The attribute of a registry that contains its universe."""


def find_unreadable_universe(uri: str, definition: str | None) -> ObserveError | None:
    """Return the error about a repository whose universe the installed Butler doesn't know.

    Parameters
    ----------
    uri : `str`
        The repository.
    definition : `str` or `None`
        The definition of its universe, as JSON.

    Returns
    -------
    error : `reconciler.errors.ObserveError` or `None`
        None if the Butler should be able to read it, or there is none.

    Raises
    ------
    ValueError, KeyError, TypeError
        If the definition isn't that of a universe.
    """
    if definition is None:
        return None
    from lsst.daf.butler import DimensionUniverse

    found, own = json.loads(definition), DimensionUniverse()
    if not isinstance(found, dict):
        raise TypeError(f"a universe is a JSON object, and this is of type {type(found).__name__}")
    namespace, version = str(found.get("namespace") or own.namespace), int(found["version"])
    if namespace != own.namespace:
        hint = f'this repository was made by other software than Rubin\'s; set up the one that defines the universe "{namespace}"'
    elif version > own.version:
        hint = f"set up a newer stack; this one knows the universe {namespace} up to version {own.version}"
    else:
        return None
    installed = importlib.metadata.version("lsst-daf-butler")
    text = f"lsst-daf-butler {installed} can't read its dimension universe, version {version} of {namespace}"
    return ObserveError(f"Butler {uri} could not be opened: {text}", (hint,))


def read_universe(config: Any) -> str | None:
    """Return the definition of the universe in a registry; None if its creation was interrupted, since that writes it last.

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        If the database can't be queried, or has no table of attributes.
    """
    import sqlalchemy

    url, namespace = registry_of(config)
    attributes = sqlalchemy.table("butler_attributes", sqlalchemy.column("name"), sqlalchemy.column("value"), schema=namespace)
    with open_database(url).connect() as connection:
        found = connection.execute(sqlalchemy.select(attributes.c.value).where(attributes.c.name == ATTRIBUTE))
        value = found.scalar()
        return None if value is None else str(value)
