"""A PostgreSQL server that stops answering: every command ends within a time limit, or within 2 s of Ctrl-C, with a message."""

from __future__ import annotations

import gc
import os
import signal
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from conftest import Bench
from postgres_wire import RoundTrips, counting_round_trips, listen_at
from test_faults_of_the_butler import database
from test_interruption import Start, end_of, start

from reconciler.errors import StateError
from reconciler.playground.world import World
from reconciler.systems.butler.errors import explain
from reconciler.systems.butler.registry_database import open_database
from reconciler.systems.postgresql import Limits, Silence, find_statement_limit

__all__ = ["start"]
LIMIT = 2.0
CONNECT = 2.0
"""libpq waits at least this long for a connection."""
STATE = (
    '[collection.a]\ntype = "RUN"\n[chain.c]\nchildren = ["a"]\n[collection.b]\ntype = "RUN"\n'
    '[dataset_type.cat]\nstorage_class = "StructuredDataDict"\ndimensions = ["htm7"]\n'
)
LIMITED = {"RECONCILE_DATABASE_TIMEOUT": f"{LIMIT:g}"}


@pytest.fixture
def trips(postgres_bench: Bench, world: World, short_folder: Path) -> Iterator[RoundTrips]:
    with counting_round_trips(short_folder, str(world.read_record()["postgres"])) as trips:
        listen_at(postgres_bench, world, short_folder)
        yaml = postgres_bench.repo / "butler.yaml"
        yaml.write_text(yaml.read_text().replace(f"host={short_folder}", f"host={short_folder}&connect_timeout={CONNECT:.0f}"))
        yield trips


@pytest.mark.parametrize(("words", "text"), [
    (("diff",), b"SELECT"),
    (("apply", "--yes"), b"SELECT"),
    (("apply", "--yes"), b"pg_try_advisory_xact_lock"),
    (("apply", "--yes"), b"INSERT INTO"),
    (("apply", "--yes"), b"COMMIT"),
    (("drift",), b"SELECT"),
], ids=["diff", "apply", "apply at its lock", "apply at a write", "apply at a commit", "drift"])  # fmt: skip
def test_a_command_ends_within_its_limit_when_the_database_stops_answering(
    postgres_bench: Bench, trips: RoundTrips, start: Start, words: tuple[str, ...], text: bytes
) -> None:
    state = postgres_bench.state(STATE)
    trips.hang_at = text
    process = start(postgres_bench.environment | LIMITED, words[0], state, *words[1:])
    assert trips.hanging.wait(60)
    begun = time.monotonic()
    output = end_of(process)
    taken = time.monotonic() - begun
    assert process.returncode == 1, output
    assert "the database did not answer " in output
    assert "Traceback" not in output
    assert taken < LIMIT + 3 * CONNECT + 6, "not once for each resource"
    trips.hang_at = None
    trips.hanging.clear()
    postgres_bench.apply_and_check(state)


@pytest.mark.parametrize("words", [("diff",), ("apply", "--yes"), ("drift",)], ids=lambda words: words[0])
def test_ctrl_c_ends_a_command_that_waits_for_the_database(
    postgres_bench: Bench, trips: RoundTrips, start: Start, words: tuple[str, ...]
) -> None:
    state = postgres_bench.state(STATE)
    trips.hang_at = b"SELECT"
    process = start(postgres_bench.environment, words[0], state, *words[1:])
    assert trips.hanging.wait(60)
    time.sleep(0.5)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    end_of(process)
    assert time.monotonic() - begun < 2.5
    assert process.returncode == 130


# ------------------------------------------------------------------------------------------------------ one connection


@pytest.fixture(params=["psycopg2", "psycopg"])
def engine(request: pytest.FixtureRequest, world: World) -> Any:
    """A database with both drivers, whose statements may take two seconds."""
    url = f"postgresql+{request.param}://postgres@/lsstprod?host={world.read_record()['postgres']}"
    return open_database(sqlalchemy.make_url(url), Limits(2.0))


def sleep(seconds: float) -> Any:
    return sqlalchemy.text(f"select pg_sleep({seconds})")


def test_a_statement_beyond_its_limit_is_cut_and_the_next_connection_works(engine: Any) -> None:
    engine.connect().close()  # imports the driver
    begun = time.monotonic()
    with pytest.raises(sqlalchemy.exc.OperationalError) as caught, engine.connect() as connection:
        connection.execute(sleep(60))
    assert time.monotonic() - begun < 5
    assert explain(caught.value)[0] == "the database did not answer within 2 s"
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("select 1")).scalar() == 1


def test_a_connection_that_nobody_uses_any_more_is_closed_at_once(engine: Any) -> None:
    engine.connect().close()
    raw = engine.raw_connection()
    connection = weakref.ref(raw.detach() or raw.dbapi_connection)
    gc.disable()
    try:
        del raw
        assert connection() is None
    finally:
        gc.enable()


def test_a_statement_of_the_driver_itself_is_cut_too(world: World) -> None:
    import psycopg2.extensions

    url = f"postgresql+psycopg2://postgres@/lsstprod?host={world.read_record()['postgres']}"
    connection = open_database(sqlalchemy.make_url(url), Limits(2.0)).raw_connection()
    begun = time.monotonic()
    with pytest.raises(psycopg2.OperationalError):
        connection.dbapi_connection.cursor(cursor_factory=psycopg2.extensions.cursor).execute("select pg_sleep(60)")
    assert time.monotonic() - begun < 5


