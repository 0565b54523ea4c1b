"""The playground has nights of LSSTCam, whose raws are zips of exposures, as lsst-dm/transfer_embargo delivers them."""

from __future__ import annotations

import os
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import make_repository
from observing import butler as run_butler

from reconciler.kinds.shared.nights import resolve_nights
from reconciler.playground import catalog, embargo, lsstcam, mover
from reconciler.playground.lsstcam_exposures import Exposure, list_exposures, list_nights
from reconciler.playground.up import down, up
from reconciler.playground.world import IN2P3, SLAC, Sizes, World

SIZES = Sizes(nights=1, exposures=1, shards=1, lsstcam_nights=2, lsstcam_exposures=4, lsstcam_detectors=3)


@pytest.fixture
def cam_template(tmp_path: Path) -> Path:
    """An empty repository in which the instrument is registered."""
    return make_repository(tmp_path / "cam", instrument="lsst.obs.lsst.LsstCam")


@pytest.fixture
def offline(tmp_path: Path) -> World:
    """A playground without services, in which zips are written."""
    world = World(tmp_path / "offline")
    world.root.mkdir()
    world.set_sizes(SIZES)
    return world


def ingest(repo: Path, folder: Path, exposures: list[Exposure]) -> Any:
    """Ingest zips as an operator does, and return the Butler."""
    from lsst.daf.butler import Butler, DatasetType

    butler = Butler.from_config(str(repo), writeable=True)
    for name, storage_class in (("raw", "Exposure"), ("guider_raw", "Stamps")):
        # ingest_zip of lsst-daf-butler 29 can't register dataset types, because it does all in a transaction.
        dimensions = ("instrument", "exposure", "detector")
        butler.registry.registerDatasetType(DatasetType(name, dimensions, storage_class, universe=butler.dimensions))
    for exposure in exposures:
        butler.import_(filename=str(folder / exposure.dimensions_path), format="yaml", transfer=None)
        butler.ingest_zip(str(folder / exposure.zip_path), transfer="direct")
    return butler


def test_every_detector_of_the_instrument_has_its_name_and_its_purpose(cam_template: Path) -> None:
    from lsst.daf.butler import Butler

    butler = Butler.from_config(str(cam_template))
    detectors = {record.id: record for record in butler.query_dimension_records("detector", instrument="LSSTCam")}
    science = sorted(number for number, record in detectors.items() if record.purpose == "SCIENCE")
    assert science == list(range(189))
    assert (detectors[0].full_name, detectors[94].full_name, detectors[188].full_name) == ("R01_S00", "R22_S11", "R43_S22")
    assert {record.full_name for record in detectors.values() if record.purpose == "GUIDER"} == {
        f"{raft}_{slot}" for raft in ("R00", "R04", "R40", "R44") for slot in ("SG0", "SG1")
    }


