"""Faults of the registry's database are reported with one message, and no data is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from conftest import ROOT, Bench

from reconciler.playground import campaign
from reconciler.playground.world import Sizes, World

RUNS = '[collection.a]\ntype = "RUN"\n[collection.b]\ntype = "RUN"\n'


def registry(bench: Bench, url: str, namespace: str = "") -> None:
    line = f"  namespace: {namespace}\n" if namespace else ""
    (bench.repo / "butler.yaml").write_text(f"datastore:\n  root: <butlerRoot>\nregistry:\n  db: {url}\n{line}")


def database(bench: Bench) -> str:
    """Return the name of the database of a repository on PostgreSQL."""
    return (bench.repo / "butler.yaml").read_text().partition("postgres@/")[2].partition("?")[0]


@pytest.fixture
def ready(postgres_bench: Bench) -> Bench:
    postgres_bench.apply(postgres_bench.state('[collection.a]\ntype = "RUN"\n'))
    return postgres_bench


@pytest.fixture
def reader(ready: Bench, world: World) -> Iterator[Bench]:
    """A bench whose database role may only read."""
    socket = world.read_record()["postgres"]
    name, namespace = database(ready), "butler"
    role = f"r{uuid.uuid4().hex[:8]}"
    with psycopg.connect(f"host={socket} user=postgres dbname={name}", autocommit=True) as connection:
        connection.execute(f"create role {role} login")
        connection.execute(f"grant usage on schema {namespace} to {role}")
        connection.execute(f"grant select on all tables in schema {namespace} to {role}")
        registry(ready, f"postgresql://{role}@/{name}?host={socket}", namespace)
        yield ready
        connection.execute(f"drop owned by {role}")
        connection.execute(f"drop role {role}")


def test_with_a_read_only_database_role_diff_works_and_apply_names_the_missing_grant(reader: Bench) -> None:
    state = reader.state(RUNS)
    assert "collection.b" in reader.diff(state, 2)
    output = reader.apply(state, 1)
    assert "the database role may not use" in output
    assert "ask for the missing grant on it" in output


@pytest.mark.parametrize(
    ("url", "namespace", "message"),
    [
        ("postgresql://postgres@/nodatabase?host={socket}", "x", 'there is no database "nodatabase"'),
        ("postgresql://norole@/lsstprod?host={socket}", "x", 'there is no database role "norole"'),
        ("postgresql://me:hunter2@127.0.0.1:1/x", "", "the database can't be reached"),
        ("postgresql://me:hunter2@nowhere.invalid/x", "", "is unknown"),
        ("sqlite:////nowhere/at/all.sqlite3", "", "the folder of its database /nowhere/at/all.sqlite3 doesn't exist"),
    ],
)
def test_an_unusable_database_is_reported_without_its_password(
    ready: Bench, world: World, url: str, namespace: str, message: str
) -> None:
    registry(ready, url.format(socket=world.read_record()["postgres"]), namespace)
    before = (ready.repo / "butler.yaml").read_text()
    output = ready.apply(ready.state(RUNS), 1)
    assert message in output
    assert (ready.repo / "butler.yaml").read_text() == before
    assert "hunter2" not in output
    assert "Traceback" not in output


def leave_run_incomplete(bench: Bench, run: str) -> None:
    """Leave a RUN collection as a kill between the two transactions of its registration does."""
    import sqlalchemy
    from lsst.daf.butler import ButlerConfig, CollectionType

    from reconciler.systems.butler.registry_database import registry_of

    bench.butler.collections.register(run, CollectionType.RUN)
    url, namespace = registry_of(ButlerConfig(str(bench.repo)))
    schema = f"{namespace}." if namespace else ""
    name = {"name": run}
    key = sqlalchemy.text(f"select collection_id from {schema}collection where name = :name")
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        key_of_run = {"key": connection.execute(key, name).scalar_one()}
        gone = connection.execute(sqlalchemy.text(f"delete from {schema}run where collection_id = :key"), key_of_run)
        assert gone.rowcount == 1


def test_datasets_are_ingested_into_a_run_collection_that_a_kill_left_incomplete(bench: Bench) -> None:
    leave_run_incomplete(bench, "refcat")
    (bench.folder / "a.fits").write_text("stars")
    (bench.folder / "t.csv").write_text("file,htm7\na.fits,131072\n")
    state = bench.state(
        '[dataset_type.cat]\nstorage_class = "SimpleCatalog"\ndimensions = ["htm7"]\n'
        f'[file_ingest.refcat]\ndataset_type = "cat"\ntable = "t.csv"\nprefix = "{bench.folder}"\n'
    )
    bench.apply_and_check(state)


def test_raws_are_ingested_into_a_run_collection_that_a_kill_left_incomplete(comcam: Bench) -> None:
    leave_run_incomplete(comcam, "LSSTComCam/raw/all")
    folder = comcam.folder / "raw" / "LSSTComCam"
    for exposure in campaign.list_exposures(Sizes(nights=1, exposures=1)):
        campaign.write_exposure(folder, exposure)
    state = comcam.state(
        f'[raw."LSSTComCam/raw/all"]\ninstrument = "LSSTComCam"\nlocations = ["{folder}"]\n'
        "data_id = '(?P<obs_id>CC_O_\\d{8}_\\d{6})_(?P<full_name>R\\d\\d_S\\d\\d)\\.fits'\n"
    )
    assert "9 raws" in comcam.apply_and_check(state)


def test_a_missing_namespace_is_reported_as_a_registry_without_tables(ready: Bench, world: World) -> None:
    registry(ready, f"postgresql://postgres@/lsstprod?host={world.read_record()['postgres']}", "nosuchnamespace")
    assert "butler.yaml exists, but the registry has no tables" in ready.diff(ready.state(RUNS), 2)


def test_a_postgresql_server_without_btree_gist_is_reported(empty_bench: Bench, world: World) -> None:
    socket = world.read_record()["postgres"]
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
    output = empty_bench.apply(state, 1)
    assert "btree_gist" in output
    assert "an administrator runs: create extension btree_gist" in output


@pytest.mark.parametrize("content", ["a: [", "registry:\n  db: nonsense\n"])
def test_an_invalid_butler_yaml_is_an_error_and_is_not_changed(sqlite_bench: Bench, content: str) -> None:
    (sqlite_bench.repo / "butler.yaml").write_text(content)
    output = sqlite_bench.apply(sqlite_bench.state(RUNS), 1)
    assert "Traceback" not in output
    assert f"Butler {sqlite_bench.repo}" in output
    assert (sqlite_bench.repo / "butler.yaml").read_text() == content


def test_a_repository_whose_database_is_lost_is_not_created_again(sqlite_bench: Bench) -> None:
    (sqlite_bench.repo / "run" / "cat").mkdir(parents=True)
    (sqlite_bench.repo / "run" / "cat" / "x.fits").write_text("stars")
    (sqlite_bench.repo / "gen3.sqlite3").unlink()
    output = sqlite_bench.apply(sqlite_bench.state(RUNS), 1)
    assert "its datastore contains files (x.fits)" in output
    assert "restore the database" in output
    assert not (sqlite_bench.repo / "gen3.sqlite3").exists() or not (sqlite_bench.repo / "gen3.sqlite3").stat().st_size


def test_an_apply_interrupted_by_a_restart_of_postgresql_can_be_completed(ready: Bench, world: World) -> None:
    """All connections end during an apply; the same run or the next one completes it."""
    state = ready.state("".join(f'[collection.c{n}]\ntype = "RUN"\n' for n in range(120)))
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "apply", str(state), "--yes"],
        env=os.environ | ready.environment, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    printed = ""
    while "register" not in printed:
        printed += process.stdout.readline()
    with psycopg.connect(f"host={world.read_record()['postgres']} user=postgres dbname=postgres", autocommit=True) as connection:
        cut = connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [database(ready)]
        ).fetchall()
    assert cut
    out, _ = process.communicate(timeout=60)
    assert process.returncode in (0, 1), out
    assert "Traceback" not in out
    ready.apply_and_check(state)
