"""Commands that report on resources: list, explain, graph and help, with a real repository where live state matters."""

from __future__ import annotations

import json
import shutil

import jsonschema
from conftest import Bench

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
    lines = sqlite_bench.run("list", state, expect=1).output.splitlines()
    assert {line.split()[0] for line in lines} == {"unknown"}


def test_a_glob_of_a_list_may_match_in_one_of_several_states(sqlite_bench: Bench) -> None:
    one, two = sqlite_bench.state(STATE), sqlite_bench.state('[collection.x]\ntype = "RUN"\n', name="other.toml")
    assert sqlite_bench.run("list", "--offline", one, two, "chain.*", expect=0).output.count("\n") == 1
    assert (
        'no address matches chian.*; did you mean "chain.c"?'
        in sqlite_bench.run(*("list", "--offline", one, two, "chian.*"), expect=1).output
    )
