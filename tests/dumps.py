"""Dumps of the databases of a Butler repository and of a Rucio server, without the columns and tables that change with time."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

Dump = dict[str, list[tuple[Any, ...]]]
TIME_COLUMNS = {
    "created_at",
    "updated_at",
    "accessed_at",
    "closed_at",
    "estimated_at",
    "stuck_at",
    "last_accessed",
    "ingest_date",
}
TRANSIENT_TABLES = {
    "tokens",
    "heartbeats",
    "messages",
    "requests",
    "sources",
    "updated_dids",
    "updated_rse_counters",
    "updated_account_counters",
}


def dump_sqlite(path: Path) -> Dump:
    """Return the sorted rows of each table of an SQLite database."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        names = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
        return {
            name: sorted(_rows(connection.execute(f'select * from "{name}"')), key=repr)
            for name in names
            if not name.startswith("sqlite_")
        }


def dump_postgres(socket: str, database: str, schema: str) -> Dump:
    """Return the sorted rows of each table in a schema of a PostgreSQL database."""
    import psycopg

    with psycopg.connect(f"host={socket} user=postgres dbname={database}") as connection:
        found = connection.execute("select table_name from information_schema.tables where table_schema = %s", [schema])
        names = [row[0] for row in found.fetchall()]
        return {
            name: sorted(_rows(connection.execute(f'select * from "{schema}"."{name}"')), key=repr)
            for name in names
            if name not in TRANSIENT_TABLES
        }


def _rows(cursor: Any) -> list[tuple[Any, ...]]:
    kept = [number for number, column in enumerate(cursor.description) if column[0] not in TIME_COLUMNS]
    return [tuple(row[number] for number in kept) for row in cursor.fetchall()]
