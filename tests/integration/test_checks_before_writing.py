"""Mistakes that only the live systems reveal are reported before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Bench

from reconciler.playground.world import World

TYPE = '[dataset_type.cat]\nstorage_class = "SimpleCatalog"\ndimensions = ["htm7"]\n'
RUN = '[collection.run]\ntype = "RUN"\n'
BY_DETECTOR = '[dataset_type.flats]\nstorage_class = "StructuredDataDict"\ndimensions = ["instrument", "detector"]\n'
INGEST = '[file_ingest.files]\ndataset_type = "{}"\ntable = "t.csv"\nprefix = "/data"\n'


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize(
    ("where", "text"),
    [
        (
            "exposure.observation_tpye = 'science'",
            "Unrecognized field 'observation_tpye' for exposure; did you mean \"observation_type\"?",
        ),
        ("instrment = 'X'", "Unrecognized identifier 'instrment'; did you mean \"instrument\"?"),
        ("instrument = 'X' AND", "Failed to parse expression 'instrument = 'X' AND'"),
    ],
)
def test_a_wrong_expression_is_reported_before_its_datasets_exist(
    empty_bench: Bench, template: Path, exists: bool, where: str, text: str
) -> None:
    if exists:
        Bench(empty_bench.folder, empty_bench.repo, {}).apply(empty_bench.state(""))
    tables = (
        f'{RUN}[expect.e]\ndataset_type = "raw"\ncollections = ["run"]\nmin = 0\nwhere = "{where}"\n'
        f'[tagged.t]\ndataset_type = "raw"\nfrom = ["run"]\nwhere = "{where}"\n'
    )
    output = empty_bench.diff(empty_bench.state(tables), 1)
    line = 7 if exists else 8
    assert f'test.toml:{line}: expect.e: where = "{where}": {text}' in output
    assert f'test.toml:{line + 5}: tagged.t: where = "{where}": {text}' in output


def test_a_storage_class_and_a_dimension_are_checked_before_the_repository_exists(empty_bench: Bench) -> None:
    wrong = '[dataset_type.a]\nstorage_class = "SimpleCatalgo"\ndimensions = ["htm7"]\n'
    output = empty_bench.diff(
        empty_bench.state(wrong + '[dataset_type.b]\nstorage_class = "Exposure"\ndimensions = ["visits"]\n'), 1
    )
    assert 'test.toml:6: dataset_type.a: unknown storage class "SimpleCatalgo"; did you mean "SimpleCatalog"?' in output
    assert 'test.toml:9: dataset_type.b: unknown dimension "visits"; did you mean "visit"?' in output
    assert not empty_bench.repo.exists()


def test_a_storage_class_of_the_seed_configuration_is_known_before_the_repository_exists(empty_bench: Bench) -> None:
    (empty_bench.folder / "seed.yaml").write_text("storageClasses:\n  MyDict:\n    pytype: dict\n")
    table = '[dataset_type.a]\nstorage_class = "MyDict"\ndimensions = ["htm7"]\n'
    state = empty_bench.state(table)
    state.write_text(state.read_text().replace("create = true", 'seed_config = "seed.yaml"'))
    assert "unknown storage class" not in empty_bench.diff(state, 2)


def test_an_unknown_dataset_type_blocks_a_tagged_collection_and_one_of_a_table_does_not(sqlite_bench: Bench) -> None:
    tables = '[tagged.t]\ndataset_type = "cta"\nfrom = ["run"]\n[tagged.u]\ndataset_type = "cat"\nfrom = ["run"]\n'
    output = sqlite_bench.diff(sqlite_bench.state(TYPE + RUN + tables), 2)
    assert '! dataset type "cta" is neither in this file nor in the repository; did you mean "cat"?' in output
    assert "… dataset type cat doesn't exist yet" in output
    output = sqlite_bench.apply(sqlite_bench.state(TYPE + RUN + tables), 2)
    assert "blocked 1" in output
    assert set(sqlite_bench.butler.collections.query("*")) == {"run", "u"}


def test_a_chain_that_contains_itself_by_a_chain_of_nobody_is_reported_and_left_alone(bench: Bench) -> None:
    bench.butler.collections.register("run")
    from lsst.daf.butler import CollectionType

    for name in ("outer", "inner"):
        bench.butler.collections.register(name, CollectionType.CHAINED)
    bench.butler.collections.redefine_chain("inner", ["outer"])
    state = bench.state('[chain.outer]\nchildren = ["run", "inner"]\n')
    assert "children: inner contains outer, and a chain can't contain itself" in bench.diff(state, 2)
    assert "blocked 1" in bench.apply(state, 2)
    assert bench.butler.collections.get_info("outer").children == ()


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (
            "LSSTComCamm,3",
            'names instrument "LSSTComCamm", which no table provides and which doesn\'t exist; did you mean "LSSTComCam"?',
        ),
        ("LSSTComCam,99", "names detector 99 of LSSTComCam, which doesn't exist; its 9 detectors are 0 to 8"),
    ],
)
def test_a_data_id_that_names_nothing_is_reported_and_the_other_files_are_ingested(comcam: Bench, row: str, text: str) -> None:
    for name in ("a", "b"):
        (comcam.folder / f"{name}.yaml").write_text("{}")
    (comcam.folder / "t.csv").write_text(f"filename,instrument,detector\na.yaml,LSSTComCam,3\nb.yaml,{row}\n")
    state = comcam.state(BY_DETECTOR + INGEST.format("flats").replace("/data", str(comcam.folder)))
    output = comcam.diff(state, 2)
    assert f"1 file {text}; correct {comcam.folder}/t.csv" in output
    output = comcam.apply(state, 2)
    assert "blocked 1" in output
    assert [ref.dataId["detector"] for ref in comcam.butler.query_datasets("flats", "files")] == [3]


def test_the_instrument_of_a_table_of_the_state_is_no_unknown_one(sqlite_bench: Bench) -> None:
    (sqlite_bench.folder / "t.csv").write_text("filename,instrument,detector\na.yaml,LSSTComCam,3\n")
    instrument = '[instrument.LSSTComCam]\nclass = "lsst.obs.lsst.LsstComCam"\n'
    assert "which no table provides" not in sqlite_bench.diff(
        sqlite_bench.state(instrument + BY_DETECTOR + INGEST.format("flats")), 2
    )


def test_the_cells_of_a_table_are_checked_with_the_dimensions_of_a_type_that_is_still_to_come(sqlite_bench: Bench) -> None:
    (sqlite_bench.folder / "t.csv").write_text("filename,detector\na.yaml,x\n")
    output = sqlite_bench.diff(sqlite_bench.state(BY_DETECTOR + INGEST.format("flats")), 1)
    assert 't.csv:1: lacks the column "instrument", a dimension of flats' in output
    assert 't.csv:2: detector = "x" is not a whole number' in output


def test_the_cells_of_a_fits_table_are_checked_by_row(sqlite_bench: Bench) -> None:
    from astropy.table import Table

    Table({"filename": ["a.fits", "b.fits"], "htm7": [131072, 7]}).write(sqlite_bench.folder / "t.fits")
    table = INGEST.format("cat").replace("t.csv", "t.fits")
    assert "t.fits: row 2: htm7 = 7 is out of range" in sqlite_bench.diff(sqlite_bench.state(TYPE + table), 1)


def test_what_needs_a_repository_that_is_not_selected_is_blocked_and_not_tried(empty_bench: Bench) -> None:
    state = empty_bench.state(TYPE + RUN)
    output = empty_bench.diff(state, 2, "--only", "collection.*", "--only", "dataset_type.*")
    assert output.count("needs repository, which doesn't exist and is not selected") == 2
    output = empty_bench.apply(state, 2, "--except", "repository")
    assert "blocked 2" in output
    assert not empty_bench.repo.exists()


def test_what_needs_a_repository_that_is_only_observed_is_blocked(empty_bench: Bench) -> None:
    state = empty_bench.state("")
    state.write_text(state.read_text().replace("create = true", 'create = true\nmanage = "observe"') + RUN)
    assert "needs repository, which is absent and only observed" in empty_bench.diff(state, 2)
    assert "blocked 1" in empty_bench.apply(state, 2)
    assert not empty_bench.repo.exists()


def test_what_needs_a_repository_that_could_not_be_made_is_blocked(empty_bench: Bench) -> None:
    (empty_bench.folder / "seed.yaml").write_text("datastore:\n  cls: lsst.nosuch.Datastore\n")
    state = empty_bench.state("")
    state.write_text(state.read_text().replace("create = true", 'seed_config = "seed.yaml"\noverride = true') + TYPE + RUN)
    output = empty_bench.apply(state, 1)
    assert "failed 1" in output
    assert "blocked 2" in output
    assert output.count("needs repository, which failed") == 2


def test_what_needs_a_repository_that_a_saved_plan_refuses_is_blocked(empty_bench: Bench) -> None:
    state = empty_bench.state(RUN)
    plan = empty_bench.folder / "plan.json"
    empty_bench.diff(state, 2, "--only", "collection.run", "--with-needs", "--out", str(plan))
    (empty_bench.folder / "seed.yaml").write_text("registry:\n  managers: {}\n")
    state.write_text(state.read_text().replace("create = true", 'create = true\nseed_config = "seed.yaml"'))
    output = empty_bench.run("apply", plan, "--state", state, "--yes", expect=2).output
    assert "blocked 2" in output
    assert "needs repository, which is blocked" in output
    assert not empty_bench.repo.exists()


RULES = '[rucio_dataset."{scope}:d"]\nopen = true\nrules = [{{ rse_expression = "{rse}", account = "{account}" }}]\n'


@pytest.mark.parametrize(
    ("scope", "rse", "account", "text"),
    [
        (
            "",
            "IN2P3_RAW_DSIK",
            "root",
            'rules[0]: rse_expression: Rucio has no RSE "IN2P3_RAW_DSIK"; did you mean "IN2P3_RAW_DISK"?',
        ),
        ("", "IN2P3_RAW_DSK|SLAC_BUTLER_DSK", "root", 'Rucio has no RSE "IN2P3_RAW_DSK"; did you mean "IN2P3_RAW_DISK"?'),
        ("", "tier=nowhere", "root", 'rules[0]: rse_expression: no RSE matches "tier=nowhere"'),
        ("", "IN2P3_RAW_DISK", "rooot", 'rules[0]: account: Rucio has no account "rooot"; did you mean "root"?'),
        ("nosuchscope", "IN2P3_RAW_DISK", "root", 'Rucio has no scope "nosuchscope"'),
    ],
)
def test_names_that_rucio_does_not_have_are_reported_and_nothing_is_written_with_them(
    rucio_bench: Bench, fresh_scope: str, client: Any, scope: str, rse: str, account: str, text: str
) -> None:
    table = RULES.format(scope=scope or fresh_scope, rse=rse, account=account)
    state = rucio_bench.folder / "rucio.toml"
    state.write_text('[reconcile]\nversion = 1\n[rucio]\nrse = "IN2P3_RAW_DISK"\n' + table)
    assert text in rucio_bench.diff(state, 2)
    rucio_bench.apply(state, 2)
    if scope:
        assert scope not in client.list_scopes()
    else:
        assert list(client.list_did_rules(fresh_scope, "d")) == [], "the dataset is created, its rule is not added"


def test_an_rse_that_rucio_does_not_have_is_reported_before_anything_is_waited_for(
    comcam: Bench, world: World, fresh_scope: str, add_files: Callable[..., list[str]]
) -> None:
    comcam.environment |= world.environment()
    add_files(fresh_scope, "raws", 2)
    state = comcam.state(
        f'[raw."LSSTComCam/raw/all"]\ninstrument = "LSSTComCam"\nlocations = ["/data"]\ndelivered_by = ["{fresh_scope}:raws"]\n',
        rucio=True,
    )
    state.write_text(state.read_text().replace("IN2P3_RAW_DISK", "IN2P3_RAW_DSK"))
    output = comcam.diff(state, 1)
    assert 'rse of [rucio]: Rucio has no RSE "IN2P3_RAW_DSK"; did you mean "IN2P3_RAW_DISK"?' in output
