"""One apply at a time: before, during and after the creation of a repository, on both databases, and between users."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Bench
from faults import RULES, Scene
from test_faults_of_the_butler import database
from test_interruption import HANG, Start, end_of, journal_of, start

from reconciler.errors import ApplyError, LockHeld, LockLost
from reconciler.playground.world import World
from reconciler.systems.lock import named_lock

__all__ = ["start"]
RUNS = '[collection.a]\ntype = "RUN"\n[collection.b]\ntype = "RUN"\n'
NOBODY = 65534


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Return what a process prints up to a text."""
    printed = ""
    while text not in printed:
        sign = process.stdout.read(1)  # type: ignore[union-attr]
        assert sign, printed
        printed += sign
    return printed


@pytest.fixture(params=["sqlite", "postgres"])
def absent(request: pytest.FixtureRequest, empty_bench: Bench, world: World, client: Any) -> Scene:
    """A state whose repository doesn't exist yet."""
    scene = Scene(empty_bench.folder, world, client, empty_bench.repo)
    text = scene.state.read_text().replace("timeout = 1", "timeout = 500")
    if request.param == "postgres":
        socket = world.read_record()["postgres"]
        seed = f"registry:\n  db: postgresql://postgres@/lsstprod?host={socket}\n  namespace: {scene.scope}\n"
        (empty_bench.folder / "seed.yaml").write_text(seed)
        text = text.replace("[rucio]", 'seed_config = "seed.yaml"\n[rucio]')
    else:
        text = text.replace("[rucio]", "create = true\n[rucio]")
    scene.state.write_text(text)
    return scene


@pytest.mark.parametrize("user", ["the same user", "another user"])
def test_a_second_apply_finds_the_lock_held_by_the_one_that_has_just_created_the_repository(
    absent: Scene, start: Start, user: str
) -> None:
    with absent.proxy.doing(HANG, RULES, "POST"):
        first = start(absent.environment, "apply", absent.state, "--yes")
        assert absent.proxy.hanging.wait(60)
        if user == "another user":
            absent.environment["XDG_STATE_HOME"] += "-other"
        second = absent.run("apply", "--yes")
        assert second.exit_code == 75, second.output
        assert "is locked: " in second.output
        first.kill()
        first.wait()
    assert absent.find_loss() == "nothing"


def test_of_two_users_who_confirm_the_creation_of_a_repository_one_finds_the_lock_held(absent: Scene, start: Start) -> None:
    with absent.proxy.doing(HANG, RULES, "POST"):
        first = start(absent.environment, "apply", absent.state)
        read_until(first, "Apply?")
        other = {**absent.environment, "XDG_STATE_HOME": absent.environment["XDG_STATE_HOME"] + "-other"}
        second = start(other, "apply", absent.state, "--lock-timeout", "0")
        if "postgresql" in "".join(path.read_text() for path in absent.state.parent.glob("seed.yaml")):
            assert "is locked: " in end_of(second)
        else:
            read_until(second, "Apply?")
            first.stdin.write("y\n")  # type: ignore[union-attr]
            first.stdin.flush()  # type: ignore[union-attr]
            assert absent.proxy.hanging.wait(60)
            output, _ = second.communicate("y\n", timeout=60)
            assert "is locked: " in output
            assert "another apply is creating it" in output
            assert journal_of(other)[-1]["interrupted"] is True
        assert second.returncode == 75
        first.kill()
        first.wait()


def test_a_declined_creation_leaves_no_folder(empty_bench: Bench) -> None:
    result = empty_bench.run("apply", empty_bench.state(RUNS))
    assert result.exit_code in (1, 2), "older versions of click take the end of the input for an empty answer"
    assert "Apply?" in result.output
    assert not empty_bench.repo.exists()


def sessions(world: World, bench: Bench) -> list[tuple[int, str]]:
    """Return the process and the state of the sessions that hold an advisory lock in the database of a repository."""
    import psycopg

    with psycopg.connect(f"host={world.read_record()['postgres']} user=postgres dbname={database(bench)}") as connection:
        return connection.execute(
            "select pid, state from pg_stat_activity join pg_locks using (pid)"
            " where locktype = 'advisory' and granted and datname = current_database()"
        ).fetchall()


def administer(world: World, statement: str, *values: object) -> None:
    import psycopg

    with psycopg.connect(f"host={world.read_record()['postgres']} user=postgres dbname=postgres", autocommit=True) as connection:
        connection.execute(statement, values or None)


