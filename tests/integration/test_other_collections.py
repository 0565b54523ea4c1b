"""Collections of other people in the same repository cost nothing and are left alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from conftest import Bench
from lsst.daf.butler import CollectionType, DatasetType
from test_kinds_of_data import INSTRUMENT, VISITS, raw, raws  # noqa: F401

from reconciler.systems.butler import write_definitions
from reconciler.systems.butler.collection_catalog import CollectionCatalog, CollectionFacts
from reconciler.systems.butler.repository import Repository


def register_runs(bench: Bench, count: int) -> None:
    butler = bench.butler
    with butler.transaction():
        for number in range(count):
            butler.collections.register(f"u/somebody/{number}")


@pytest.fixture
def completed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The RUN collections that were completed."""
    names: list[str] = []

    def complete_runs(repository: Repository, runs: Iterable[str]) -> None:
        names.extend(runs := list(runs))
        real(repository, runs)

    real = write_definitions.complete_runs
    monkeypatch.setattr(write_definitions, "complete_runs", complete_runs)
    return names


def test_a_subcommand_completes_only_the_empty_runs_that_it_writes(
    comcam: Bench,
    raws: Any,  # noqa: F811
    completed: list[str],
) -> None:
    register_runs(comcam, 20)
    butler = comcam.butler
    mine = ["LSSTComCam/raw/all", "skymaps", "LSSTComCam/calib/DM-1/unbounded", "LSSTComCam/calib/DM-1/curated/19700101T000000Z"]
    for name in mine:
        butler.collections.register(name)
    (comcam.folder / "map.config").write_text('config.name = "m1"\n')
    calibrations = '[curated_calibrations."LSSTComCam/calib/DM-1"]\ninstrument = "LSSTComCam"\nlabel = "DM-1"\n'
    comcam.apply_and_check(comcam.state(raw(raws) + VISITS + calibrations + '[skymap.m1]\nconfig = "map.config"\n'))
    assert sorted(completed) == sorted(mine)


TABLES = """
[collection."mine/run"]
type = "RUN"
[tagged."mine/tags"]
dataset_type = "raw"
from = ["mine/*"]
[chain."mine/all"]
children = ["mine/run", "mine/inner"]
[expect.none]
dataset_type = "raw"
collections = ["mine/all"]
count = 0
"""


def test_of_the_collections_of_other_people_not_even_the_content_is_read(comcam: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    register_runs(comcam, 300)
    butler = comcam.butler
    butler.registry.registerDatasetType(
        DatasetType("raw", ["instrument", "exposure", "detector"], "Exposure", universe=butler.dimensions)
    )
    for name in ("mine/leaf", "mine/other", "mine/[1]"):
        butler.collections.register(name)
    butler.collections.register("mine/inner", CollectionType.CHAINED)
    butler.collections.redefine_chain("mine/inner", ["mine/leaf", "mine/[1]"])
    read: list[str] = []

    def query(self: CollectionCatalog, names: list[str]) -> dict[str, CollectionFacts]:
        found = real(self, names)
        read.extend(found)
        return found

    real = CollectionCatalog._query_existing
    monkeypatch.setattr(CollectionCatalog, "_query_existing", query)
    listed: list[str] = []
    list_names = CollectionCatalog._list_names
    monkeypatch.setattr(CollectionCatalog, "_list_names", lambda self: listed.append("all") or list_names(self))
    comcam.apply_and_check(comcam.state(TABLES))
    assert set(read) == {"mine/run", "mine/tags", "mine/all", "mine/inner", "mine/leaf", "mine/other", "mine/[1]"}
    read.clear()
    listed.clear()
    comcam.diff(comcam.state(TABLES.replace("mine/*", "mine/inner")), 0)
    assert sorted(read) == ["mine/[1]", "mine/all", "mine/inner", "mine/leaf", "mine/run", "mine/tags"]
    assert listed == []


def test_dataset_types_of_other_people_cost_no_query(bench: Bench) -> None:
    """The Butler reads all definitions in one query, whichever is asked for. Measured: 3,000 of them take 0.03 s."""
    state = bench.state(
        '[dataset_type.mine]\nstorage_class = "StructuredDataDict"\ndimensions = ["htm7"]\n[collection.a]\ntype = "RUN"\n'
        '[expect.none]\ndataset_type = "mine"\ncollections = ["a"]\ncount = 0\n'
    )
    bench.apply(state)

    def statements() -> str:
        output = bench.diff(state, 0, "--stats")
        return next(line for line in output.splitlines() if "SQL statements" in line)

    before = statements()
    butler = bench.butler
    for number in range(60):
        dimensions = (["htm7"], ["instrument"], ["skymap", "tract"])[number % 3]
        butler.registry.registerDatasetType(
            DatasetType(f"theirs{number}", dimensions, "StructuredDataDict", universe=butler.dimensions)
        )
    assert statements() == before
