"""Bulk copies of database rows, for worlds of a size that would take the Butler and Rucio hours to write."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol


class Database(Protocol):
    """A database in which rows can be copied with other values in some columns."""

    def row(self, table: str, where: str) -> dict[str, Any]:
        """Return the first row that matches a condition, by column."""
        ...

    def add(self, table: str, template: Mapping[str, Any], columns: list[str], rows: Iterable[tuple[Any, ...]]) -> None:
        """Add copies of a template row with other values in some columns."""
        ...

    def run(self, statement: str) -> None:
        """Run an SQL statement; ``{schema}`` in it is the name of the schema."""
        ...


class Sqlite:
    """An SQLite registry; foreign keys are not checked."""

    def __init__(self, path: str) -> None:
        self.connection = sqlite3.connect(path, timeout=60, isolation_level=None)
        self.connection.execute("pragma foreign_keys = off")
        self.connection.execute("pragma synchronous = off")
        self.connection.execute("pragma cache_size = -200000")

    def row(self, table: str, where: str) -> dict[str, Any]:
        cursor = self.connection.execute(f'select * from "{table}" where {where} limit 1')
        return dict(zip((column[0] for column in cursor.description), cursor.fetchone(), strict=True))

    def add(self, table: str, template: Mapping[str, Any], columns: list[str], rows: Iterable[tuple[Any, ...]]) -> None:
        fixed = {name: value for name, value in template.items() if name not in columns}
        names = ", ".join(f'"{name}"' for name in [*columns, *fixed])
        marks = ", ".join("?" * (len(columns) + len(fixed)))
        tail = tuple(fixed.values())
        self.connection.execute("begin")
        self.connection.executemany(f'insert into "{table}" ({names}) values ({marks})', ((*row, *tail) for row in rows))
        self.connection.execute("commit")

    def run(self, statement: str) -> None:
        self.connection.execute(statement)


class Postgres:
    """A schema of a PostgreSQL server on a socket; foreign keys are not checked."""

    def __init__(self, socket: str, database: str, schema: str) -> None:
        import psycopg

        self.connection = psycopg.connect(f"host={socket} user=postgres dbname={database}", autocommit=True)
        self.connection.execute("set session_replication_role = replica")
        self.connection.execute("set synchronous_commit = off")
        self.schema = schema

    def _name(self, table: str) -> str:
        return f'"{self.schema}"."{table}"'

    def row(self, table: str, where: str) -> dict[str, Any]:
        cursor = self.connection.execute(f"select * from {self._name(table)} where {where} limit 1")  # type: ignore[arg-type]
        assert cursor.description is not None
        found = cursor.fetchone()
        assert found is not None, f"{table}: {where}"
        return dict(zip((column.name for column in cursor.description), found, strict=True))

    def add(self, table: str, template: Mapping[str, Any], columns: list[str], rows: Iterable[tuple[Any, ...]]) -> None:
        fixed = {name: value for name, value in template.items() if name not in columns and value is not None}
        names = ", ".join(f'"{name}"' for name in [*columns, *fixed])
        tail = tuple(fixed.values())
        cursor = self.connection.cursor()
        with cursor.copy(f"copy {self._name(table)} ({names}) from stdin") as copy:  # type: ignore[arg-type]
            for row in rows:
                copy.write_row((*row, *tail))

    def run(self, statement: str) -> None:
        self.connection.execute(statement.replace("{schema}", self.schema))  # type: ignore[arg-type]


@contextlib.contextmanager
def closing(database: Sqlite | Postgres) -> Iterator[Sqlite | Postgres]:
    """Close a database when the context ends."""
    try:
        yield database
    finally:
        database.connection.close()
