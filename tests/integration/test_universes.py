"""Dimension universes that the installed Butler can't read, or that have other dimensions, get a message of their own."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from conftest import Bench

RUN = '[collection.a]\ntype = "RUN"\n'
INSTALLED = importlib.metadata.version("lsst-daf-butler")


def state_of(bench: Bench, text: str = RUN) -> Path:
    return bench.state(text)


def make_repository(bench: Bench, version: int, namespace: str) -> None:
    """Make a repository with the dimensions of the installed Butler under another name or version."""
    from lsst.daf.butler import Butler, DimensionConfig

    dimensions = DimensionConfig()
    dimensions["version"], dimensions["namespace"] = version, namespace
    Butler.makeRepo(str(bench.repo), dimensionConfig=dimensions)


def change_universe(bench: Bench, version: int, namespace: str, element: str = "visit") -> None:
    """Give the universe of a repository a field of a type that the installed Butler doesn't know."""
    with contextlib.closing(sqlite3.connect(bench.repo / "gen3.sqlite3")) as database, database:
        row = "name = 'config:dimensions.json'"
        ((text,),) = database.execute(f"select value from butler_attributes where {row}")
        universe: dict[str, Any] = json.loads(text)
        universe |= {"version": version, "namespace": namespace}
        universe["elements"][element].setdefault("metadata", []).append({"name": "spin", "type": "quaternion"})
        database.execute(f"update butler_attributes set value = ? where {row}", [json.dumps(universe)])


CASES = [
    (7001, "daf_butler", "set up a newer stack; this one knows the universe daf_butler up to version "),
    (7002, "other_mission", 'set up the one that defines the universe "other_mission"'),
]


@pytest.mark.parametrize(("version", "namespace", "hint"), CASES, ids=[case[1] for case in CASES])
@pytest.mark.parametrize("command", ["diff", "apply", "doctor"])
def test_a_universe_that_the_installed_butler_cannot_read_is_named_with_both_versions_and_what_to_do(
    sqlite_bench: Bench, command: str, version: int, namespace: str, hint: str
) -> None:
    change_universe(sqlite_bench, version, namespace)
    output = sqlite_bench.run(command, state_of(sqlite_bench), *(["--yes"] if command == "apply" else []), expect=1).output
    words = " ".join(output.split())
    assert f"lsst-daf-butler {INSTALLED} can't read its dimension universe, version {version} of {namespace}" in words
    assert hint in words
    assert "ValidationError" not in output
    assert "in sync" not in output


def test_a_universe_that_is_broken_and_not_newer_is_reported_as_what_it_is(sqlite_bench: Bench) -> None:
    change_universe(sqlite_bench, 1, "daf_butler")  # the Butler caches universes, and this one is in no other test
    output = sqlite_bench.diff(state_of(sqlite_bench), 1)
    assert "can't read its dimension universe" not in output
    assert "quaternion" in output


@pytest.mark.parametrize(("version", "namespace"), [(7003, "daf_butler"), (7004, "other_mission")])
def test_a_universe_that_the_installed_butler_can_read_is_used_whatever_its_name(
    empty_bench: Bench, version: int, namespace: str
) -> None:
    make_repository(empty_bench, version, namespace)
    empty_bench.apply_and_check(state_of(empty_bench))


def test_a_universe_without_the_dimensions_of_a_table_is_named(empty_bench: Bench) -> None:
    from lsst.daf.butler import Butler, DimensionConfig

    dimensions = DimensionConfig()
    dimensions["version"], dimensions["namespace"] = 7005, "other_mission"
    for name in set(dimensions["elements"]) - {"band", "instrument", "detector", "physical_filter"}:
        del dimensions["elements", name]
    for kind in list(dimensions["topology"]):
        del dimensions["topology", kind]
    Butler.makeRepo(str(empty_bench.repo), dimensionConfig=dimensions)
    (empty_bench.folder / "m.config").write_text('config.name = "m"\n')
    output = " ".join(empty_bench.diff(state_of(empty_bench, RUN + '[skymap.m]\nconfig = "m.config"\n'), 1).split())
    assert "its dimension universe, version 7005 of other_mission, has no dimension skymap" in output
    assert "only tables about dimensions that it has can be compared" in output
    assert "1 resource could not be checked" in output
