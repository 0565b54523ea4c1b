"""Send many rows to PostgreSQL in few round trips.

For rows that may already exist (members of TAGGED collections, and two rows of every raw, whose UUID follows from its data ID)
the Butler writes INSERT … ON CONFLICT and asks for the row count. How SQLAlchemy sends many of those depends on its version and
driver: 2.0.44 with psycopg2 joins them into statements of many rows, 2.1 with psycopg sends them in one pipeline, and 2.0.51 with
psycopg2 sends each row alone and waits for its answer. Only the last is helped here; a test counts the round trips of each.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

MINIMUM_ROWS = 100
"""Smaller statements run unchanged, so cursor.rowcount stays correct for them."""
PAGE_ROWS = 500
"""Rows in one round trip."""


@contextlib.contextmanager
def batched_inserts() -> Iterator[None]:
    """Send the rows of statements with at least `MINIMUM_ROWS` rows in pages while this context lasts, with psycopg2 only.

    It applies to all engines of the process. The row count of such a statement is wrong.
    """
    import sqlalchemy

    listener = (sqlalchemy.engine.Engine, "do_executemany", _execute_in_pages)
    sqlalchemy.event.listen(*listener)
    try:
        yield
    finally:
        sqlalchemy.event.remove(*listener)


def _execute_in_pages(cursor: Any, statement: str, parameters: Sequence[Any], context: Any) -> bool | None:
    """Return True if the statement was executed here, so that SQLAlchemy does not execute it again."""
    if context.dialect.driver != "psycopg2" or len(parameters) < MINIMUM_ROWS:
        return None
    from psycopg2 import extras

    extras.execute_batch(cursor, statement, parameters, page_size=PAGE_ROWS)
    return True
