"""Curated calibrations that are written half-way are noticed, and their collections have the names of the instrument."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import Bench

from reconciler.playground.world import OBSERVATORY

CROSSTALK = "comCam/crosstalk/r22_s11/19700101T000000.yaml"


@pytest.fixture
def comcam(empty_bench: Bench, comcam_template: Path) -> Bench:
    shutil.copytree(comcam_template, empty_bench.repo)
    return empty_bench


@pytest.fixture
def package(comcam: Bench) -> Path:
    """A copy of the data package of the instrument."""
    folder = comcam.folder / "obs_lsst_data"
    shutil.copytree(OBSERVATORY / "obs_lsst_data", folder)
    comcam.environment["OBS_LSST_DATA_DIR"] = str(folder)
    return folder


def state(bench: Bench, collection: str, more: str = 'label = "X"\n', instrument: str = "lsst.obs.lsst.LsstComCam") -> Path:
    return bench.state(f'[curated_calibrations."{collection}"]\ninstrument = "{instrument}"\n{more}')


def test_a_crosstalk_file_that_cannot_be_read_leaves_a_half_written_set_that_is_reported(comcam: Bench, package: Path) -> None:
    (package / CROSSTALK).write_text("{}")
    text = state(comcam, "LSSTComCam/calib/X")
    output = comcam.apply(text, 1)
    assert "butler write-curated-calibrations: KeyError: " in output
    for words in ((), ("--deep",)):
        output = comcam.diff(text, 2, *words)
        assert "no datasets of crosstalk" in output
        assert "remove LSSTComCam/calib/X/unbounded" in output
    again = comcam.apply(text, 2)
    assert "changed 0" in again


def test_all_types_that_the_instrument_names_are_written(comcam: Bench) -> None:
    comcam.apply_and_check(state(comcam, "LSSTComCam/calib/X"))
    types = comcam.butler.collections.get_info("LSSTComCam/calib/X", include_summary=True).dataset_types
    assert set(types) == {"camera", "crosstalk", "defects"}


@pytest.mark.parametrize("instrument", ["LSSTComCam", "lsst.obs.lsst.LsstComCam"])
@pytest.mark.parametrize(
    ("collection", "more", "folder"),
    [
        ("LSSTComCam/calib/X", 'label = "X"\n', "LSSTComCam/calib/X"),
        ("LSSTComCam/calib", "", "LSSTComCam/calib"),
        ("u/me/calib/X", 'label = "X"\n', "LSSTComCam/calib/X"),
        ("Other/calib/X", 'label = "X"\n', "LSSTComCam/calib/X"),
        ("u/me/calib", "", "LSSTComCam/calib"),
    ],
)
def test_run_collections_have_the_names_of_the_instrument_and_its_label(
    comcam: Bench, collection: str, more: str, folder: str, instrument: str
) -> None:
    comcam.apply_and_check(state(comcam, collection, more, instrument))
    assert set(comcam.butler.collections.query("*")) == {
        collection,
        f"{folder}/unbounded",
        f"{folder}/curated/19700101T000000Z",
    }


def test_what_was_written_under_another_label_is_not_said_to_be_removed_from_nowhere(comcam: Bench) -> None:
    comcam.apply_and_check(state(comcam, "LSSTComCam/calib/X"))
    output = comcam.diff(state(comcam, "LSSTComCam/calib/X", 'label = "Y"\n'), 2)
    assert "no datasets of camera, crosstalk, defects were written" in output
    assert "remove " not in output
    assert "butler decertify-calibrations removes that from LSSTComCam/calib/X" in output
