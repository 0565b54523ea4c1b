"""A PostgreSQL advisory lock, which the server releases when the connection ends."""

from __future__ import annotations

import contextlib
import hashlib
from typing import Any

from reconciler.errors import ApplyError, LockHeld, LockLost, clean
from reconciler.run_info import run_info
from reconciler.systems.butler.errors import explain
from reconciler.systems.butler.registry_database import open_database
from reconciler.systems.postgresql import SMALL_STATEMENT_LIMIT, Limits

LIMITS_OF_TRANSACTIONS = (
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
)
"""Settings of PostgreSQL that would end the transaction that holds a lock; not every version has all."""


class AdvisoryLock:
    """A PostgreSQL advisory lock, held by one open transaction of a connection of its own.

    A lock of a transaction stays with its server process also behind a connection pool in transaction mode. The transaction is
    READ COMMITTED and writes nothing, so between two statements it doesn't keep the server from vacuuming.
    """

    def __init__(self, url: Any, namespace: str | None) -> None:
        info = run_info()
        name = f"reconcile {info['user']}@{info['host']} {info['pid']}"[:63]
        self.engine = open_database(
            url, Limits(SMALL_STATEMENT_LIMIT), connect_args={"application_name": name}, isolation_level="READ COMMITTED"
        )
        self.key = int.from_bytes(hashlib.sha256(f"reconcile:{namespace}".encode()).digest()[:7], "big")
        self.connection: Any = None

    def acquire(self) -> None:
        import sqlalchemy

        try:
            self.connection = self.engine.connect()
            endless = sqlalchemy.text("select set_config(name, '0', true) from pg_settings where name = any(:names)")
            self.connection.execute(endless, {"names": list(LIMITS_OF_TRANSACTIONS)})
            query = sqlalchemy.text("select pg_try_advisory_xact_lock(:key)")
            if not self.connection.execute(query, {"key": self.key}).scalar():
                raise LockHeld(self._find_holder(self.connection) or "another run holds it")
        except LockHeld:
            self.release()
            raise
        except sqlalchemy.exc.SQLAlchemyError as error:
            self.release()
            raise _explain(error) from error

    def find_holder(self) -> str:
        """Return who holds the lock, without acquiring it; empty if nobody does.

        Raises
        ------
        reconciler.errors.ApplyError
            If the server can't be asked.
        """
        import sqlalchemy

        try:
            with self.engine.connect() as connection:
                return self._find_holder(connection)
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise _explain(error) from error
        finally:
            self.engine.dispose()

    def _find_holder(self, connection: Any) -> str:
        import sqlalchemy

        row = connection.execute(
            sqlalchemy.text(
                "select a.application_name, a.xact_start at time zone 'utc'"
                " from pg_locks l join pg_stat_activity a using (pid)"
                " where l.locktype = 'advisory' and l.granted and (l.classid::bigint << 32 | l.objid::bigint) = :key"
                " and l.objsubid = 1 and l.database = (select oid from pg_database where datname = current_database())"
            ),
            {"key": self.key},
        ).first()
        if row is None:
            return ""
        # PostgreSQL shows the times of other roles' sessions only to those that may monitor it.
        since = f" has held it since {row[1]:%Y-%m-%dT%H:%M:%SZ}" if row[1] is not None else " holds it"
        return clean(row[0]).removeprefix("reconcile ") + since

    def check(self, *, creating: bool) -> None:
        import sqlalchemy

        try:
            if self.connection is None:
                raise LockLost("the lock on the registry was released")
            self.connection.execute(sqlalchemy.text("select 1"))
        except sqlalchemy.exc.SQLAlchemyError as error:
            self.release()
            message, hints = explain(error)
            raise LockLost(f"the lock on the registry was lost: {message}", hints) from error

    def release(self) -> None:
        if self.connection is not None:
            with contextlib.suppress(Exception):
                self.connection.close()
            self.connection = None
        self.engine.dispose()


def _explain(error: Exception) -> ApplyError:
    message, hints = explain(error)
    return ApplyError(f"the lock on the registry can't be acquired: {message}", hints)
