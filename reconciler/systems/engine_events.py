"""Events of SQLAlchemy engines that others create, such as a Butler that is opened, for the thread that makes it create them.

SQLAlchemy keeps the listeners of all engines in a deque, over which each statement iterates. To add or remove one while another
thread sends a statement ends that statement with an error, so that one listener of each event is added once, and stays.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

EVENTS = ("before_cursor_execute", "do_connect")

_lock = threading.Lock()
_added = False
_of_thread = threading.local()


@contextlib.contextmanager
def handling(event: str, handler: Callable[..., Any]) -> Iterator[None]:
    """Call a function for the events of one kind that this thread causes in this context, whatever the engine.

    Parameters
    ----------
    event : `str`
        One of `EVENTS`, as SQLAlchemy names them.
    handler : `Callable`
        Called with the arguments of the event. If it returns something, that is the answer to the event, and functions of outer
        contexts aren't called.
    """
    _add_listeners()
    handlers = _handlers_of(event)
    handlers.append(handler)
    try:
        yield
    finally:
        handlers.remove(handler)


def _add_listeners() -> None:
    global _added
    with _lock:
        if _added:
            return
        import sqlalchemy

        for event in EVENTS:
            sqlalchemy.event.listen(sqlalchemy.engine.Engine, event, _make_listener(event))
        _added = True


def _make_listener(event: str) -> Callable[..., Any]:
    def listen(*arguments: Any) -> Any:
        answers = (handler(*arguments) for handler in reversed(_handlers_of(event)))
        return next((answer for answer in answers if answer is not None), None)

    return listen


def _handlers_of(event: str) -> list[Callable[..., Any]]:
    """Return the functions of this thread, those of inner contexts last."""
    if not hasattr(_of_thread, event):
        setattr(_of_thread, event, [])
    found: list[Callable[..., Any]] = getattr(_of_thread, event)
    return found