def test_a_commit_beyond_its_limit_is_cut(engine: Any) -> None:
    slow = "create function pg_temp.slow() returns trigger language plpgsql as 'begin perform pg_sleep(60); return null; end'"
    trigger = "create constraint trigger t after insert on x initially deferred for each row execute function pg_temp.slow()"
    connection = engine.connect()
    for statement in ("create temporary table x (i int)", slow, trigger, "insert into x values (1)"):
        connection.execute(sqlalchemy.text(statement))
    with pytest.raises(sqlalchemy.exc.OperationalError, match="no answer within 2 s"):
        connection.commit()


def test_a_fetch_beyond_its_limit_is_cut(engine: Any) -> None:
    query = sqlalchemy.text("select case when i > 1000 then pg_sleep(60)::text end from generate_series(1, 2000) i")
    with pytest.raises(sqlalchemy.exc.OperationalError, match="no answer within 2 s"), engine.connect() as connection:
        list(connection.execution_options(stream_results=True, max_row_buffer=10).execute(query))


def test_many_statements_that_together_take_longer_than_the_limit_are_not_cut(engine: Any) -> None:
    with engine.begin() as connection:
        for _ in range(4):
            connection.execute(sleep(0.8))
        connection.execute(sqlalchemy.text("create temporary table x (i int)"))
        insert = sqlalchemy.text("insert into x select 1 from pg_sleep(:seconds)")
        if engine.driver == "psycopg2":  # psycopg sends them all at once, and waits for one answer
            assert connection.execute(insert, [{"seconds": 0.8}] * 4).rowcount == 4
        query = sqlalchemy.text("select pg_sleep(0.6) from generate_series(1, 5)")
        rows = connection.execution_options(stream_results=True, max_row_buffer=1).execute(query)
        assert len(list(rows)) == 5


def test_the_limit_holds_in_a_process_that_was_forked_during_a_statement(engine: Any) -> None:
    with engine.connect() as connection:
        connection.execute(sleep(0))
    pid = os.fork()
    if pid == 0:
        try:
            with engine.connect() as connection:
                connection.execute(sleep(60))
        except sqlalchemy.exc.OperationalError:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_a_wrong_limit_is_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch, postgres_bench: Bench) -> None:
    for wrong in ("soon", "-1", "0", "inf", "nan"):
        monkeypatch.setenv("RECONCILE_DATABASE_TIMEOUT", wrong)
        with pytest.raises(StateError, match="is not a number of seconds, such as 600"):
            find_statement_limit()
    output = postgres_bench.diff(postgres_bench.state(STATE), 1)
    assert output == 'error: RECONCILE_DATABASE_TIMEOUT: "nan" is not a number of seconds, such as 600\n'


def test_what_a_url_sets_takes_precedence_over_the_limits(world: World, short_folder: Path) -> None:
    """A database that accepts connections and never answers is noticed within the time that its URL allows."""
    silences: list[Silence] = []
    with counting_round_trips(short_folder, str(world.read_record()["postgres"])) as trips:
        trips.hanging.set()
        for driver in ("psycopg2", "psycopg"):
            url = f"postgresql+{driver}://postgres@/lsstprod?host={short_folder}&connect_timeout=2"
            begun = time.monotonic()
            with pytest.raises(sqlalchemy.exc.OperationalError) as caught:
                open_database(sqlalchemy.make_url(url), Limits(on_silence=silences.append)).connect()
            assert 1.9 < time.monotonic() - begun < 4
            assert explain(caught.value)[0] == "the database did not answer in time"
    assert silences == [Silence.CONNECTING, Silence.CONNECTING]


def test_statements_that_another_session_blocks_are_not_waited_for_once_for_each_resource(
    postgres_bench: Bench, world: World, start: Start
) -> None:
    expectations = (
        f'[expect.e{n}]\ndataset_type = "cat"\ncollections = ["a"]\nwhere = "htm7 > {n}"\ncount = 0\n' for n in range(9)
    )
    state = postgres_bench.state(STATE)
    postgres_bench.apply(state)
    (postgres_bench.folder / "1.json").write_text("{}")
    (postgres_bench.folder / "t.csv").write_text("file,htm7\n1.json,131072\n")
    ingest = f'[file_ingest.a]\ndataset_type = "cat"\ntable = "t.csv"\nprefix = "{postgres_bench.folder}"\n'
    formatter = 'formatter = "lsst.daf.butler.formatters.json.JsonFormatter"\n'
    collection = '[collection.a]\ntype = "RUN"\n'
    postgres_bench.apply(postgres_bench.state(STATE.replace(collection, "") + ingest + formatter))
    state = postgres_bench.state(STATE + "".join(expectations))
    name = database(postgres_bench)
    with psycopg.connect(f"host={world.read_record()['postgres']} user=postgres dbname={name}") as connection:
        tables = connection.execute("select tablename from pg_tables where tablename like 'dataset_tags_%'").fetchall()
        for (table,) in tables:
            connection.execute(f"lock table butler.{table} in access exclusive mode")
        process = start(postgres_bench.environment | LIMITED, "diff", state)
        begun = time.monotonic()
        output = end_of(process)
    assert process.returncode == 1, output
    assert "9 resources unknown" in output
    assert "the database did not answer " in output
    assert time.monotonic() - begun < 16, "three statements, and the start of the program"


def test_a_statement_that_another_session_blocks_fails_alone_and_the_rest_is_done(
    postgres_bench: Bench, world: World, start: Start
) -> None:
    state = postgres_bench.state(STATE)
    name = database(postgres_bench)
    with psycopg.connect(f"host={world.read_record()['postgres']} user=postgres dbname={name}") as connection:
        connection.execute("lock table butler.dataset_type in share mode")
        process = start(postgres_bench.environment | LIMITED, "apply", state, "--yes")
        output = end_of(process)
    assert process.returncode == 1, output
    assert "Failed: dataset_type.cat: the database did not answer within 2 s" in output
    assert "changed 3" in output
    postgres_bench.apply_and_check(state)
