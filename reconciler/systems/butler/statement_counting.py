"""Report the SQL statements that a Butler sends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from reconciler.systems.engine_events import handling


@contextlib.contextmanager
def statements_of_opening(on_statement: Callable[[], None] | None) -> Iterator[None]:
    """Report the statements that this thread sends in this context.

    Opening a Butler queries its registry before anybody can get at its engine, so this listens to all engines, but only to this
    thread, which does nothing else meanwhile.
    """
    if on_statement is None:
        yield
        return

    def before_cursor_execute(*_: Any) -> None:
        on_statement()

    with handling("before_cursor_execute", before_cursor_execute):
        yield


def count_statements(engine: Any, on_statement: Callable[[], None]) -> None:
    """Call a function for each statement that an engine (`sqlalchemy.engine.Engine`) sends from now on."""
    import sqlalchemy

    def before_cursor_execute(*_: Any) -> None:
        on_statement()

    sqlalchemy.event.listen(engine, "before_cursor_execute", before_cursor_execute)
