"""Registration of Butler datasets in Rucio, and what closes a dataset: on a real server, with a real source repository."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Bench, PostgresTemplate

from reconciler.counts import plural
from reconciler.playground.world import SLAC, World

HEAD = '[reconcile]\nversion = 1\n[rucio]\nrse = "IN2P3_RAW_DISK"\n'


class Source:
    """A source repository whose files are at SLAC, and a state that registers its datasets."""

    def __init__(self, bench: Bench, client: Any, world: World, scope: str) -> None:
        self.bench, self.client, self.world, self.scope = bench, client, world, scope
        self.repo = bench.folder / "source"
        root = world.storage(SLAC)
        (bench.folder / "register.yaml").write_text(
            f"rucio_rse: {SLAC}\nscope: {scope}\nrse_root: {root}\ndtn_url: file://localhost{root}\n"
        )

    def define(self, name: str) -> Any:
        from lsst.daf.butler import Butler, DatasetType

        butler = Butler.from_config(str(self.repo), writeable=True)
        butler.registry.registerDatasetType(DatasetType(name, ["htm7"], "SimpleCatalog", universe=butler.dimensions))
        return butler

    def add(self, name: str, *pixels: int) -> None:
        from lsst.daf.butler import DatasetRef, FileDataset

        butler = self.define(name)
        butler.collections.register("run")
        folder = self.world.storage(SLAC) / self.scope / name
        folder.mkdir(parents=True, exist_ok=True)
        for pixel in pixels:
            path = folder / f"{pixel}.fits"
            path.write_text("stars")
            ref = DatasetRef(butler.get_dataset_type(name), butler.registry.expandDataId(htm7=pixel), run="run")
            butler.ingest(FileDataset(path=str(path), refs=[ref]), transfer="direct")

    def state(self, types: str, more: str = "", keys: str = "") -> Path:
        path = self.bench.folder / "rucio.toml"
        path.write_text(
            f'{HEAD}[rucio_dataset."{self.scope}:d"]\n{keys}register = {{ repo = "{self.repo}", dataset_types = [{types}], '
            f'collections = ["run"], config = "register.yaml"{more} }}\n'
            f'[rucio_dataset."{self.scope}:other"]\nopen = true\n'
        )
        return path

    def files(self) -> set[str]:
        return {Path(row["name"]).name for row in self.client.list_files(self.scope, "d")}

    @property
    def is_open(self) -> bool:
        return bool(self.client.get_did(self.scope, "d")["open"])

    def exists(self, name: str = "d") -> bool:
        return name in set(self.client.list_dids(self.scope, [{"name": "*"}], did_type="dataset"))


@pytest.fixture(params=["sqlite", "postgres"])
def source(request: pytest.FixtureRequest, rucio_bench: Bench, client: Any, world: World, fresh_scope: str) -> Source:
    made = Source(rucio_bench, client, world, fresh_scope)
    if request.param == "sqlite":
        shutil.copytree(request.getfixturevalue("template"), made.repo)
    else:
        template: PostgresTemplate = request.getfixturevalue("postgres_template")
        template.copy(made.repo)
    return made


CLOSES = "closes the dataset, which only an administrator of the Rucio server can reopen"
P = [131072, 131073, 131074]


def test_a_dataset_is_registered_and_closed_and_the_plan_says_that_only_an_administrator_can_reopen_it(source: Source) -> None:
    source.add("cat", *P[:2])
    source.add("map", P[2])
    state = source.state('"cat", "m*"')
    shown = source.bench.diff(state, 2)
    assert f'! rucio_dataset."{source.scope}:d": {CLOSES}' in shown
    assert CLOSES in source.bench.apply_and_check(state)
    assert source.files() == {f"{pixel}.fits" for pixel in P}
    assert not source.is_open


def test_an_unknown_dataset_type_is_an_error_before_anything_is_done(source: Source) -> None:
    source.add("cat", *P)
    state = source.state('"cat", "catt"')
    for output in (source.bench.diff(state, 1), source.bench.apply(state, 1)):
        assert f'd": register.dataset_types: {source.repo} has no dataset type "catt"; did you mean "cat"?' in output
        assert "Traceback" not in output
    assert not source.exists()
    assert not source.exists("other")


@pytest.mark.parametrize(("types", "text"), [('"cat", "map"', "map"), ('"cat", "ma*"', "ma*")])
def test_a_dataset_is_left_open_until_each_type_has_matched_and_what_is_there_is_registered(
    source: Source, types: str, text: str
) -> None:
    source.add("cat", *P[:2])
    if "*" not in types:
        source.define("map")
    state = source.state(types)
    assert CLOSES not in source.bench.diff(state, 2)
    output = source.bench.apply(state, 2)
    assert f"waiting for the source: run in {source.repo} have no {text}; it is left open until then" in output
    assert "waiting 1   degraded 0   blocked 0   failed 0" in output
    assert source.is_open
    assert source.files() == {f"{pixel}.fits" for pixel in P[:2]}
    assert "acted on 0 resources" in source.bench.apply(state, 2)
    source.add("map", P[2])
    assert CLOSES in source.bench.diff(state, 2)
    source.bench.apply_and_check(state)
    assert not source.is_open
    assert source.files() == {f"{pixel}.fits" for pixel in P}


def test_an_empty_source_is_waited_for_and_creates_no_dataset(source: Source) -> None:
    source.define("cat")
    state = source.state('"cat"')
    assert "waiting 1   degraded 0   blocked 0   failed 0" in source.bench.apply(state, 2)
    assert not source.exists()


@pytest.mark.parametrize("keys", ["", "open = true\n"])
def test_a_dataset_that_is_kept_open_gets_what_is_new_each_time(source: Source, keys: str) -> None:
    source.add("cat", P[0])
    state = source.state('"cat"', ", keep_open = true", keys)
    assert CLOSES not in source.bench.apply_and_check(state)
    assert source.is_open
    source.add("cat", *P[1:])
    shown = source.bench.diff(state, 2)
    assert "files: 2 of 3 missing" in shown
    assert "131074.fits" in shown
    output = source.bench.apply_and_check(state)
    assert "2 datasets to ingest or register" in output
    assert source.files() == {f"{pixel}.fits" for pixel in P}
    assert source.is_open
    closing = source.state('"cat"')
    assert "all files of the source are registered, and it is still open" in source.bench.diff(closing, 2)
    source.bench.apply_and_check(closing)
    assert not source.is_open
    again = source.state('"cat"', ", keep_open = true", keys)
    assert "only an administrator" in source.bench.diff(again, 2)


def test_a_file_that_the_source_lacks_is_reported_in_an_open_dataset(source: Source, add_files: Callable[..., Any]) -> None:
    source.add("cat", P[0])
    add_files(source.scope, "d", 1)
    state = source.state('"cat"', ", keep_open = true")
    source.bench.apply(state, 2)
    shown = source.bench.diff(state, 2)
    assert "1 of its 2 files are not in the source; reconcile never removes them" in shown


def test_an_interrupted_registration_is_completed_before_the_dataset_is_closed(source: Source) -> None:
    source.add("cat", P[0])
    source.bench.apply_and_check(source.state('"cat"', ", keep_open = true"))
    source.add("cat", *P[1:])
    state = source.state('"cat"')
    source.bench.apply_and_check(state)
    assert source.files() == {f"{pixel}.fits" for pixel in P}
    assert not source.is_open


def test_keys_that_contradict_each_other_are_errors(source: Source) -> None:
    closed = source.state('"cat"', ", keep_open = true", "open = false\n")
    assert "open: false contradicts keep_open = true of register" in source.bench.run("validate", closed, expect=1).output
    opened = source.state('"cat"', "", "open = true\n")
    assert "unless register has keep_open = true" in source.bench.run("validate", opened, expect=1).output


@pytest.mark.parametrize("stored", [0, 2])
def test_a_dataset_is_not_closed_while_the_source_has_datasets_without_a_file(source: Source, stored: int) -> None:
    from lsst.daf.butler import Butler

    source.add("cat", *P)
    butler = Butler.from_config(str(source.repo), writeable=True)
    refs = butler.query_datasets("cat", "run", where=f"htm7 >= {P[0] + stored}")
    butler.pruneDatasets(refs, disassociate=False, unstore=True, purge=False)
    source.client.add_dataset(source.scope, "d")
    state = source.state('"cat"')
    held = f"{plural(len(P) - stored, 'dataset')} of {source.repo} can't be registered: each needs exactly one file"
    assert held in " ".join(source.bench.diff(state, 2).split())
    source.bench.apply(state, 1 if stored else 2)
    assert held in " ".join(source.bench.diff(state, 2).split())
    assert source.is_open
    assert len(source.files()) == stored


def test_a_new_dataset_is_not_closed_after_a_registration_that_left_datasets_out(source: Source) -> None:
    from lsst.daf.butler import Butler

    source.add("cat", *P)
    butler = Butler.from_config(str(source.repo), writeable=True)
    refs = butler.query_datasets("cat", "run", where=f"htm7 = {P[0]}")
    butler.pruneDatasets(refs, disassociate=False, unstore=True, purge=False)
    output = source.bench.apply(source.state('"cat"'), 1)
    assert "1 dataset of " in output
    assert "can't be registered: each needs exactly one file in its datastore" in " ".join(output.split())
    assert source.is_open
    assert source.files() == {f"{pixel}.fits" for pixel in P[1:]}
