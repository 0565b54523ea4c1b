"""Whether this user may write to a repository, found out without writing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.redaction import redact
from reconciler.systems.butler.errors import translate_read_errors
from reconciler.systems.butler.registry_database import open_database, registry_of

if TYPE_CHECKING:
    from reconciler.systems.butler.repository import Repository


@dataclass(frozen=True)
class WriteAccess:
    """What is known of the permission to write to a repository.

    Parameters
    ----------
    problems : `tuple` [`str`, ...]
        Why this user can't write.
    unchecked : `tuple` [`str`, ...]
        Datastores on servers, of which only a write shows whether it is allowed.
    """

    problems: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


def check_write_access(repository: Repository) -> WriteAccess:
    """Check whether this user may write to a repository that exists.

    Raises
    ------
    reconciler.errors.ObserveError
        If it can't be found out.
    """
    problems = []
    with translate_read_errors(repository.uri):
        config = repository.config()
        url, namespace = registry_of(config)
        if url.get_backend_name() == "sqlite":
            database = Path(str(url.database))
            problems += [f"no permission to write {path}" for path in (database, database.parent) if not os.access(path, os.W_OK)]
        else:
            problems += _find_missing_privileges(url, namespace)
        roots = list(_find_datastore_roots(config))
    folders = [root for root in roots if root.startswith("/")]
    problems += [
        f"no permission to write in the datastore {folder}"
        for folder in folders
        if os.path.isdir(folder) and not os.access(folder, os.W_OK)
    ]
    return WriteAccess(tuple(problems), tuple(root for root in roots if root not in folders))


def _find_datastore_roots(config: Any) -> Iterator[str]:
    """Yield the roots of a datastore, or of those in a chain: absolute paths, and URLs without credentials."""
    from lsst.resources import ResourcePath

    parts = [config.get("datastore", {}), *(part.get("datastore", part) for part in config.get(("datastore", "datastores"), []))]
    for root in dict.fromkeys(str(part.get("root", "")) for part in parts):
        if root:
            place = ResourcePath(root.replace("<butlerRoot>", str(config.configDir or "")), forceDirectory=True)
            yield place.ospath if place.isLocal else redact(str(place))


def _find_missing_privileges(url: object, namespace: str | None) -> list[str]:
    import sqlalchemy

    table = f'"{namespace}".collection' if namespace else "collection"
    with open_database(url).connect() as connection:
        query = sqlalchemy.text("select current_user, has_table_privilege(:table, 'INSERT')")
        user, may_insert = connection.execute(query, {"table": table}).one()
    return [] if may_insert else [f"the database user {user} may not insert into {table}"]
