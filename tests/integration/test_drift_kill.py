"""A check that is killed at any moment leaves a readable history in which nothing is recorded twice and nothing is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from conftest import Bench
from test_drift import STATE, location, postgres_history, watch, watched

from reconciler.watch.history import open_history

__all__ = ["postgres_history", "watched"]  # fixtures
MOMENTS = 20


def count_statements(kill_at: int | None) -> list[int]:
    """Count what is sent to the history from now on, commits included; kill this process instead of sending the n-th."""
    count = [0]

    def step() -> None:
        count[0] += 1
        if count[0] == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def before_cursor_execute(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "reconcile_" in statement:
            step()

    def commit(connection: Any) -> None:
        step()

    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", before_cursor_execute)
    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "commit", commit)
    return count


def run_in_child(bench: Bench, number: float, states: list[Path], kill_at: int | None, result: Path) -> int:
    """Check the states in a process that is killed, and return the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        try:
            count = count_statements(kill_at)
            watch(bench, number, *states)
            result.write_text(str(count[0]))
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def query(bench: Bench, statement: str) -> list[Any]:
    with open_history(location(bench))._engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


def check_history(bench: Bench) -> None:
    """Each recorded check of a state has counted each of its differences exactly once."""
    checks = dict(query(bench, "select state, count(*) from reconcile_verdicts group by state"))
    seen = query(bench, "select state, address, times_seen from reconcile_differences where resolved is null")
    assert [(state, times) for state, _, times in seen] == [(state, checks[state]) for state, _, _ in seen]
    found = {state: sum(its == state for its, _, _ in seen) for state in checks}
    assert set(found.values()) <= {2}, "a verdict is recorded with both differences, or not at all"
    firsts = dict(query(bench, "select state, min(checked) from reconcile_verdicts group by state"))
    for state, first in query(bench, "select state, first_seen from reconcile_differences"):
        assert first == firsts[state]


def test_a_check_that_is_killed_records_nothing_twice_and_loses_nothing(watched: Bench, tmp_path: Path) -> None:
    texts = (STATE, STATE.replace("u/run", "u/second").replace("top", "second"))
    states = [watched.state(text, f"s{number}.toml") for number, text in enumerate(texts)]
    result = tmp_path / "statements"
    open_history(location(watched))
    for number in (0, 0.5):  # the first check adds rows that later ones change
        assert run_in_child(watched, number, states, None, result) == 0
    total = int(result.read_text())
    assert total > MOMENTS
    for trial in range(MOMENTS):
        moment = 1 + trial * (total - 1) // (MOMENTS - 1)
        assert run_in_child(watched, trial + 1, states, moment, result) == -signal.SIGKILL
        check_history(watched)
    assert len(watch(watched, 100, *states)) == 2
    check_history(watched)


@pytest.mark.parametrize("moment", [1, 7, 13, 18])
def test_a_program_that_is_killed_while_it_creates_the_history_leaves_one_that_can_be_completed(
    watched: Bench, tmp_path: Path, moment: int
) -> None:
    states = [watched.state(STATE)]
    assert run_in_child(watched, 0, states, moment, tmp_path / "statements") == -signal.SIGKILL
    assert len(watch(watched, 1, *states)) == 1
    check_history(watched)
