"""The stand-in observatory defines visits as obs_base does: again where they exist, with snaps, and with conflicts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from observing import Outcome, butler, edit_index, played_release, read_records

from reconciler.playground import campaign
from reconciler.playground.campaign import Exposure

NIGHT = 20241108
pytestmark = pytest.mark.usefixtures("stack")
SNAPS = [Exposure(NIGHT, 2, (2, 3)), Exposure(NIGHT, 3, (2, 3))]
"""Two exposures of one visit."""
OLD, NEW = "w.2025.20", "w.2026.26"


def ingest(repo: Path, folder: Path, *exposures: Exposure) -> None:
    for exposure in exposures:
        files = campaign.write_exposure(folder, exposure)[:-1]
        assert butler("ingest-raws", "--transfer", "direct", repo, *files).code == 0


def define(repo: Path, *words: object) -> Outcome:
    return butler("define-visits", repo, "LSSTComCam", *words)


def visits(repo: Path) -> dict[int, set[int]]:
    """Return the exposures of each visit."""
    found: dict[int, set[int]] = {}
    for record in read_records(repo, "visit_definition"):
        found.setdefault(record.visit, set()).add(record.exposure)
    return found


def systems(repo: Path) -> dict[int, set[int]]:
    """Return the visit systems of each visit."""
    found: dict[int, set[int]] = {}
    for record in read_records(repo, "visit_system_membership"):
        found.setdefault(record.visit, set()).add(record.visit_system)
    return found


def move_camera(monkeypatch: pytest.MonkeyPatch, millimetres: float = 0.001) -> None:
    monkeypatch.setenv("STANDIN_CAMERA_SHIFT", str(millimetres))


def test_exposures_of_the_sky_become_visits_with_regions_of_all_detectors(repo: Path, folder: Path, release: str) -> None:
    flat, sky = Exposure(NIGHT, 1), Exposure(NIGHT, 2)
    ingest(repo, folder, flat, sky)
    assert define(repo).code == 0
    assert visits(repo) == {sky.id: {sky.id}}
    assert systems(repo) == {sky.id: {0} if release == NEW else {0, 2}}
    (visit,) = read_records(repo, "visit")
    regions = [record.region for record in read_records(repo, "visit_detector_region")]
    assert len(regions) == 9
    assert all(visit.region.contains(region) for region in regions)


def test_visits_that_exist_are_computed_again_without_a_change(repo: Path, folder: Path, release: str) -> None:
    ingest(repo, folder, Exposure(NIGHT, 2))
    for _ in range(2):
        assert define(repo).code == 0
    assert len(visits(repo)) == 1


@pytest.mark.parametrize("names", [True, False])
def test_after_a_change_of_the_camera_no_later_visit_is_defined(
    repo: Path, folder: Path, release: str, names: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lsst.daf.butler.registry import ConflictingDefinitionError

    first, second = Exposure(NIGHT, 2), Exposure(NIGHT, 3)
    ingest(repo, folder, first)
    assert define(repo).code == 0
    move_camera(monkeypatch)
    ingest(repo, folder, second)
    where = ["--where", f"instrument = 'LSSTComCam' AND exposure IN ({second.id})"] if names else []
    outcome = define(repo, *where)
    if names:
        assert outcome.code == 0
        assert set(visits(repo)) == {first.id, second.id}
        return
    assert outcome.code == 1
    assert isinstance(outcome.error, ConflictingDefinitionError)
    assert "Conflict in sync for table visit" in str(outcome.error)
    assert f"visit {first.id}" in outcome.error.__notes__
    assert second.id not in visits(repo)


def test_a_visit_that_differs_is_updated_on_demand(
    repo: Path, folder: Path, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(repo, folder, Exposure(NIGHT, 2))
    assert define(repo).code == 0
    before = [record.region for record in read_records(repo, "visit_detector_region")]
    move_camera(monkeypatch)
    assert define(repo, "--update-records").code == 0
    after = [record.region for record in read_records(repo, "visit_detector_region")]
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert define(repo).code == 0


@pytest.mark.usefixtures("newest_release")
def test_a_visit_that_differs_is_passed_over_on_demand(repo: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Exposure(NIGHT, 2), Exposure(NIGHT, 3)
    ingest(repo, folder, first)
    assert define(repo).code == 0
    move_camera(monkeypatch)
    ingest(repo, folder, second)
    with played_release(OLD), pytest.raises(AssertionError, match="No such option"):
        define(repo, "--skip-conflicting")
    assert define(repo, "--skip-conflicting").code == 0
    assert set(visits(repo)) == {first.id, second.id}


@pytest.mark.usefixtures("newest_release")
def test_exposures_that_have_a_visit_are_left_out_on_demand(repo: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Exposure(NIGHT, 2), Exposure(NIGHT, 3)
    ingest(repo, folder, first)
    assert define(repo).code == 0
    move_camera(monkeypatch)
    ingest(repo, folder, second)
    assert define(repo, "--prefilter").code == 0
    assert set(visits(repo)) == {first.id, second.id}
    assert isinstance(define(repo, "--prefilter", "--update-records").error, TypeError)


@pytest.mark.usefixtures("newest_release")
def test_regions_that_are_missing_are_added_on_demand_only(repo: Path, folder: Path) -> None:
    exposure = Exposure(NIGHT, 2)
    ingest(repo, folder, exposure)
    assert define(repo).code == 0
    remove_region(repo, 4)
    assert define(repo).code == 0
    assert len(read_records(repo, "visit_detector_region")) == 8
    assert define(repo, "--check-detector-regions").code == 0
    assert len(read_records(repo, "visit_detector_region")) == 9


def remove_region(repo: Path, detector: int) -> None:
    import sqlite3

    with sqlite3.connect(repo / "gen3.sqlite3") as database:
        for table in ("visit_detector_region_htm7_overlap", "visit_detector_region"):
            known = database.execute("select 1 from sqlite_master where name = ?", (table,)).fetchone()
            if known:
                database.execute(f"delete from {table} where detector = ?", (detector,))


def test_the_older_release_makes_a_visit_of_snaps_and_one_of_each(repo: Path, folder: Path) -> None:
    first, second = SNAPS
    ingest(repo, folder, *SNAPS)
    with played_release(OLD):
        assert define(repo).code == 0
    both = {first.id, second.id}
    assert visits(repo) == {first.id: both, int(f"9{first.id}"): {first.id}, second.id: {second.id}}
    assert systems(repo) == {first.id: {2}, int(f"9{first.id}"): {0}, second.id: {0}}
    times = {record.id: record.exposure_time for record in read_records(repo, "visit")}
    assert times[first.id] == 60


def test_the_newer_release_makes_a_visit_of_each_exposure(repo: Path, folder: Path) -> None:
    ingest(repo, folder, *SNAPS)
    with played_release(NEW):
        assert define(repo).code == 0
    assert visits(repo) == {exposure.id: {exposure.id} for exposure in SNAPS}
    assert set(map(frozenset, systems(repo).values())) == {frozenset({0})}


def test_the_grouping_can_be_configured(
    repo: Path, folder: Path, tmp_path: Path, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(repo, folder, *SNAPS)
    configs = tmp_path / "configs"
    configs.mkdir()
    file = configs / "defineVisits.py"
    file.write_text('config.groupExposures = "one-to-one"\n')
    assert define(repo, "--config-file", file).code == 0
    assert len(visits(repo)) == 2
    file.write_text('config.groupExposures = "one-to-one-and-by-counter"\n')
    monkeypatch.setenv("STANDIN_CONFIGS", str(configs))
    assert define(repo, "--update-records").code == 0
    assert int(f"9{SNAPS[0].id}") in visits(repo)


@pytest.mark.parametrize("whole", [True, False])
def test_a_late_second_snap_needs_the_option_for_it(repo: Path, folder: Path, whole: bool) -> None:
    first, second = SNAPS
    ingest(repo, folder, first)
    with played_release(OLD):
        assert define(repo).code == 0
        assert visits(repo)[first.id] == {first.id}
        ingest(repo, folder, second)
        where = [] if whole else ["--where", f"instrument = 'LSSTComCam' AND exposure IN ({second.id})"]
        outcome = define(repo, *where)
        assert outcome.code == (1 if whole else 0)
        assert ("Conflict in sync for table visit" if whole else first.name) not in ("" if whole else str(outcome.error))
        assert visits(repo)[first.id] == {first.id}
        assert define(repo, "--incremental", *where).code == 0
    assert visits(repo)[first.id] == {first.id, second.id}
    times = {record.id: record.exposure_time for record in read_records(repo, "visit")}
    assert times[first.id] == 60


def test_a_second_snap_alone_makes_no_visit_of_both(repo: Path, folder: Path) -> None:
    ingest(repo, folder, SNAPS[1])
    with played_release(OLD):
        outcome = define(repo)
    assert outcome.code == 0
    assert SNAPS[1].name in outcome.text
    assert visits(repo) == {SNAPS[1].id: {SNAPS[1].id}}


def test_a_stored_camera_is_preferred_in_the_given_collections(repo: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert butler("write-curated-calibrations", repo, "LSSTComCam", "X").code == 0
    ingest(repo, folder, Exposure(NIGHT, 2))
    assert define(repo).code == 0
    move_camera(monkeypatch)
    assert define(repo, "--collections", "LSSTComCam/calib/X").code == 0
    assert define(repo, "--collections", "LSSTComCam/raw/all").code == 1


@pytest.mark.parametrize("version", [2, 6])
def test_visits_are_defined_in_older_dimension_universes(tmp_path: Path, folder: Path, version: int) -> None:
    from lsst.daf.butler import Butler, DimensionConfig
    from lsst.pipe.base import Instrument

    repo = tmp_path / "old"
    place = f"resource://lsst.daf.butler/configs/old_dimensions/daf_butler_universe{version}.yaml"
    Butler.makeRepo(str(repo), dimensionConfig=DimensionConfig(place))
    Instrument.from_string("lsst.obs.lsst.LsstComCam").register(Butler.from_config(str(repo), writeable=True).registry)
    exposure = Exposure(NIGHT, 2)
    campaign.write_exposure(folder, exposure)
    edit_index(folder / str(NIGHT) / exposure.name, lambda content: content["__COMMON__"].update(visit_id=exposure.id))
    outcome = butler("ingest-raws", "--transfer", "direct", repo, folder)
    assert outcome.code == 0, outcome.text
    outcome = define(repo)
    assert outcome.code == 0, outcome.error
    assert visits(repo) == {exposure.id: {exposure.id}}


def test_exposures_can_be_named_by_dates(repo: Path, folder: Path) -> None:
    exposures: list[Any] = [Exposure(NIGHT, 2), dataclasses.replace(Exposure(NIGHT, 2), night=NIGHT + 1)]
    ingest(repo, folder, *exposures)
    assert define(repo, "--where", f"instrument = 'LSSTComCam' AND exposure.day_obs = {NIGHT}").code == 0
    assert set(visits(repo)) == {exposures[0].id}
