"""Drift detection on real repositories and a real Rucio server, with the history on SQLite and on PostgreSQL."""

from __future__ import annotations

import datetime
import hashlib
import html
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Bench
from faultproxy import FaultProxy
from faults import Scene

from reconciler.errors import WriteRefused
from reconciler.opening import open_session
from reconciler.playground.world import World
from reconciler.systems.rucio.read_only import only_reads
from reconciler.watch.drift import DriftOptions, Skipped, Trouble, watch_states
from reconciler.watch.history import open_history
from reconciler.watch.latest import read_latest
from reconciler.watch.locations import HistoryLocation
from reconciler.watch.observation import CheckOptions
from reconciler.watch.state_report import StateReport

STATE = '[collection."u/run"]\ntype = "RUN"\n[chain.top]\nchildren = ["u/run"]\n'
START = datetime.datetime(2026, 11, 1, 2, tzinfo=datetime.UTC)
QUERIES = re.compile(r"(GET|HEAD) |POST /(dids/(bulkmeta|bulkfiles)|replicas/list)$")
"""The requests of a check, written down independently of the program's own list."""


class ReadOnlyProxy(FaultProxy):
    """A proxy that refuses every request that isn't known to read only."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.refused: list[str] = []

    def _take(self, method: str, path: str) -> str:
        request = f"{method} {path.partition('?')[0]}"
        if QUERIES.match(request):
            return ""
        self.refused.append(request)
        return "status 405"


@pytest.fixture
def postgres_history(world: World) -> Iterator[str]:
    """The URL of an empty database on PostgreSQL."""
    import psycopg

    socket = str(world.read_record()["postgres"])
    name = f"h{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"host={socket} user=postgres dbname=postgres", autocommit=True) as connection:
        connection.execute(f"create database {name} template template0")
        yield f"postgresql://postgres@/{name}?host={socket}"
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture(params=["sqlite", "postgres"])
def watched(request: pytest.FixtureRequest) -> Bench:
    """A bench whose repository and whose history of checks are on the same kind of database."""
    bench: Bench = request.getfixturevalue(f"{request.param}_bench")
    if request.param == "postgres":
        bench.environment["RECONCILE_HISTORY"] = request.getfixturevalue("postgres_history")
    return bench


def location(bench: Bench) -> HistoryLocation:
    url = bench.environment.get("RECONCILE_HISTORY")
    folder = Path(bench.environment["XDG_STATE_HOME"])
    return HistoryLocation(url=url) if url else HistoryLocation(folder / "rubin-reconciler" / "history.sqlite")


def night(number: float) -> datetime.datetime:
    return START + datetime.timedelta(days=number)


def watch(bench: Bench, number: float, *states: Path, **options: Any) -> list[StateReport | Skipped | Trouble]:
    """Check states on some night."""
    chosen = DriftOptions(location(bench), CheckOptions({}), **options)
    return list(watch_states(states, chosen, lambda: night(number)))


def test_drift_is_reported_once_with_its_cause_and_status_keeps_it(watched: Bench) -> None:
    state = watched.state(STATE)
    output = watched.run("drift", state, expect=2).output
    assert "test has drift: 2 unapplied (3 resources, checked in" in output
    assert "unapplied          chain.top: missing (first seen now)" in output
    assert f"$ reconcile apply {state}\n" in output
    watched.apply(state)
    assert "resolved after" in watched.run("drift", state, expect=0).output
    assert watched.run("drift", state, expect=0).output == ""
    assert "test is in sync: 3 resources" in watched.run("drift", state, "-v", expect=0).output
    summary = watched.folder / "summary.md"
    output = watched.run("drift", state, "-q", "--summary", summary, expect=0).output
    assert output.startswith("OK test: 3 resources")
    assert output.count("\n") == 1
    assert summary.read_text().startswith("### reconcile drift: 0 of 1 state not in sync\n")
    watched.butler.collections.redefine_chain("top", [])
    output = watched.run("drift", state, expect=2).output
    assert "drifted            chain.top: children: nothing → u/run (first seen now)" in output
    assert f"$ reconcile apply {state} --only chain.top\n" in output
    assert watched.run("drift", state, expect=2).output == "", "nothing changed"
    assert "1 drifted" in watched.run("status", expect=2).output
    assert watched.diff(state, 2), "nothing was repaired"


def test_an_edited_table_is_unapplied_and_an_unrelated_edit_is_not(watched: Bench) -> None:
    state = watched.state(STATE)
    watched.apply(state)
    watched.run("drift", state, expect=0)
    watched.butler.collections.redefine_chain("top", [])
    watched.state(STATE + '[collection."u/other"]\ntype = "RUN"\n')
    output = watched.run("drift", state, expect=2).output
    assert "drifted            chain.top" in output
    assert 'unapplied          collection."u/other"' in output
    watched.state(STATE.replace('children = ["u/run"]', 'children = ["u/run"]\ndoc = "x"'))
    assert "unapplied          chain.top" in watched.run("drift", state, expect=2).output


def test_without_history_the_journal_shows_whether_it_was_in_sync(watched: Bench) -> None:
    state = watched.state(STATE)
    watched.apply(state)
    watched.butler.collections.redefine_chain("top", [])
    assert "drifted            chain.top" in watched.run("drift", state, expect=2).output


def test_the_journal_of_another_content_of_the_state_shows_nothing(watched: Bench) -> None:
    watched.apply(watched.state(STATE))
    state = watched.state(STATE.replace('["u/run"]', '["u/run", "u/second"]') + '[collection."u/second"]\ntype = "RUN"\n')
    assert "unapplied          chain.top" in watched.run("drift", state, expect=2).output


def test_an_acknowledged_difference_leaves_the_exit_code_until_it_changes(watched: Bench) -> None:
    state = watched.state(STATE)
    watched.apply(state)
    watched.run("drift", state, expect=0)
    watched.butler.collections.redefine_chain("top", [])
    watched.run("drift", state, expect=2)
    until = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=5)
    words = ("--until", until, "--reason", "under review", "--ticket", "DM-1", "--state", state)
    assert 'did you mean "children"' in watched.run("ack", "chain.top:childern", *words, expect=1).output
    assert "no check has found a difference here" in watched.run("ack", "chain.top:doc", *words, expect=1).output
    assert "did you mean" in watched.run("ack", "chain.tpo", *words, expect=1).output
    assert "is over" in watched.run("ack", "chain.top", "--until", "2020-01-01", *words[2:], expect=1).output
    watched.run("ack", "chain.top:children", *words, expect=0)
    output = watched.run("drift", state, "-v", expect=0).output
    assert "test has no drift: 1 acknowledged" in output
    assert f"until {until}, 5 days left: under review (DM-1)" in output
    assert "about to end, 5 days left" in watched.run("acks", state, expect=0).output
    assert watched.run("status", expect=0).output.startswith("test   expected")
    watched.butler.collections.register("u/stranger")
    watched.butler.collections.redefine_chain("top", ["u/stranger"])
    output = watched.run("drift", state, expect=2).output
    assert "its acknowledgement ended because the difference changed" in output
    assert "~ children" in watched.diff(state, 2)
    watched.apply(state, 2)  # the stranger stays without --prune


def test_a_bad_acknowledgement_is_one_line_and_the_check_is_done(watched: Bench) -> None:
    state = watched.state(STATE)
    folder = watched.folder / "acks"
    folder.mkdir()
    (folder / "test.toml").write_text(
        "version = 1\n[[acknowledge]]\naddress = 'chain.tpo'\nreason = 'r'\nuntil = 2126-01-01\n"
        "[[acknowledge]]\naddress = 'chain.top'\nreason = 'r'\n"
    )
    output = watched.run("drift", state, expect=1).output
    assert 'error: acks/test.toml: chain.tpo: no table has this address; did you mean "chain.top"?' in output
    assert "error: acks/test.toml: chain.top: has no end; add" in output
    assert "2 unapplied" in output
    assert watched.run("drift", state, expect=1).output.count("\n") == 2, "the problems are repeated, the differences are not"


def metrics(file: Path) -> dict[str, float]:
    """Return the values of a metrics file with one state by metric and further labels."""
    from prometheus_client.parser import text_string_to_metric_families

    samples = [sample for family in text_string_to_metric_families(file.read_text()) for sample in family.samples]
    kept = ("verdict", "cause", "answer", "problem", "rule_state")
    return {" ".join([s.name, *(s.labels[key] for key in kept if key in s.labels)]): s.value for s in samples}


def test_the_metrics_of_each_run_replace_those_of_the_run_before(watched: Bench) -> None:
    state = watched.state(STATE)
    file = watched.folder / "reconcile.prom"
    watched.run("drift", state, "--metrics", file, expect=2)
    found = metrics(file)
    assert found["reconcile_state_verdict drift"] == 1
    assert found["reconcile_state_differences unapplied"] == 2
    assert found["reconcile_state_check_sql_statements"] > 0
    watched.apply(state)
    watched.run("drift", state, "--metrics", file, expect=0)
    found = metrics(file)
    assert (found["reconcile_state_verdict in_sync"], found["reconcile_state_verdict drift"]) == (1, 0)
    assert "reconcile_state_oldest_drift_timestamp_seconds" not in found
    success = found["reconcile_state_last_success_timestamp_seconds"]
    state.write_text("not TOML")
    for times in (1, 2):
        watched.run("drift", state, "--metrics", file, expect=1)
        assert metrics(file)["reconcile_state_unknown_checks"] == times
    kept = metrics(file)["reconcile_state_last_success_timestamp_seconds"]
    assert kept == pytest.approx(success, abs=0.01), "the history keeps milliseconds"
    assert metrics(file)["reconcile_state_last_check_timestamp_seconds"] > success - 1


def test_metrics_for_a_folder_that_is_not_there_are_one_line_and_the_check_is_done(watched: Bench) -> None:
    state = watched.state(STATE)
    output = watched.run("drift", state, "--metrics", watched.folder / "none" / "a.prom", expect=1).output
    assert output.count("error: ") == 1
    assert f"there is no folder {watched.folder}/none, so no metrics were written" in output
    assert "test has drift: 2 unapplied" in output
    assert "drift" in watched.run("status", expect=2).output, "it is recorded"


def database_digest(bench: Bench) -> str:
    return hashlib.sha256((bench.repo / "gen3.sqlite3").read_bytes()).hexdigest()


def test_a_check_opens_the_repository_for_reading_only(sqlite_bench: Bench) -> None:
    state = sqlite_bench.state(STATE)
    before = database_digest(sqlite_bench)
    sqlite_bench.run("drift", state, expect=2)
    assert database_digest(sqlite_bench) == before
    session = open_session(state)
    session.context.forbid_writes()
    with pytest.raises(WriteRefused, match="to be opened for writing in a check that only reads"):
        session.context.butler.open(writeable=True)
    session.close()
    sqlite_bench.apply(state)
    assert database_digest(sqlite_bench) != before


@pytest.fixture
def guarded(sqlite_bench: Bench, world: World, client: Any) -> Iterator[tuple[Scene, ReadOnlyProxy]]:
    scene = Scene(sqlite_bench.folder, world, client, sqlite_bench.repo)
    proxy = ReadOnlyProxy(str(world.read_record()["rucio_url"]))
    config = scene.state.parent / "rucio.cfg"
    config.write_text(config.read_text().replace(scene.proxy.url, proxy.url))
    yield scene, proxy
    proxy.server.shutdown()


def test_a_check_sends_rucio_only_requests_that_read(guarded: tuple[Scene, ReadOnlyProxy]) -> None:
    scene, proxy = guarded
    result = scene.run("drift")
    assert result.exit_code == 2, result.output
    assert f'unapplied          rucio_dataset."{scene.scope}:d"' in result.output
    assert proxy.refused == []
    assert scene.run("apply", "--yes").exit_code == 1, "the proxy does refuse what changes something"
    assert proxy.refused == ["POST /rules/"]


def test_a_request_that_changes_something_is_refused_before_it_is_sent(guarded: tuple[Scene, ReadOnlyProxy]) -> None:
    scene, proxy = guarded
    session = open_session(scene.state)
    session.context.forbid_writes()
    rucio = session.context.rucio
    changes = [
        lambda: rucio.create_dataset(f"{scene.scope}:new"),
        lambda: rucio.close(f"{scene.scope}:d"),
        lambda: rucio.attach(f"{scene.scope}:d", [f"{scene.scope}:f1"]),
        lambda: rucio.update_rule(f"{scene.scope}:d", "0" * 32, {"priority": 1}),
        lambda: rucio.delete_rule(f"{scene.scope}:d", "0" * 32),
        lambda: rucio.client.add_replicas("SLAC_BUTLER_DISK", []),
        lambda: rucio.client.declare_bad_file_replicas(["davs://x/f1"], "x"),
    ]
    for change in changes:
        with pytest.raises(WriteRefused, match="was to be sent to Rucio in a check that only reads"):
            change()
    assert len(rucio.dids([f"{scene.scope}:d"])) == 1
    assert proxy.refused == []
    session.close()


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "rules/1", True),
        ("POST", "dids/bulkmeta", True),
        ("POST", "/replicas/list", True),
        ("POST", "replicas", False),
        ("POST", "rules/", False),
        ("POST", "x/replicas/list", False),
        ("PUT", "dids/bulkmeta", False),
        ("DELETE", "rules/1", False),
        ("None", "rules/1", False),
    ],
)
def test_which_requests_read_only(method: str, path: str, expected: bool) -> None:
    assert only_reads(method, path) is expected


def test_one_state_that_hangs_and_one_that_is_unreachable_do_not_affect_the_others(scene: Scene, sqlite_bench: Bench) -> None:
    states = [sqlite_bench.state(STATE, f"s{number:02}.toml") for number in range(4)]
    sqlite_bench.apply(states[0])
    sqlite_bench.butler.collections.redefine_chain("top", [])
    unreachable = sqlite_bench.state(STATE.replace("u/run", "u/x").replace("top", "other"), "unreachable.toml")
    unreachable.write_text(unreachable.read_text().replace(str(sqlite_bench.repo), str(sqlite_bench.folder / "nowhere")))
    broken = sqlite_bench.state("[chain.top]\nchildern = []\n", "broken.toml")
    scene.state.write_text(scene.state.read_text().replace("timeout = 1\n", "timeout = 300\n"))
    with scene.proxy.doing("hang 600"):
        words = ("--timeout", "15s", "--jobs", "3", "--format", "json")
        result = sqlite_bench.run("drift", *states, scene.state, unreachable, broken, *words, expect=1)
    documents = {document["name"]: document for document in json.loads(result.output)["states"]}
    assert len(documents) == 7
    assert {documents[f"s{number:02}"]["verdict"] for number in range(4)} == {"drift"}
    assert {tuple(d["address"] for d in documents[f"s{n:02}"]["differences"]) for n in range(4)} == {("chain.top",)}
    assert documents["s"]["verdict"] == "unknown"
    assert documents["s"]["error"] == "the check didn't end within 15 s, and was stopped"
    assert documents["broken"]["verdict"] == "unknown"
    assert "childern" in documents["broken"]["error"]


@pytest.fixture
def scene(sqlite_bench: Bench, world: World, client: Any) -> Scene:
    return Scene(sqlite_bench.folder, world, client, sqlite_bench.repo)


def test_an_unreachable_rucio_server_leaves_the_butler_half_checked(scene: Scene) -> None:
    scene.run("apply", "--yes")
    assert scene.run("drift").exit_code == 0
    scene.proxy.server.shutdown()
    scene.proxy.server.server_close()
    first = scene.run("drift")
    assert (first.exit_code, "could not be checked completely: 2 unknown" in first.output) == (1, True), first.output
    assert first.output.count("connection refused or lost") == 1, "one message for all that it concerns"
    again = scene.run("drift")
    assert (again.exit_code, "2 times in a row" in again.output) == (1, True)
    assert (scene.run("drift").output, scene.run("drift").exit_code) == ("", 1)


def test_an_outage_does_not_start_another_history(rucio_bench: Bench, world: World, fresh_scope: str, add_files: Any) -> None:
    facts = world.read_record()
    proxy = FaultProxy(facts["rucio_url"])
    (rucio_bench.folder / "rucio.cfg").write_text(
        f"[client]\nrucio_host = {proxy.url}/\nauth_host = {proxy.url}\naccount = root\nauth_type = userpass\n"
        f"username = playground\npassword = {facts['password']}\nauth_token_file_path = {rucio_bench.folder}/token\n"
    )
    add_files(fresh_scope, "d", 1)
    state = rucio_bench.folder / "rucio.toml"
    state.write_text(
        '[reconcile]\nversion = 1\n[rucio]\nconfig = "rucio.cfg"\n'
        f'[rucio_dataset."{fresh_scope}:d"]\nrules = [{{ rse_expression = "IN2P3_RAW_DISK" }}]\n'
    )
    (before,) = watch(rucio_bench, 0, state)
    with proxy.doing("reset"):
        (down,) = watch(rucio_bench, 1, state)
    (after,) = watch(rucio_bench, 2, state)
    assert isinstance(before, StateReport)
    assert isinstance(down, StateReport)
    assert isinstance(after, StateReport)
    assert before.check.repository == down.check.repository == after.check.repository
    assert [finding.cause.value for finding in down.findings] == ["unknown"]
    assert [finding.age.days for finding in after.findings] == [2]
    assert [gone.kind for gone in after.resolved] == ["unknown"]
    proxy.server.shutdown()


def test_an_unreachable_history_server_is_one_error_and_the_check_is_done(sqlite_bench: Bench) -> None:
    words = ("--history", "postgresql://watch@/watch?host=/nowhere")
    output = sqlite_bench.run("drift", sqlite_bench.state(STATE), *words, expect=1).output
    assert output.count("error: ") == 1, output
    assert "the history postgresql://watch@/watch?host=/nowhere can't be used" in output
    assert "2 unapplied" in output
    assert "can't be used" in sqlite_bench.run("status", *words, expect=1).output


def drift_process(bench: Bench, state: Path, *words: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    variables = {**os.environ, **bench.environment} if environment is None else environment
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, "-m", "reconciler", "drift", str(state), *words]
    return subprocess.Popen(
        command, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/"
    )


def test_a_check_works_from_cron_with_an_empty_environment(sqlite_bench: Bench) -> None:
    state = sqlite_bench.state(STATE)
    process = drift_process(sqlite_bench, state, environment={})
    output, _ = process.communicate()
    assert process.returncode == 1
    assert "neither HOME nor XDG_STATE_HOME is set" in output
    assert "--history" in output
    history = sqlite_bench.folder / "watch" / "history.sqlite"
    process = drift_process(sqlite_bench, state, "--history", str(history), environment={})
    output, _ = process.communicate()
    assert process.returncode == 2, output
    assert "2 unapplied" in output
    assert [verdict.name for verdict in read_latest(HistoryLocation(history), now=night(0))] == ["test"]


def test_a_state_is_never_checked_twice_at_the_same_time(watched: Bench) -> None:
    from reconciler.watch import drift

    state = watched.state(STATE)
    with drift._hold_lock(state.resolve(), location(watched)):
        result = watched.run("drift", state, expect=75)
        assert "test is skipped: " in result.output
        assert "has held it since" in result.output
        other = watched.state(STATE, "other.toml")
        assert "other has drift" in watched.run("drift", state, other, expect=2).output
    watched.run("drift", state, expect=2)


@pytest.mark.parametrize("harm", ["corrupt", "newer", "other", "locked"])
def test_a_history_that_cannot_be_used_never_hides_drift(sqlite_bench: Bench, harm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    state = sqlite_bench.state(STATE)
    sqlite_bench.run("drift", state, expect=2)
    file = location(sqlite_bench).file
    assert file is not None
    connection = sqlite3.connect(file, isolation_level=None)
    if harm == "corrupt":
        connection.close()
        file.write_bytes(b"x" * 10_000)
    elif harm == "newer":
        connection.execute("update reconcile_history_version set version_num = '9999'")
    elif harm == "other":
        connection.execute("drop table reconcile_history_version")
    else:
        connection.execute("begin exclusive")
        monkeypatch.setattr("reconciler.watch.history.open_history.__defaults__", (0.1,))
    output = sqlite_bench.run("drift", state, expect=1).output
    assert output.count("error: ") == 1, output
    assert str(file) in output
    assert "2 unapplied" in output
    connection.close()


def test_a_history_that_locks_up_during_the_run_is_reported_with_the_verdict(
    sqlite_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.watch.history import History
    from reconciler.watch.locations import HistoryError

    def fail(*_: object) -> None:
        raise HistoryError("the history can't be used: the disk is full")

    monkeypatch.setattr(History, "record", fail)
    output = sqlite_bench.run("drift", sqlite_bench.state(STATE), expect=1).output
    assert "error: the check was not recorded: the history can't be used: the disk is full" in output
    assert "2 unapplied" in output


def test_members_are_listed_one_by_one_when_that_was_last_done_too_long_ago(watched: Bench) -> None:
    state = watched.state(STATE)
    deep = []
    for number in (0, 1, 6, 7, 8):
        (report,) = watch(watched, number, state)
        assert isinstance(report, StateReport)
        deep.append(report.check.deep)
    assert deep == [True, False, False, True, False]


def test_old_checks_are_pruned(watched: Bench) -> None:
    state = watched.state(STATE)
    for number in (0, 1, 500):
        watch(watched, number, state, keep=400 * 86400.0)
    with open_history(location(watched))._engine.connect() as connection:
        rows = connection.exec_driver_sql("select checked from reconcile_verdicts").fetchall()
    assert [row[0] for row in rows] == ["2028-03-15T02:00:00.000Z"]


def test_a_password_of_the_history_is_refused_and_not_shown(sqlite_bench: Bench) -> None:
    words = ("drift", sqlite_bench.state(STATE), "--history", "postgresql://watch:hunter2@db/watch")
    output = sqlite_bench.run(*words, expect=1).output
    assert "~/.pgpass" in output
    assert "hunter2" not in output


def test_the_password_of_the_history_is_found_in_the_file_of_the_butler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy

    from reconciler.systems.database_password import find_credentials

    file = tmp_path / "db-auth.yaml"
    file.write_text("- url: postgresql://db.example.org/watch\n  username: frdf\n  password: hunter2\n")
    file.chmod(0o600)
    url = sqlalchemy.engine.make_url("postgresql://db.example.org/watch")
    monkeypatch.setenv("LSST_DB_AUTH", str(file))
    monkeypatch.delenv("PGPASSWORD", raising=False)
    assert find_credentials(url) == ("frdf", "hunter2")
    assert find_credentials(url.set(host="other.example.org")) == (None, None)
    monkeypatch.setenv("PGPASSWORD", "of the environment")
    assert find_credentials(url) == (None, None), "libpq takes the environment's"


def test_the_page_shows_what_the_check_of_a_real_repository_found(watched: Bench) -> None:
    state = watched.state(STATE)
    watched.apply(state)
    watched.butler.collections.redefine_chain("top", [])
    folder = watched.folder / "site" / "html"
    watched.run("drift", state, "--html", folder, expect=2)
    (page,) = folder.glob("test-*.html")
    text = html.unescape(re.sub(r"<script.*?</script>", "", page.read_text(), flags=re.DOTALL))
    assert "test has drift" in text
    assert "children: nothing → u/run" in text
    assert f"reconcile apply {state} --only chain.top" in text
    tree = re.findall(r"<code>(top|u/run)</code> <span class=\"quiet\">([^<]*)", text)
    assert tree == [("top", "changed"), ("u/run", "in sync")]
    assert "Table of checks: 1" in text
    index = (folder / "index.html").read_text()
    assert f'href="{page.name}"' in index
    assert "1 drifted" in index
    watched.apply(state)
    watched.run("drift", state, "--html", folder, expect=0)
    text = page.read_text()
    assert "Nothing differs." in text
    assert "Resolved" in text


def test_a_page_that_cannot_be_written_is_an_error_and_the_check_is_reported(watched: Bench) -> None:
    (watched.folder / "file").touch()
    state = watched.state(STATE)
    output = watched.run("drift", state, "--html", watched.folder / "file" / "html", expect=1).output
    assert output.count("error: the page") == 1
    assert "2 unapplied" in output
    assert "2 unapplied" in watched.run("status", expect=2).output


def test_a_page_needs_its_extra_and_the_check_does_not(watched: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.watch.page import render

    render._environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    output = watched.run("drift", watched.state(STATE), "--html", watched.folder / "html", expect=1).output
    assert "error: a page needs Jinja" in output
    assert "pip install 'rubin-reconciler[page]'" in output
    assert "2 unapplied" in output
