"""The database of a registry: where it is, and connections to it that don't go through a Butler."""

from __future__ import annotations

from typing import Any

from reconciler import redaction
from reconciler.systems.postgresql import DEFAULT_LIMITS, Limits, limit_waits


def registry_of(config: Any) -> tuple[Any, str | None]:
    """Return the `sqlalchemy.engine.URL` (with credentials, as the Butler finds them) and the schema of a registry.

    ``config`` is the `lsst.daf.butler.Config` of a repository, or the seed of one.
    """
    from lsst.daf.butler.registry import RegistryConfig

    registry = RegistryConfig(config)
    folder = getattr(config, "configDir", None)
    if folder is not None:
        registry.replaceRoot(folder.ospath if folder.isLocal else str(folder))
    url = registry.connectionString
    redaction.remember(url.password or "")
    return url, registry.get("namespace")


def open_database(url: Any, limits: Limits = DEFAULT_LIMITS, **options: Any) -> Any:
    """Return a `sqlalchemy.engine.Engine` that keeps no connection, with time limits on PostgreSQL; see `limit_waits`."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, **options)
    limit_waits(engine, limits)
    return engine
