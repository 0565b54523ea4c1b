"""Time limits of connections to PostgreSQL: for connecting, for a host that is gone, and for each answer.

A server that hangs keeps its connections alive and can't enforce a limit of its own, and the drivers wait for its answer without
one. So each connection notes until when it waits, and a thread shuts down the socket of one that waits longer: the driver then
reports a lost connection, and the server rolls back.

The server's own ``statement_timeout`` is left to its administrator: behind a connection pool in transaction mode, what a session
sets stays with the server process and affects other programs, and a pool may refuse it as an option of the connection.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import math
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from reconciler.errors import StateError
from reconciler.systems.engine_events import handling

VARIABLE = "RECONCILE_DATABASE_TIMEOUT"
"""Environment variable with the longest time in seconds that one statement may take."""
STATEMENT_LIMIT = 600.0
"""The default: the slowest statement that was measured took 5 s, but one may also wait for the lock of another writer."""
SMALL_STATEMENT_LIMIT = 30.0
"""Seconds for statements that read or write a few rows and never wait for a lock."""
PARAMETERS = {
    "connect_timeout": "10",
    "tcp_user_timeout": "30000",
    "keepalives_idle": "20",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}
"""Parameters of libpq, in seconds, but milliseconds for tcp_user_timeout; what a URL sets takes precedence."""
POLL = 0.25
"""Seconds between two checks of the time."""


def find_statement_limit() -> float:
    """Return the longest time in seconds that one statement may take.

    Raises
    ------
    reconciler.errors.StateError
        If the environment variable isn't a positive, finite number.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return STATEMENT_LIMIT
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not (seconds > 0 and math.isfinite(seconds)):
        raise StateError(f'{VARIABLE}: "{text}" is not a number of seconds, such as {STATEMENT_LIMIT:.0f}')
    return seconds


class Silence(enum.Enum):
    """What got no answer in time."""

    CONNECTING = enum.auto()
    STATEMENT = enum.auto()


@dataclass(frozen=True)
class Limits:
    """How long the connections of an engine wait.

    Parameters
    ----------
    seconds : `float`
        Limit of a statement, if it is less than that of `find_statement_limit`.
    on_silence : callable
        Called when something got no answer in time.
    """

    seconds: float = math.inf
    on_silence: Callable[[Silence], None] = lambda silence: None


DEFAULT_LIMITS = Limits()


def limit_waits(engine: Any, limits: Limits = DEFAULT_LIMITS) -> None:
    """Set time limits on the connections that a `sqlalchemy.engine.Engine` opens from now on.

    It does nothing with SQLite, or with another driver than psycopg2 and psycopg.
    """
    import sqlalchemy

    sqlalchemy.event.listen(engine, "do_connect", functools.partial(_connect, limits))


@contextlib.contextmanager
def limited_waits(limits: Limits = DEFAULT_LIMITS) -> Iterator[None]:
    """Set time limits on the connections that this thread opens in this context, whoever creates their engine."""
    with handling("do_connect", functools.partial(_connect, limits)):
        yield


def _connect(limits: Limits, dialect: Any, record: Any, arguments: Any, parameters: dict[str, Any]) -> Any:
    """Return a new connection of the driver, or None to let SQLAlchemy make it."""
    drivers = {"psycopg2": _connect_psycopg2, "psycopg": _connect_psycopg}
    if dialect.name != "postgresql" or dialect.driver not in drivers:
        return None
    limits = dataclasses.replace(limits, seconds=min(find_statement_limit(), limits.seconds))
    given = PARAMETERS | parameters
    begun = time.monotonic()
    try:
        return drivers[dialect.driver](limits, arguments, given)
    except Exception:
        timeout = float(given["connect_timeout"])  # not positive: none
        if 0 < timeout * 0.9 <= time.monotonic() - begun:
            limits.on_silence(Silence.CONNECTING)
        raise


