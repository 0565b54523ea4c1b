"""Whether this user may write to a repository, found out without writing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.systems.butler.connection import open_database, registry_of
from reconciler.systems.butler.errors import translate_read_errors

if TYPE_CHECKING:
    from reconciler.systems.butler.repository import Repository


def find_write_problems(repository: Repository) -> list[str]:
    """Return why this user can't write to a repository that exists; a datastore on a server is not checked.

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
        root = str(config.get(("datastore", "root"), "")).replace("<butlerRoot>", str(config.configDir or ""))
        folder = root.removeprefix("file://")
        if folder.startswith("/") and os.path.isdir(folder) and not os.access(folder, os.W_OK):
            problems.append(f"no permission to write in the datastore {folder}")
    return problems


def _find_missing_privileges(url: object, namespace: str | None) -> list[str]:
    import sqlalchemy

    table = f'"{namespace}".collection' if namespace else "collection"
    with open_database(url).connect() as connection:
        query = sqlalchemy.text("select current_user, has_table_privilege(:table, 'INSERT')")
        user, may_insert = connection.execute(query, {"table": table}).one()
    return [] if may_insert else [f"the database user {user} may not insert into {table}"]
