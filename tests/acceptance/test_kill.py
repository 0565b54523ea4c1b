"""After a kill at any moment, the next apply gives the same result as an undisturbed one."""

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from kill import Trial, kill_and_compare, make_inputs
from race import race

from reconciler.playground.world import World

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("postgres", [False, True], ids=["sqlite", "postgresql"])
def test_an_apply_after_a_kill_gives_the_same_result_as_an_undisturbed_one(
    tmp_path: Path, world: World, client: Any, postgres: bool
) -> None:
    (tmp_path / "inputs").mkdir()
    make_inputs(tmp_path / "inputs")
    messages: list[str] = []
    equal = kill_and_compare(tmp_path, world, client, postgres=postgres, times=2, seed=7, say=messages.append)
    assert equal == 2, messages


@pytest.mark.parametrize("two_users", [False, True], ids=["one user", "two users"])
@pytest.mark.parametrize("postgres", [False, True], ids=["sqlite", "postgresql"])
def test_two_applies_started_together_end_without_errors_and_in_sync(
    tmp_path: Path, world: World, client: Any, postgres: bool, two_users: bool
) -> None:
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    make_inputs(inputs)
    trial = Trial(tmp_path / "both", inputs, world, client, postgres)
    assert race(trial, two_users=two_users)


def test_a_hot_journal_of_sqlite_is_recovered_by_the_next_run(tmp_path: Path, world: World, client: Any) -> None:
    """A writer that died inside a transaction leaves a journal; a read-only open can't roll it back."""
    import sqlite3
    import sys

    inputs = tmp_path / "inputs"
    inputs.mkdir()
    make_inputs(inputs)
    trial = Trial(tmp_path / "hot", inputs, world, client, False)
    first = trial.start()
    first.communicate()
    database = trial.folder / "repo" / "gen3.sqlite3"
    code = (
        "import os, sqlite3, sys\n"
        f"c = sqlite3.connect({str(database)!r}, isolation_level=None)\n"
        "c.execute('pragma cache_size = 1')\nc.execute('begin immediate')\n"
        "c.execute('create table junk as with recursive n(i) as (select 1 union all select i + 1 from n where i < 90000)"
        " select i, hex(randomblob(20)) as x from n')\nos._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert Path(f"{database}-journal").stat().st_size > 0
    time.sleep(0.1)
    again = trial.start()
    output, _ = again.communicate()
    assert again.returncode == 0, output
    with sqlite3.connect(database) as connection:
        assert not connection.execute("select name from sqlite_master where name = 'junk'").fetchall()
