"""Events of engines are handled for one thread, while others use engines of their own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.pool import StaticPool

from reconciler.systems.butler.statement_counting import statements_of_opening
from reconciler.systems.engine_events import handling


def make_engine() -> sqlalchemy.Engine:
    return sqlalchemy.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})


def send(engine: sqlalchemy.Engine) -> None:
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("select 1"))


@pytest.fixture
def impatient() -> Iterator[None]:
    """Let threads take turns a thousand times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


def test_a_thread_that_opens_something_disturbs_no_statement_of_another_one(impatient: None) -> None:
    ended = threading.Event()
    errors: list[BaseException] = []

    def send_all() -> None:
        engine = make_engine()
        try:
            while not ended.is_set():
                send(engine)
        except BaseException as error:
            errors.append(error)

    others = [threading.Thread(target=send_all) for _ in range(3)]
    for other in others:
        other.start()
    for _ in range(3000):
        with statements_of_opening(lambda: None), statements_of_opening(lambda: None):
            pass
    ended.set()
    for other in others:
        other.join()
    assert errors == []


def test_only_statements_of_the_thread_within_the_context_are_counted() -> None:
    counted: list[int] = []
    engine, other = make_engine(), make_engine()
    with statements_of_opening(lambda: counted.append(1)):
        send(engine)
        thread = threading.Thread(target=send, args=(other,))
        thread.start()
        thread.join()
    send(engine)
    assert counted == [1]


def test_the_inner_answer_counts_and_the_outer_one_if_there_is_none() -> None:
    called: list[str] = []

    def answer(name: str, value: Any) -> Callable[..., Any]:
        def connect(dialect: Any, record: Any, arguments: Any, parameters: Any) -> Any:
            called.append(name)
            return value(*arguments, **parameters) if value is not None else None

        return connect

    import sqlite3

    with handling("do_connect", answer("outer", sqlite3.connect)):
        with handling("do_connect", answer("inner", None)):
            send(make_engine())
        with handling("do_connect", answer("inner", sqlite3.connect)):
            send(make_engine())
    assert called == ["inner", "outer", "inner"]
