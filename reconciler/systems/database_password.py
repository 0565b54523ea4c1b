"""The password of a PostgreSQL database, from the file in which the Butler finds those of its registries."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

AUTH_VARIABLE = "LSST_DB_AUTH"
AUTH_FILE = Path(".lsst/db-auth.yaml")


def find_credentials(url: Any) -> tuple[str | None, str | None]:
    """Return the user and the password of a `sqlalchemy.engine.URL`; `None` where libpq finds them by itself.

    They are from db-auth.yaml. Without that file, an entry for the database, or need of it because PGPASSWORD is set, the user is
    that of the URL. libpq reads the environment (PGUSER, PGPASSWORD) and ~/.pgpass.
    """
    home = os.environ.get("HOME")
    default = Path(home) / AUTH_FILE if home else None
    path = Path(os.environ[AUTH_VARIABLE]) if os.environ.get(AUTH_VARIABLE) else default
    if path is None or not path.is_file() or os.environ.get("PGPASSWORD"):
        return url.username, None
    from lsst.utils.db_auth import DbAuth, DbAuthError

    try:
        user, password = DbAuth(str(path)).getAuth("postgresql", url.username, url.host, url.port, url.database)
    except DbAuthError:
        return url.username, None
    return user, password
