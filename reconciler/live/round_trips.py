"""Many rows to PostgreSQL in few round trips.

SQLAlchemy joins the rows of a plain INSERT, but sends each row of one that has an ON CONFLICT alone, and waits for its answer.
The Butler writes so whatever may be there already: members of TAGGED collections, and two rows of every raw, whose UUID follows
from its data ID. Joined into batches they mean the same.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

FROM = 100
"""Rows; fewer go as they always did, so that whoever reads the count of rows of a few reads it rightly."""
BATCH = 500
"""Rows in one round trip."""


@functools.cache
def batch_rows() -> None:
    """Let every Butler of this process send many rows in batches from now on."""
    import sqlalchemy

    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "do_executemany", _in_batches)


def _in_batches(cursor: Any, statement: str, parameters: Sequence[Any], context: Any) -> bool | None:
    """Answer SQLAlchemy whether this was done here."""
    if context.dialect.driver != "psycopg2" or len(parameters) < FROM:
        return None
    from psycopg2 import extras

    extras.execute_batch(cursor, statement, parameters, page_size=BATCH)
    return True