class _Wait:
    """Until when a connection waits for an answer; a context that may be entered again by what it calls."""

    def __init__(self, connection: Any, limits: Limits, driver: Any) -> None:
        # Weak, so that a connection that nobody uses any more is closed at once and not when Python searches for cycles.
        self.connection, self.limits, self.driver = weakref.ref(connection), limits, driver
        self.depth = 0
        self.deadline = math.inf
        self.expired = False

    def __enter__(self) -> None:
        with _clock.lock:
            self.depth += 1
            if self.depth == 1:
                _clock.watch(self)
            self.renew()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        with _clock.lock:
            self.depth -= 1
            if self.depth == 0:
                _clock.waits.discard(self)
        if self.expired and isinstance(error, self.driver.Error):
            self.limits.on_silence(Silence.STATEMENT)
            raise self.driver.OperationalError(f"the database sent no answer within {self.limits.seconds:g} s") from error

    def renew(self) -> None:
        """Begin to wait for the next answer."""
        self.deadline = time.monotonic() + self.limits.seconds

    def each(self, rows: Iterable[Any]) -> Iterator[Any]:
        """Yield the rows of statements that a driver executes one after the other."""
        for row in rows:
            self.renew()
            yield row

    def expire(self) -> None:
        """End the wait; the driver, which is in a call, doesn't close the socket meanwhile, but may have noticed its loss."""
        self.expired, self.deadline = True, math.inf
        connection = self.connection()
        if connection is None:
            return
        with contextlib.suppress(OSError, self.driver.Error), socket.socket(fileno=os.dup(connection.fileno())) as connected:
            connected.shutdown(socket.SHUT_RDWR)


class _Clock:
    """Ends the waits of this process that take too long."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waits: set[_Wait] = set()
        self.running = False

    def watch(self, wait: _Wait) -> None:
        self.waits.add(wait)
        if not self.running:
            self.running = True
            threading.Thread(target=self._run, name="limits of statements", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(POLL)
            now = time.monotonic()
            with self.lock:
                for wait in self.waits:
                    if wait.deadline < now:
                        wait.expire()


_clock = _Clock()


def _start_afresh() -> None:
    """Forget the thread and the lock of the process from which this one was forked."""
    global _clock
    _clock = _Clock()


os.register_at_fork(after_in_child=_start_afresh)


def _connect_psycopg2(limits: Limits, arguments: Any, parameters: dict[str, Any]) -> Any:
    import psycopg2

    return psycopg2.connect(*arguments, connection_factory=functools.partial(_psycopg2_class(), limits), **parameters)


@functools.cache
def _psycopg2_class() -> Callable[..., Any]:
    import psycopg2.extensions

    class Cursor(psycopg2.extensions.cursor):  # type: ignore[misc]
        """A cursor each of whose statements has a limit."""

        def execute(self, *arguments: Any) -> Any:
            with self.connection.wait:
                return super().execute(*arguments)

        def executemany(self, statement: Any, rows: Iterable[Any]) -> Any:
            with self.connection.wait:
                return super().executemany(statement, self.connection.wait.each(rows))

        def fetchone(self) -> Any:
            with self.connection.wait:
                return super().fetchone()

        def fetchmany(self, *size: Any) -> Any:
            with self.connection.wait:
                return super().fetchmany(*size)

        def fetchall(self) -> Any:
            with self.connection.wait:
                return super().fetchall()

    class Connection(psycopg2.extensions.connection):  # type: ignore[misc]
        """A connection each of whose statements has a limit."""

        def __init__(self, limits: Limits, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.wait = _Wait(self, limits, psycopg2)
            self.cursor_factory = Cursor

        def cursor(self, *arguments: Any, **options: Any) -> Any:
            # SQLAlchemy's first statement, which looks for hstore, asks for a plain cursor: psycopg2.extras does.
            if options.get("cursor_factory") is psycopg2.extensions.cursor:
                options["cursor_factory"] = Cursor
            return super().cursor(*arguments, **options)

        def commit(self) -> None:
            with self.wait:
                super().commit()

        def rollback(self) -> None:
            with self.wait:
                super().rollback()

    return Connection


def _connect_psycopg(limits: Limits, arguments: Any, parameters: dict[str, Any]) -> Any:
    connection = _psycopg_class().connect(*arguments, **parameters)
    connection.answer.limits = limits
    return connection


@functools.cache
def _psycopg_class() -> Any:
    import psycopg

    class Connection(psycopg.Connection[Any]):  # type: ignore[misc]
        """A connection each of whose statements has a limit: everything that psycopg sends is waited for here."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.answer = _Wait(self, DEFAULT_LIMITS, psycopg)

        def wait(self, *arguments: Any, **options: Any) -> Any:
            with self.answer:
                return super().wait(*arguments, **options)

    return Connection
