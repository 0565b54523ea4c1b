"""Only exposures that lack a visit are given to define-visits, and what it can't define is named."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Bench
from observing import played_release, read_records

from reconciler.playground import campaign
from reconciler.playground.campaign import Exposure

NIGHT = 20241108
OLD, NEW = "w.2025.20", "w.2026.26"
RUN = "LSSTComCam/raw/all"
SNAPS = [Exposure(NIGHT, 2, (2, 3)), Exposure(NIGHT, 3, (2, 3))]
"""Two exposures of one visit."""
BY_COUNTER = "config.groupExposures = 'one-to-one-and-by-counter'\n"


@pytest.fixture(params=[OLD, NEW])
def comcam(request: pytest.FixtureRequest, empty_bench: Bench, comcam_template: Path) -> Iterator[Bench]:
    """A bench with the instrument registered, and the commands of a release of obs_base."""
    shutil.copytree(comcam_template, empty_bench.repo)
    with played_release(request.param):
        yield empty_bench


only_old = pytest.mark.parametrize("comcam", [OLD], indirect=True)


@pytest.fixture
def raws(comcam: Bench) -> Path:
    return comcam.folder / "raw" / "LSSTComCam"


def state(bench: Bench, raws: Path, more: str = "") -> Path:
    return bench.state(
        f'[raw."{RUN}"]\ninstrument = "LSSTComCam"\nlocations = ["{raws}"]\n'
        f"data_id = '(?P<obs_id>CC_[A-Z]_\\d{{8}}_\\d{{6}})_(?P<full_name>R\\d\\d_S\\d\\d)\\.fits'\n"
        f'[visits.LSSTComCam]\nraws = "{RUN}"\n{more}'
    )


def write(raws: Path, *exposures: Exposure) -> None:
    for exposure in exposures:
        campaign.write_exposure(raws, exposure)


def visits(bench: Bench) -> dict[int, set[int]]:
    """Return the exposures of each visit."""
    found: dict[int, set[int]] = {}
    for record in read_records(bench.repo, "visit_definition"):
        found.setdefault(record.visit, set()).add(record.exposure)
    return found


def regions(bench: Bench) -> dict[int, Any]:
    return {record.id: record.region for record in read_records(bench.repo, "visit")}


def move_camera(bench: Bench) -> None:
    bench.environment["STANDIN_CAMERA_SHIFT"] = "0.001"


def test_after_the_camera_moved_by_a_thousandth_of_a_millimetre_later_exposures_get_visits_and_earlier_visits_stay(
    comcam: Bench, raws: Path
) -> None:
    write(raws, Exposure(NIGHT, 2), Exposure(NIGHT, 3))
    comcam.apply_and_check(state(comcam, raws))
    before = regions(comcam)
    move_camera(comcam)
    write(raws, Exposure(NIGHT, 4), Exposure(NIGHT + 1, 2))
    comcam.apply_and_check(state(comcam, raws))
    after = regions(comcam)
    assert len(after) == 4
    assert {visit: after[visit] for visit in before} == before


def test_the_script_names_the_exposures_that_lack_a_visit(comcam: Bench, raws: Path) -> None:
    write(raws, *(Exposure(NIGHT, sequence) for sequence in (2, 3)))
    comcam.apply(state(comcam, raws))
    write(raws, *(Exposure(NIGHT, sequence) for sequence in (4, 6, 7, 8, 10)))
    comcam.apply(state(comcam, raws), 0, "--only", "raw.*")
    script = comcam.run("diff", state(comcam, raws), "--format", "shell", expect=2).output
    assert "exposure IN (2024110800004, 2024110800006..2024110800008, 2024110800010)" in script


@only_old
def test_a_late_second_snap_is_added_to_the_visit_of_the_first(comcam: Bench, raws: Path) -> None:
    write(raws, SNAPS[0], Exposure(NIGHT, 4))
    comcam.apply_and_check(state(comcam, raws))
    first, second = (exposure.id for exposure in SNAPS)
    assert visits(comcam)[first] == {first}
    other = regions(comcam)[Exposure(NIGHT, 4).id]
    move_camera(comcam)
    write(raws, SNAPS[1])
    comcam.apply(state(comcam, raws), 0, "--only", "raw.*")
    output = comcam.diff(state(comcam, raws), 2)
    assert f"{second}   no visit of one-to-one, by-seq-start-end" in output
    comcam.apply_and_check(state(comcam, raws))
    assert visits(comcam)[first] == {first, second}
    assert visits(comcam)[second] == {second}
    assert regions(comcam)[Exposure(NIGHT, 4).id] == other, "a visit of another exposure isn't computed again"


@only_old
def test_a_visit_without_one_of_its_snaps_is_noticed_although_the_numbers_agree(comcam: Bench, raws: Path) -> None:
    write(raws, *SNAPS)
    comcam.apply_and_check(state(comcam, raws))
    first, second = (exposure.id for exposure in SNAPS)
    assert visits(comcam) == {first: {first, second}, second: {second}, int(f"9{first}"): {first}}
    with sqlite3.connect(comcam.repo / "gen3.sqlite3") as database:
        database.execute("delete from visit_definition where visit = ? and exposure = ?", (first, second))
    assert f"{second}   no visit of by-seq-start-end" in comcam.diff(state(comcam, raws), 2)


def test_visits_of_all_systems_of_a_table_are_asked_for(comcam: Bench, raws: Path) -> None:
    write(raws, Exposure(NIGHT, 2))
    comcam.apply_and_check(state(comcam, raws, 'visit_systems = ["one-to-one"]\n'))
    more = state(comcam, raws, 'visit_systems = ["one-to-one", "by-group-metadata"]\n')
    output = comcam.apply(more, 1)
    assert f"1 exposure still lacks a visit: {Exposure(NIGHT, 2).id}" in output
    assert "define-visits made none in by-group-metadata" in output
    assert "other values" not in output


def test_a_visit_that_exists_with_other_values_is_named_with_what_the_options_do(comcam: Bench, raws: Path) -> None:
    write(raws, Exposure(NIGHT, 2), Exposure(NIGHT, 3), Exposure(NIGHT, 4))
    comcam.apply(state(comcam, raws), 0, "--only", "raw.*")
    add_visit(comcam.butler, Exposure(NIGHT, 3))
    output = comcam.apply(state(comcam, raws), 1)
    assert f"1 exposure still lacks a visit: {Exposure(NIGHT, 3).id}" in output
    assert f"1 visit exists with other values than define-visits computes now: {Exposure(NIGHT, 3).id}" in output
    assert "--update-records overwrites their times and regions: butler define-visits" in output
    assert "--skip-conflicting" in output
    assert {Exposure(NIGHT, 2).id, Exposure(NIGHT, 4).id} <= visits(comcam).keys(), "the others are defined"


def add_visit(butler: Any, exposure: Exposure) -> None:
    """Add the record of a visit that lacks its exposure and has no region."""
    record = {
        "instrument": "LSSTComCam", "id": exposure.id, "name": exposure.name, "day_obs": exposure.night, "seq_num": 3,
        "physical_filter": "g_01", "exposure_time": 1.0, "target_name": "elsewhere", "observation_reason": "science",
        "science_program": "x",
    }  # fmt: skip
    butler.registry.insertDimensionData("visit", record)


@pytest.mark.parametrize("version", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("words", [(), ("--quick",)])
def test_visits_are_defined_in_repositories_of_older_dimension_universes(
    empty_bench: Bench, version: int, words: tuple[str, ...]
) -> None:
    from lsst.daf.butler import Butler, DimensionConfig

    config = DimensionConfig(f"resource://lsst.daf.butler/configs/old_dimensions/daf_butler_universe{version}.yaml")
    Butler.makeRepo(str(empty_bench.repo), dimensionConfig=config)
    raws = empty_bench.folder / "raw" / "LSSTComCam"
    write(raws, Exposure(NIGHT, 1), Exposure(NIGHT, 2), Exposure(NIGHT, 3))
    text = state(empty_bench, raws, '[instrument.LSSTComCam]\nclass = "lsst.obs.lsst.LsstComCam"\n')
    empty_bench.apply_and_check(text)
    write(raws, Exposure(NIGHT, 4))
    empty_bench.apply_and_check(text)
    assert "is in sync" in empty_bench.diff(text, 0, *words)
    assert len(visits(empty_bench)) >= 3
