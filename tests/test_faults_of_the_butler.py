"""Whatever the registry's database does: one clear message, nothing changed, nothing lost."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from conftest import Bench

from reconciler.playground.world import World

RUNS = '[collection.a]\ntype = "RUN"\n[collection.b]\ntype = "RUN"\n'


def registry(bench: Bench, url: str, namespace: str = "") -> None:
    line = f"  namespace: {namespace}\n" if namespace else ""
    (bench.repo / "butler.yaml").write_text(f"datastore:\n  root: <butlerRoot>\nregistry:\n  db: {url}\n{line}")


@pytest.fixture
def ready(postgres_bench: Bench) -> Bench:
    postgres_bench.apply(postgres_bench.state('[collection.a]\ntype = "RUN"\n'))
    return postgres_bench


@pytest.fixture
def reader(ready: Bench, world: World) -> Iterator[Bench]:
    """A role that may only read."""
    socket = world.recall()["postgres"]
    text = (ready.repo / "butler.yaml").read_text()
    namespace = text.partition("namespace: ")[2].split()[0]
    role = f"r{uuid.uuid4().hex[:8]}"
    with psycopg.connect(f"host={socket} user=postgres dbname=lsstprod", autocommit=True) as connection:
        connection.execute(f"create role {role} login")
        connection.execute(f"grant usage on schema {namespace} to {role}")
        connection.execute(f"grant select on all tables in schema {namespace} to {role}")
        registry(ready, f"postgresql://{role}@/lsstprod?host={socket}", namespace)
        yield ready
        connection.execute(f"drop owned by {role}")
        connection.execute(f"drop role {role}")


def test_with_a_role_that_may_only_read_diff_works_and_apply_says_which_grant_is_missing(reader: Bench) -> None:
    state = reader.state(RUNS)
    assert "collection.b" in reader.diff(state, 2)
    told = reader.apply(state, 1)
    assert "the database role may not use" in told
    assert "ask for the missing grant on it" in told


@pytest.mark.parametrize(
    ("url", "namespace", "told"),
    [
        ("postgresql://postgres@/nodatabase?host={socket}", "x", 'there is no database "nodatabase"'),
        ("postgresql://norole@/lsstprod?host={socket}", "x", 'there is no database role "norole"'),
        ("postgresql://me:hunter2@127.0.0.1:1/x", "", "the database can't be reached"),
        ("postgresql://me:hunter2@nowhere.invalid/x", "", "is unknown"),
        ("sqlite:////nowhere/at/all.sqlite3", "", "the folder of its database /nowhere/at/all.sqlite3 is not there"),
    ],
)
def test_a_database_that_can_not_be_used_is_told_without_its_password(
    ready: Bench, world: World, url: str, namespace: str, told: str
) -> None:
    registry(ready, url.format(socket=world.recall()["postgres"]), namespace)
    before = (ready.repo / "butler.yaml").read_text()
    output = ready.apply(ready.state(RUNS), 1)
    assert told in output
    assert (ready.repo / "butler.yaml").read_text() == before
    assert "hunter2" not in output
    assert "Traceback" not in output


def test_a_missing_namespace_is_a_repository_half_made(ready: Bench, world: World) -> None:
    registry(ready, f"postgresql://postgres@/lsstprod?host={world.recall()['postgres']}", "nosuchnamespace")
    assert "butler.yaml is there and its tables are not" in ready.diff(ready.state(RUNS), 2)


def test_a_server_without_btree_gist_is_told(empty_bench: Bench, world: World) -> None:
    socket = world.recall()["postgres"]
    name = f"d{uuid.uuid4().hex[:8]}"
    with psycopg.connect(f"host={socket} user=postgres dbname=postgres", autocommit=True) as connection:
        connection.execute(f"create database {name}")
    role = f"r{uuid.uuid4().hex[:8]}"
    with psycopg.connect(f"host={socket} user=postgres dbname={name}", autocommit=True) as connection:
        connection.execute(f"create role {role} login")
        connection.execute(f"grant all on database {name} to {role}")
        connection.execute(f"grant all on schema public to {role}")
    (empty_bench.folder / "seed.yaml").write_text(f"registry:\n  db: postgresql://{role}@/{name}?host={socket}\n")
    state = empty_bench.state(RUNS)
    state.write_text(state.read_text().replace("[collection.a]", 'seed_config = "seed.yaml"\n[collection.a]', 1))
    told = empty_bench.apply(state, 1)
    assert "btree_gist" in told
    assert "an administrator runs: create extension btree_gist" in told


@pytest.mark.parametrize("content", ["a: [", "registry:\n  db: nonsense\n"])
def test_a_butler_yaml_that_is_none_is_an_error_and_stays(sqlite_bench: Bench, content: str) -> None:
    (sqlite_bench.repo / "butler.yaml").write_text(content)
    output = sqlite_bench.apply(sqlite_bench.state(RUNS), 1)
    assert "Traceback" not in output
    assert f"Butler {sqlite_bench.repo}" in output
    assert (sqlite_bench.repo / "butler.yaml").read_text() == content


def test_a_repository_whose_database_is_lost_is_not_taken_for_an_interrupted_creation(sqlite_bench: Bench) -> None:
    (sqlite_bench.repo / "run" / "cat").mkdir(parents=True)
    (sqlite_bench.repo / "run" / "cat" / "x.fits").write_text("stars")
    (sqlite_bench.repo / "gen3.sqlite3").unlink()
    output = sqlite_bench.apply(sqlite_bench.state(RUNS), 1)
    assert "there are files in its datastore (x.fits)" in output
    assert "restore the database" in output
    assert not (sqlite_bench.repo / "gen3.sqlite3").exists() or not (sqlite_bench.repo / "gen3.sqlite3").stat().st_size


def test_a_restart_of_postgresql_loses_nothing(ready: Bench, world: World) -> None:
    """Every connection is cut; the next run goes on."""
    state = ready.state(RUNS)
    socket = world.recall()["postgres"]
    from reconciler.session import start

    os.environ.update(ready.environment)
    session = start(state, {})
    session.plan()
    with psycopg.connect(f"host={socket} user=postgres dbname=lsstprod", autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = 'lsstprod'"
            " and query like %s",
            [f"%{(ready.repo / 'butler.yaml').read_text().partition('namespace: ')[2].split()[0]}%"],
        )
    session.live.close()
    ready.mend(state)


def test_a_repository_of_a_universe_that_the_butler_can_not_open_is_told(sqlite_bench: Bench) -> None:
    import sqlite3

    with sqlite3.connect(sqlite_bench.repo / "gen3.sqlite3") as connection:
        name = "config:dimensions.json"
        (text,) = connection.execute("select value from butler_attributes where name = ?", [name]).fetchone()
        changed = text.replace('"storage"', '"storage_of_the_future"')
        assert changed != text
        connection.execute("update butler_attributes set value = ? where name = ?", [changed, name])
        manager = connection.execute("select name, value from butler_attributes where name like 'version:%Dimension%'").fetchone()
        connection.execute("update butler_attributes set value = '99.0.0' where name = ?", [manager[0]])
    output = sqlite_bench.apply(sqlite_bench.state(RUNS), 1)
    assert "can't read the repository" in output
    assert "set up a newer stack" in output
    assert "Traceback" not in output