def test_a_run_whose_lock_is_lost_stops_before_its_next_action_and_does_not_acquire_it_again(
    postgres_bench: Bench, world: World, start: Start
) -> None:
    process = start(postgres_bench.environment, "apply", postgres_bench.state(RUNS))
    read_until(process, "Apply?")
    ((pid, state),) = sessions(world, postgres_bench)
    assert state == "idle in transaction"
    administer(world, "select pg_terminate_backend(%s, 60000)", pid)
    output, _ = process.communicate("y\n", timeout=60)
    assert process.returncode == 1
    assert "error: the lock on the registry was lost: the database can't be reached" in output
    assert "Traceback" not in output
    assert not postgres_bench.butler.collections.query("*")
    assert journal_of(postgres_bench.environment)[-1]["interrupted"] is True


def test_the_lock_outlasts_the_limits_of_idle_transactions(postgres_bench: Bench, world: World, start: Start) -> None:
    import psycopg

    name = database(postgres_bench)
    for setting in ("idle_in_transaction_session_timeout", "transaction_timeout"):
        administer(world, f"alter database {name} set {setting} = '1s'")
    process = start(postgres_bench.environment, "apply", postgres_bench.state(RUNS))
    read_until(process, "Apply?")
    (held,) = sessions(world, postgres_bench)
    other = psycopg.connect(f"host={world.read_record()['postgres']} user=postgres dbname={name}")
    ((pid,),) = other.execute("select pg_backend_pid()").fetchall()
    while pid in [session for session, _ in all_sessions(world, name)]:
        time.sleep(0.05)
    assert sessions(world, postgres_bench) == [held]
    output, _ = process.communicate("y\n", timeout=60)
    assert process.returncode == 0, output


def all_sessions(world: World, name: str) -> list[tuple[int, str]]:
    import psycopg

    with psycopg.connect(f"host={world.read_record()['postgres']} user=postgres dbname=postgres") as connection:
        return connection.execute("select pid, state from pg_stat_activity where datname = %s", [name]).fetchall()


def test_a_removed_lock_file_is_a_lost_lock(sqlite_bench: Bench, start: Start) -> None:
    process = start(sqlite_bench.environment, "apply", sqlite_bench.state(RUNS))
    read_until(process, "Apply?")
    (sqlite_bench.repo / "gen3.reconcile.lock").unlink()
    output, _ = process.communicate("y\n", timeout=60)
    assert process.returncode == 1
    assert "gen3.reconcile.lock was removed" in output
    assert not sqlite_bench.butler.collections.query("*")


# ------------------------------------------------------------------------------------------------- several users


@pytest.fixture
def shared(short_folder: Path) -> Iterator[Path]:
    """A folder of a group of which the user ``nobody`` is a member."""
    import filelock  # noqa: F401  # another user can't import what is installed in the home of this one

    if os.getuid() != 0:
        pytest.skip("only root can act as another user")
    os.chown(short_folder, -1, NOBODY)
    return short_folder


def lock_as_nobody(folder: Path) -> str:
    """Acquire the lock of a folder as another user, and return the error."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            lock = named_lock("x", folder)
            lock.acquire()
            text = "acquired"
        except (ApplyError, LockHeld) as error:
            text = "\n".join((str(error), *error.hints))
        except BaseException as error:
            text = repr(error)
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    with open(reading) as stream:
        return stream.read()


def test_a_group_that_may_write_in_a_folder_may_use_its_lock(shared: Path) -> None:
    (shared / "locks").mkdir()
    os.chown(shared / "locks", -1, NOBODY)
    (shared / "locks").chmod(0o770)
    shared.chmod(0o770)
    before = os.umask(0o077)
    try:
        lock = named_lock("x", shared)
        lock.acquire()
        assert "root on " in lock_as_nobody(shared)
        lock.release()
        assert lock_as_nobody(shared) == "acquired"
    finally:
        os.umask(before)


def test_a_lock_file_of_another_user_is_reported_with_its_owner(shared: Path) -> None:
    (shared / "locks").mkdir()
    shared.chmod(0o755)
    lock = named_lock("x", shared)
    lock.acquire()
    lock.release()
    (shared / "locks").chmod(0o777)
    output = lock_as_nobody(shared)
    assert "can't be acquired: Permission denied" in output
    assert "the file belongs to root; if no apply is running, root may remove it: rm " in output


def test_a_lock_whose_file_was_replaced_is_lost_for_good(tmp_path: Path) -> None:
    lock = named_lock("x", tmp_path)
    lock.acquire()
    lock.check(creating=False)
    (path,) = (tmp_path / "locks").iterdir()
    kept = path.with_suffix(".kept")
    path.rename(kept)
    for _ in range(2):
        with pytest.raises(LockLost, match="was removed"):
            lock.check(creating=False)
        kept.rename(path) if kept.exists() else None
    lock.release()