def test_nights_end_with_the_last_complete_one_and_stay_when_the_clock_goes_on(
    offline: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.playground import lsstcam_exposures

    monkeypatch.setattr(lsstcam_exposures, "find_running_night", lambda: 20260301)
    assert list_nights(offline) == [20260227, 20260228]
    assert all(night in resolve_nights("last 3", 20260301) for night in list_nights(offline))
    monkeypatch.setattr(lsstcam_exposures, "find_running_night", lambda: 20260305)
    assert list_nights(offline) == [20260227, 20260228]


def test_without_nights_nothing_is_recorded_or_made(offline: World) -> None:
    offline.set_sizes(Sizes())
    assert list_exposures(offline) == []
    assert "lsstcam_last_night" not in offline.read_record()


def test_a_zip_has_the_raws_of_an_exposure_and_sometimes_guiders(offline: World) -> None:
    from lsst.daf.butler.datastores.file_datastore.retrieve_artifacts import ZipIndex
    from lsst.resources import ResourcePath

    exposures = [Exposure(20260227, 2, 3), Exposure(20260227, 3, 3)]
    embargo.write_zips(offline, exposures)
    files = []
    for exposure in exposures:
        path = offline.storage(SLAC) / "raw" / exposure.zip_path
        index = ZipIndex.from_zip_file(ResourcePath(str(path)))
        with zipfile.ZipFile(path) as content:
            assert set(index.artifact_map) == set(content.namelist()) - {"_butler_zip_index.json"}
        files.append(sorted(name.partition("-")[2] for name in index.artifact_map))
    raws = [[f"{exposure.name}_R01_S0{number}.fits" for number in range(3)] for exposure in exposures]
    guiders = [f"{exposures[1].name}_R00_SG{number}_guider.fits" for number in range(2)]
    assert files == [raws[0], guiders + raws[1]]


def test_zips_can_be_ingested_into_an_empty_repository(offline: World, cam_template: Path, tmp_path: Path) -> None:
    exposures = [Exposure(20260227, sequence, 3) for sequence in range(1, 5)]
    embargo.write_zips(offline, exposures)
    butler = ingest(cam_template, offline.storage(SLAC) / "raw", exposures)
    raws = butler.query_datasets("raw", collections="LSSTCam/raw/all")
    assert sorted((ref.dataId["exposure"], ref.dataId["detector"]) for ref in raws) == [
        (exposure.id, detector) for exposure in exposures for detector in range(3)
    ]
    guiders = butler.query_datasets("guider_raw", collections="LSSTCam/raw/guider")
    assert sorted((ref.dataId["exposure"], ref.dataId["detector"]) for ref in guiders) == [
        (2026022700003, 189),
        (2026022700003, 190),
    ]
    uri = butler.getURI(raws[0])
    assert uri.fragment.startswith(f"zip-path={str(raws[0].id)[:8]}-MC_O_20260227_")
    (tmp_path / "unpacked").mkdir()
    (unpacked,) = butler.retrieveArtifacts([raws[0]], tmp_path / "unpacked", transfer="copy", preserve_path=False)
    assert unpacked.read().startswith(b"made-up pixels of MC_O_20260227_")
    records = butler.query_dimension_records("exposure", instrument="LSSTCam", order_by="exposure")
    assert [(record.obs_id, record.can_see_sky) for record in records] == [
        (exposure.name, exposure.is_science) for exposure in exposures
    ]
    visits = butler.query_dimension_records("visit", instrument="LSSTCam", order_by="visit")
    assert [visit.id for visit in visits] == [exposure.id for exposure in exposures if exposure.is_science]


def test_every_playground_has_the_same_datasets(offline: World, tmp_path: Path) -> None:
    from lsst.daf.butler import Butler

    exposure = Exposure(20260227, 3, 2)
    ids = []
    for world in (offline, World(tmp_path / "other")):
        embargo.write_zips(world, [exposure])
        butler = Butler.from_config(str(world.embargo))
        ids.append(
            {
                ref.id
                for name in ("raw", "guider_raw")
                for ref in butler.query_datasets(name, collections=["LSSTCam/raw/all", "LSSTCam/raw/guider"])
            }
        )
    assert ids[0] == ids[1]
    assert len(ids[0]) == 4


def test_what_was_interrupted_is_completed_and_what_exists_is_left(offline: World) -> None:
    exposures = [Exposure(20260227, sequence, 2) for sequence in (2, 3)]
    embargo.write_zips(offline, exposures)
    folder = offline.storage(SLAC) / "raw"
    (folder / exposures[0].zip_path).unlink()
    (folder / exposures[0].dimensions_path).unlink()
    before = (folder / exposures[1].zip_path).stat().st_mtime_ns
    embargo.write_zips(offline, exposures)
    assert zipfile.is_zipfile(folder / exposures[0].zip_path)
    assert (folder / exposures[1].zip_path).stat().st_mtime_ns == before


def names_of(client: Any, scope: str) -> set[str]:
    return set(client.list_dids(scope, [{"name": "Dataset/LSSTCam/*"}], did_type="dataset"))


def files_of(client: Any, scope: str, name: str) -> set[str]:
    return {found["name"] for found in client.list_content(scope, name)}


def test_a_late_exposure_is_registered_and_waits_for_its_delivery(world: World, client: Any, fresh_scope: str) -> None:
    night, base = 20260227, "Dataset/LSSTCam/raw"
    (first,) = lsstcam.make_night(world, night, [2], n_detectors=2, scope=fresh_scope)
    assert names_of(client, fresh_scope) == {
        f"{base}/Tract9813/{night}",
        f"{base}/Tract9814/{night}",
        f"{base}/Obs/{night}/{first.name}",
    }
    assert deliver(world, client, fresh_scope) == {first.zip_path, first.dimensions_path}
    (late,) = lsstcam.make_night(world, night, [3], n_detectors=2, scope=fresh_scope)
    assert files_of(client, fresh_scope, f"{base}/Tract9814/{night}") == {first.zip_path, first.dimensions_path}
    assert files_of(client, fresh_scope, f"{base}/Tract9813/{night}") == {
        path for one in (first, late) for path in (one.zip_path, one.dimensions_path)
    }
    assert not (world.storage(IN2P3) / fresh_scope / late.zip_path).exists()
    assert deliver(world, client, fresh_scope) == {late.zip_path, late.dimensions_path}
    again = lsstcam.make_night(world, night, [2, 3], n_detectors=2, scope=fresh_scope)
    assert again == [first, late]
    assert deliver(world, client, fresh_scope) == set()


def deliver(world: World, client: Any, scope: str) -> set[str]:
    """Deliver, and return the files of the scope that arrived."""
    root = world.storage(IN2P3) / scope
    before = set(root.rglob("*.*"))
    mover.deliver(client, world, scope)
    return {str(path.relative_to(root)) for path in set(root.rglob("*.*")) - before}


@pytest.fixture(scope="module")
def playground(worlds: Path) -> Iterator[World]:
    """A playground with two nights of LSSTCam, without a mover."""
    inherited = dict(os.environ)
    world = World(worlds / f"lsstcam-{os.getpid()}")
    up(world, SIZES, mover=False, say=lambda text: None)
    yield world
    down(world)
    os.environ.clear()
    os.environ.update(inherited)


@pytest.mark.slow
class TestPlayground:
    """All tests share one playground, so they run in one process."""

    def test_the_zips_of_all_nights_are_registered_with_their_metadata(self, playground: World) -> None:
        client = catalog.connect(playground)
        exposures = list_exposures(playground)
        assert len(exposures) == 8
        for exposure in exposures:
            path = playground.storage(SLAC) / "raw" / exposure.zip_path
            did = client.get_metadata("raw", exposure.zip_path)
            assert (did["bytes"], did["adler32"]) == (path.stat().st_size, mover.adler32(path))
            assert client.get_metadata("raw", exposure.zip_path, plugin="JSON") == {"rubin_butler": "zip_file"}
            assert client.get_metadata("raw", exposure.dimensions_path, plugin="JSON") == {}

    def test_each_exposure_is_in_the_datasets_of_its_tracts_and_in_its_own(self, playground: World) -> None:
        client = catalog.connect(playground)
        base = "Dataset/LSSTCam/raw"
        exposures = {exposure.name: {exposure.zip_path, exposure.dimensions_path} for exposure in list_exposures(playground)}
        expected: dict[str, set[str]] = {}
        for night in list_nights(playground):
            flat, both, one, both_again = (f"MC_O_{night}_{sequence:06d}" for sequence in range(1, 5))
            expected[f"{base}/NoTract/{night}"] = exposures[flat]
            expected[f"{base}/Tract9813/{night}"] = exposures[both] | exposures[one] | exposures[both_again]
            expected[f"{base}/Tract9814/{night}"] = exposures[both] | exposures[both_again]
            expected |= {f"{base}/Obs/{night}/{name}": exposures[name] for name in (flat, both, one, both_again)}
        assert {name: files_of(client, "raw", name) for name in names_of(client, "raw")} == expected

    def test_the_datasets_of_exposures_are_closed_and_those_of_tracts_stay_open(self, playground: World) -> None:
        client = catalog.connect(playground)
        for name in names_of(client, "raw"):
            did = client.get_metadata("raw", name)
            own = "/Obs/" in name
            assert (did["is_open"], did["monotonic"]) == (not own, True), name
            archive = {"arcBackup": "SLAC_RAW_DISK_BKUP:need", "SafeCopies": ""}
            assert client.get_metadata("raw", name, plugin="JSON") == (archive if own else {})

    def test_rules_require_copies_of_the_tracts_and_the_calibrations(self, playground: World) -> None:
        client = catalog.connect(playground)
        rules = [rule for rule in client.list_replication_rules({"scope": "raw"}) if "LSSTCam" in rule["name"]]
        assert sorted(rule["name"] for rule in rules) == sorted(name for name in names_of(client, "raw") if "/Obs/" not in name)
        assert {rule["rse_expression"] for rule in rules} == {IN2P3}

    def test_the_variables_describe_the_repository_to_build(self, playground: World) -> None:
        values = tomllib.loads(playground.lsstcam_site.read_text())
        assert values == {
            "repo": str(playground.root / "butler" / "lsstcam"),
            "seed": str(playground.inputs / "butler-seed_lsstcam.yaml"),
            "data": str(playground.storage(IN2P3)),
        }

    def test_delivered_zips_can_be_ingested_into_the_repository_to_build(self, playground: World) -> None:
        from lsst.daf.butler import Butler, Config

        client = catalog.connect(playground)
        assert mover.deliver(client, playground)["failed"] == 0
        values = tomllib.loads(playground.lsstcam_site.read_text())
        Butler.makeRepo(values["repo"], config=Config(values["seed"]), forceConfigRoot=False)
        assert run_butler("register-instrument", values["repo"], "lsst.obs.lsst.LsstCam").code == 0
        butler = ingest(Path(values["repo"]), Path(values["data"]) / "raw", list_exposures(playground))
        assert len(butler.query_datasets("raw", collections="LSSTCam/raw/all")) == 24

    def test_starting_it_again_changes_nothing(self, playground: World) -> None:
        client = catalog.connect(playground)

        def snapshot() -> Any:
            files = {path: path.stat().st_mtime_ns for path in playground.storage(SLAC).rglob("*") if path.is_file()}
            rules = sorted(rule["id"] for rule in client.list_replication_rules({"scope": "raw"}))
            return files, names_of(client, "raw"), rules, playground.read_record()["lsstcam_last_night"]

        before = snapshot()
        up(playground, Sizes(lsstcam_nights=9), mover=False, say=lambda text: None)
        assert snapshot() == before
        lsstcam.register(client, playground, list_exposures(playground))
        assert snapshot() == before
