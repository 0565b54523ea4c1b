"""The stand-in observatory writes calibrations and sky maps as obs_base and skymap do, and can break half-way as they do."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from observing import Outcome, butler

from reconciler.playground.world import OBSERVATORY

pytestmark = pytest.mark.usefixtures("stack")
BROKEN = "comCam/crosstalk/r22_s11/19700101T000000.yaml"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the data package of the instrument."""
    shutil.copytree(OBSERVATORY / "obs_lsst_data", tmp_path / "obs_lsst_data")
    monkeypatch.setenv("OBS_LSST_DATA_DIR", str(tmp_path / "obs_lsst_data"))
    return tmp_path / "obs_lsst_data"


def open_repository(repo: Path) -> Any:
    from lsst.daf.butler import Butler

    return Butler.from_config(str(repo))


def write(repo: Path, *words: object) -> Outcome:
    return butler("write-curated-calibrations", repo, "LSSTComCam", *words)


def certified(repo: Path, collection: str) -> dict[str, list[Any]]:
    """Return the timespans of what a collection has, by dataset type."""
    found = open_repository(repo)
    types = found.collections.get_info(collection, include_summary=True).dataset_types
    return {
        name: [its.timespan for its in found.registry.queryDatasetAssociations(name, [collection])]
        for name in types
    }  # fmt: skip


def test_all_types_of_the_data_package_are_written(repo: Path) -> None:
    assert write(repo, "--label", "DM-1").code == 0
    found = open_repository(repo)
    assert set(found.collections.query("LSSTComCam/calib*")) == {
        "LSSTComCam/calib/DM-1",
        "LSSTComCam/calib/DM-1/unbounded",
        "LSSTComCam/calib/DM-1/curated/19700101T000000Z",
    }
    counts = {name: len(spans) for name, spans in certified(repo, "LSSTComCam/calib/DM-1").items()}
    assert counts == {"camera": 1, "crosstalk": 9, "defects": 9}


def test_the_instrument_names_the_types_that_its_package_has(package: Path) -> None:
    from lsst.obs.lsst import LsstComCam

    assert LsstComCam.getCuratedCalibrationNames() == {"camera", "crosstalk", "defects"}
    shutil.copytree(package / "comCam" / "defects", package / "comCam" / "bfk")
    assert "bfk" in LsstComCam.getCuratedCalibrationNames()


def test_a_file_is_valid_until_the_next_one(repo: Path, package: Path) -> None:
    folder = package / "comCam" / "defects" / "r22_s00"
    text = (folder / "19700101T000000.yaml").read_text()
    (folder / "20241101T000000.yaml").write_text(text.replace("1970-01-01", "2024-11-01"))
    assert write(repo, "DM-1").code == 0
    spans = certified(repo, "LSSTComCam/calib/DM-1")["defects"]
    assert len(spans) == 10
    assert len([span for span in spans if span.end is None]) == 9
    assert "LSSTComCam/calib/DM-1/curated/20241101T000000Z" in open_repository(repo).collections.query("*")


@pytest.mark.parametrize("missing", ["INSTRUME", "DETECTOR", "CALIBDATE"])
def test_a_broken_file_leaves_the_camera_alone_certified(repo: Path, package: Path, missing: str) -> None:
    lines = (package / BROKEN).read_text().splitlines(keepends=True)
    (package / BROKEN).write_text("".join(line for line in lines if not line.startswith(missing)))
    outcome = write(repo, "--label", "DM-1")
    assert outcome.code == 1
    assert isinstance(outcome.cause, KeyError)
    assert set(certified(repo, "LSSTComCam/calib/DM-1")) == {"camera"}
    (package / BROKEN).write_text("".join(lines))
    again = write(repo, "--label", "DM-1")
    assert again.code == 1, "the camera is there already"


def test_types_before_the_broken_one_are_whole(repo: Path, package: Path) -> None:
    path = package / BROKEN.replace("crosstalk", "defects")
    path.write_text("OBSTYPE: defects\n")
    assert write(repo, "--label", "DM-1").code == 1
    assert set(certified(repo, "LSSTComCam/calib/DM-1")) == {"camera", "crosstalk"}


def test_without_a_label_a_collection_is_needed(repo: Path) -> None:
    outcome = write(repo)
    assert outcome.code == 1
    assert isinstance(outcome.error, ValueError)
    assert write(repo, "--collection", "mine").code == 0
    assert set(open_repository(repo).collections.query("*calib*")) == {
        "LSSTComCam/calib/unbounded",
        "LSSTComCam/calib/curated/19700101T000000Z",
    }
    assert set(certified(repo, "mine")) == {"camera", "crosstalk", "defects"}


def test_the_runs_follow_the_labels_whatever_the_collection_is(repo: Path) -> None:
    assert write(repo, "DM-1", "--label", "again", "--collection", "mine").code == 0
    assert "LSSTComCam/calib/DM-1/again/unbounded" in open_repository(repo).collections.query("*")


def test_a_prefix_stands_in_place_of_the_instrument(repo: Path) -> None:
    assert write(repo, "DM-1", "--prefix", "u/me").code == 0
    assert "u/me/calib/DM-1/unbounded" in open_repository(repo).collections.query("*")


def register_skymap(repo: Path, folder: Path, name: str = "rings", rings: int = 3) -> Outcome:
    config = folder / "skymap.py"
    config.write_text(f'config.name = "{name}"\nconfig.skyMap = "rings"\nconfig.skyMap["rings"].numRings = {rings}\n')
    return butler("register-skymap", "--config-file", config, repo)


def test_a_sky_map_is_registered_once(repo: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert register_skymap(repo, tmp_path).code == 0
    found = open_repository(repo)
    assert len(found.query_datasets("skyMap", "skymaps")) == 1
    assert found.registry.queryDimensionRecords("tract").count() == 3


def test_a_sky_map_whose_dataset_was_removed_is_not_repaired(repo: Path, tmp_path: Path) -> None:
    from lsst.daf.butler import Butler

    assert register_skymap(repo, tmp_path).code == 0
    found = Butler.from_config(str(repo), writeable=True)
    found.pruneDatasets(found.query_datasets("skyMap", "skymaps"), disassociate=True, unstore=True, purge=True)
    assert register_skymap(repo, tmp_path).code == 0
    assert not open_repository(repo).query_datasets("skyMap", "skymaps", explain=False)


@pytest.mark.parametrize(("name", "rings"), [("rings", 4), ("other", 3)])
def test_another_sky_map_of_the_name_or_another_name_of_the_map_is_a_conflict(
    repo: Path, tmp_path: Path, name: str, rings: int
) -> None:
    from lsst.daf.butler.registry import ConflictingDefinitionError

    assert register_skymap(repo, tmp_path).code == 0
    outcome = register_skymap(repo, tmp_path, name, rings)
    assert outcome.code == 1
    assert isinstance(outcome.error, ConflictingDefinitionError | sqlite3.IntegrityError)


def test_a_configuration_without_a_name_is_an_error(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "skymap.py").write_text('config.skyMap = "rings"\n')
    outcome = butler("register-skymap", "--config-file", tmp_path / "skymap.py", repo)
    assert outcome.code == 1
    assert isinstance(outcome.error, ValueError)
