"""Commands that report on resources: list, explain, graph and help, with a real repository where live state matters."""

from __future__ import annotations

import json
import shutil

import jsonschema
import pytest
from conftest import Bench

from reconciler.report.explanation import explain_schema
from reconciler.report.listing import list_schema

STATE = '[collection."u/a"]\ntype = "RUN"\n[collection."u/b"]\ntype = "RUN"\n[chain.c]\nchildren = ["u/a", "u/b"]\n'


def test_a_list_has_the_status_of_each_resource_on_a_line_of_its_own(bench: Bench) -> None:
    state = bench.state(STATE)
    bench.run("apply", state, "--yes", "--only", "collection.u/a", expect=0)
    lines = bench.run("list", state, expect=0).output.splitlines()
    assert [line.split() for line in lines] == [
        ["ok", "repository", "repository", f"{state}:3"],
        ["ok", "collection", 'collection."u/a"', f"{state}:5"],
        ["missing", "collection", 'collection."u/b"', f"{state}:7"],
        ["missing", "chain", "chain.c", f"{state}:9"],
    ]


def test_a_list_as_json_is_an_object_that_follows_its_schema(sqlite_bench: Bench) -> None:
    state = sqlite_bench.state(STATE)
    report = json.loads(sqlite_bench.run("list", state, "chain.*", "--format", "json", expect=0).output)
    jsonschema.validate(report, list_schema())
    assert report["format"] == 1
    assert report["states"][0]["resources"] == [
        {"status": "missing", "kind": "chain", "name": "c", "address": "chain.c", "file": str(state), "line": 9}
    ]


def test_a_list_without_live_systems_has_no_status(sqlite_bench: Bench) -> None:
    state = sqlite_bench.state(STATE)
    shutil.rmtree(sqlite_bench.repo)
    assert sqlite_bench.run("list", "--offline", state, "*u/b", expect=0).output.split()[:3] == [
        "-",
        "collection",
        'collection."u/b"',
    ]


def test_what_could_not_be_checked_is_in_the_list_and_exits_with_1(sqlite_bench: Bench) -> None:
    state = sqlite_bench.state(STATE)
    (sqlite_bench.repo / "gen3.sqlite3").write_text("not a database")
    result = sqlite_bench.run("list", state, expect=1)
    assert {line.split()[0] for line in result.stdout.splitlines()} == {"unknown"}
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("error: ") == 1
    assert "file is not a database" in result.stderr


def test_a_glob_of_a_list_may_match_in_one_of_several_states(sqlite_bench: Bench) -> None:
    one, two = sqlite_bench.state(STATE), sqlite_bench.state('[collection.x]\ntype = "RUN"\n', name="other.toml")
    assert sqlite_bench.run("list", "--offline", one, two, "chain.*", expect=0).output.count("\n") == 1
    assert (
        'no address matches chian.*; did you mean "chain.*"?'
        in sqlite_bench.run(*("list", "--offline", one, two, "chian.*"), expect=1).output
    )


def test_an_explanation_has_the_line_the_live_state_the_age_and_the_runs_of_a_resource(bench: Bench) -> None:
    state = bench.state(STATE)
    bench.apply(state)
    history = bench.folder / "history.sqlite"
    bench.run("drift", state, "--history", history, expect=0)
    butler = bench.butler
    butler.collections.redefine_chain("c", ["u/b"])
    bench.run("drift", state, "--history", history, expect=2)
    output = bench.run("explain", state, "chain.c", "--history", history, expect=0).output
    assert output.startswith(f"chain.c   differs: it isn't as the table asks\n  asked for by  {state}:9\n")
    assert "[chain.c]" in output
    assert "+ u/a at 1 (of 2)" in output
    assert "; cause: drifted" in output
    assert "  last in sync  20" in output
    assert "redefine   done" in output
    assert "$ butler collection-chain" in output
    report = json.loads(bench.run("explain", state, "chain.c", "--history", history, "--format", "json", expect=0).output)
    jsonschema.validate(report, explain_schema())
    assert (report["format"], report["kind"], report["name"], report["status"]) == (1, "chain", "c", "differs")
    assert report["differences"][0]["times_seen"] == 1
    assert [need["address"] for need in report["needs"]] == ["repository", 'collection."u/a"', 'collection."u/b"']
    assert report["live"]["statements"] > 0
    assert [run["outcome"] for run in report["runs"]] == ["done"]


def test_an_explanation_changes_nothing_and_reports_a_need_that_does_not_exist(sqlite_bench: Bench) -> None:
    state = sqlite_bench.state('[chain.c]\nchildren = ["elsewhere"]\n')
    before = (sqlite_bench.repo / "gen3.sqlite3").read_bytes()
    output = sqlite_bench.run("explain", state, "chain.c", expect=0).output
    assert 'hindered by   collection "elsewhere" doesn\'t exist, and no table provides it' in output
    assert (sqlite_bench.repo / "gen3.sqlite3").read_bytes() == before


def test_what_could_not_be_checked_is_explained_and_exits_with_1(sqlite_bench: Bench) -> None:
    state = sqlite_bench.state(STATE)
    (sqlite_bench.repo / "gen3.sqlite3").write_text("not a database")
    output = sqlite_bench.run("explain", state, "chain.c", expect=1).output
    assert output.startswith("chain.c   unknown: it could not be checked")


def test_an_address_is_searched_in_the_folder_state(sqlite_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    (sqlite_bench.folder / "state").mkdir()
    sqlite_bench.state(STATE, name="state/one.toml")
    sqlite_bench.state('[collection.x]\ntype = "RUN"\n', name="state/two.toml")
    monkeypatch.chdir(sqlite_bench.folder)
    assert sqlite_bench.run("explain", "collection.x", expect=0).output.startswith("collection.x   missing")
    error = sqlite_bench.run("explain", "repository", expect=1).output
    assert "several states have this address: state/one.toml, state/two.toml" in error
    assert "no address chain.d" in sqlite_bench.run("explain", "chain.d", expect=1).output
    assert sqlite_bench.run("explain", "chain.c", "chain.d").exit_code == 64


def test_a_graph_shows_the_status_of_each_resource_if_asked(sqlite_bench: Bench) -> None:
    state = sqlite_bench.state(STATE)
    sqlite_bench.run("apply", state, "--yes", "--only", "collection.*", expect=0)
    assert "chain.c (missing)" in sqlite_bench.run("graph", state, "--status", expect=0).output
    (sqlite_bench.repo / "gen3.sqlite3").write_text("not a database")
    assert "4 of 4 resources could not be checked" in sqlite_bench.run("graph", state, "--status", expect=1).output
    assert "chain.c" in sqlite_bench.run("graph", state, expect=0).output
