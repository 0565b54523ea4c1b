"""Raws that are delivered as zips of exposures are ingested, and everything that is wrong with one is named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from conftest import Bench
from zip_nights import FIRST, GUIDERS, RUN, SECOND, ZipNights, truncate, without_index

from reconciler.playground.world import World
from reconciler.systems import storage


@pytest.fixture
def nights(bench: Bench, world: World, client: Any, fresh_scope: str, stack: None) -> ZipNights:
    """Two nights, delivered and not ingested yet."""
    return ZipNights.of_two_nights(bench, world, client, fresh_scope)


@pytest.fixture
def state(nights: ZipNights) -> Path:
    """A state that is in sync."""
    state = nights.state()
    nights.bench.apply_and_check(state)
    return state


def test_zips_are_ingested_as_they_are_with_the_records_of_their_exposures(nights: ZipNights) -> None:
    state = nights.state()
    output = nights.bench.diff(state, 2)
    assert "missing: 6 exposures" in output
    nights.bench.apply_and_check(state)
    butler = nights.bench.butler
    assert len(butler.query_datasets("raw", RUN)) == 18
    assert len(butler.query_datasets("guider_raw", GUIDERS)) == 4
    first = nights.exposures[0]
    places = [str(butler.getURI(ref)) for ref in nights.refs(first)]
    assert all(place.startswith(f"file://{nights.place(first)}#zip-path=") for place in places)


@pytest.mark.parametrize("name", [RUN, GUIDERS])
def test_zips_are_not_ingested_into_a_name_that_another_type_of_collection_has(nights: ZipNights, name: str) -> None:
    from lsst.daf.butler import CollectionType

    nights.bench.butler.collections.register(name, CollectionType.CHAINED)
    taken = "the name is taken by a CHAINED collection"
    assert taken in nights.bench.diff(nights.state(), 1)
    assert taken in nights.bench.apply(nights.state(), 1)
    assert list(nights.bench.butler.collections.query("LSSTCam/raw/*")) == [name]


def test_a_zip_in_the_datasets_of_two_tracts_is_one_zip(nights: ZipNights) -> None:
    twice = next(exposure for exposure in nights.exposures if len(exposure.tracts) == 2)
    nights.bench.apply_and_check(nights.state())
    nights.remove([*nights.refs(twice), *nights.refs(twice, "guider_raw", GUIDERS)])
    output = nights.bench.diff(nights.state(), 2)
    assert output.count(twice.name) == 1
    assert "exposures: 1 of 6 missing" in output


def test_a_zip_that_is_missing_is_named(nights: ZipNights, state: Path) -> None:
    lost = nights.exposures[1]
    nights.place(lost).unlink()
    output = nights.bench.diff(state, 2)
    assert f"{FIRST}  {lost.name}  is missing" in output
    assert "1 zip of ingested exposures can't be used" in output


def test_a_truncated_zip_is_named_and_the_others_are_ingested(nights: ZipNights) -> None:
    broken = nights.exposures[4]
    truncate(nights.place(broken))
    state = nights.state()
    output = nights.bench.diff(state, 2)
    assert f"{SECOND}  {broken.name}  is no intact zip; was it truncated?" in output
    assert "1 zip can't be ingested" in output
    nights.bench.apply(state, 2)
    assert len(nights.bench.butler.query_datasets("raw", RUN)) == 15
    nights.deliver([broken])
    nights.bench.apply_and_check(state)


def test_a_zip_that_is_another_one_is_not_ingested_under_its_name(nights: ZipNights) -> None:
    mine, other = nights.exposures[0], nights.exposures[1]
    nights.place(mine).write_bytes(nights.place(other).read_bytes())
    state = nights.state()
    output = nights.bench.diff(state, 2)
    assert f"{mine.name}  contains datasets of exposure {other.id}, which isn't {mine.name}" in output
    nights.bench.apply(state, 2)
    assert nights.refs(mine) == []
    assert len(nights.refs(other)) == 3
    assert f"{mine.name}  contains datasets of {other.name}" in nights.bench.diff(state, 2)


def test_a_zip_that_was_replaced_after_its_ingest_is_named(nights: ZipNights, state: Path) -> None:
    mine, other = nights.exposures[0], nights.exposures[1]
    nights.place(mine).write_bytes(nights.place(other).read_bytes())
    for words in ((), ("--deep",)):
        assert f"{mine.name}  contains datasets of {other.name}" in nights.bench.diff(state, 2, *words)


def test_a_zip_without_an_index_is_named(nights: ZipNights) -> None:
    without_index(nights.place(nights.exposures[0]))
    output = nights.bench.diff(nights.state(), 2)
    assert "has no _butler_zip_index.json, so it isn't a zip of datasets" in output


def test_a_zip_without_records_is_named(nights: ZipNights) -> None:
    bare = nights.exposures[3]
    nights.detach(bare, bare.dimensions_path)
    state = nights.state()
    output = nights.bench.diff(state, 2)
    assert "Rucio has no dimension records OBS_ID_dimensions.yaml next to it" in output
    assert f"{SECOND}  {bare.name}" in output
    nights.bench.apply(state, 2)
    assert nights.refs(bare) == []


def test_records_that_are_not_those_of_the_exposure_are_named(nights: ZipNights) -> None:
    mine, other = nights.exposures[0], nights.exposures[1]
    records = nights.place(mine).with_name(f"{mine.name}_dimensions.yaml")
    records.write_bytes(records.with_name(f"{other.name}_dimensions.yaml").read_bytes())
    assert f"{mine.name}  contains datasets of exposure {mine.id}, which isn't" in nights.bench.diff(nights.state(), 2)
    records.write_text("nonsense: [")
    assert f"{mine.name}  its dimension records can't be read" in nights.bench.diff(nights.state(), 2)


def test_records_that_did_not_arrive_are_not_needed_for_an_exposure_that_is_known(nights: ZipNights, state: Path) -> None:
    mine = nights.exposures[0]
    nights.remove([*nights.refs(mine), *nights.refs(mine, "guider_raw", GUIDERS)])
    nights.place(mine).with_name(f"{mine.name}_dimensions.yaml").unlink()
    nights.bench.apply_and_check(state)


def test_zips_that_come_to_an_open_dataset_in_a_closed_container_are_noticed(
    nights: ZipNights, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.systems.policy.LISTED", 10)
    datasets = sorted({dataset for exposure in nights.exposures for dataset in exposure.sky_datasets})
    client.add_container(nights.scope, "Box")
    client.attach_dids(nights.scope, "Box", [{"scope": nights.scope, "name": name} for name in datasets])
    client.close(nights.scope, "Box")
    state = nights.state()
    lines = [
        f'delivered_by = ["{nights.scope}:Box"]' if "delivered_by" in line else line for line in state.read_text().splitlines()
    ]
    state.write_text("\n".join(lines) + "\n")
    nights.bench.apply_and_check(state)
    assert "by proof" in nights.bench.diff(state, 0, "-v")
    nights.take(SECOND, [4])
    assert "1 of 7 missing" in nights.bench.diff(state, 2)


def test_guiders_may_be_in_the_collection_of_the_raws(nights: ZipNights) -> None:
    state = nights.state()
    state.write_text(state.read_text().replace(f'guiders = "{GUIDERS}"', f'guiders = "{RUN}"'))
    nights.bench.run("validate", state, expect=0)


def test_a_proof_covers_many_raws_and_the_few_guiders_in_their_zips(
    nights: ZipNights, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.systems.policy.LISTED", 10)
    nights.bench.diff(state, 0)
    assert "18 raws by proof" in nights.bench.diff(state, 0, "-v")
    guiders = [ref for exposure in nights.exposures for ref in nights.refs(exposure, "guider_raw", GUIDERS)]
    nights.remove(guiders[:1])
    assert "lacks guider_raw of detector" in nights.bench.diff(state, 2)


@pytest.mark.parametrize(("dataset_type", "run"), [("raw", RUN), ("guider_raw", GUIDERS)])
def test_one_dataset_that_was_removed_is_named_with_what_to_do(
    nights: ZipNights, state: Path, dataset_type: str, run: str
) -> None:
    guided = next(exposure for exposure in nights.exposures if exposure.guiders)
    (*_, last) = sorted(nights.refs(guided, dataset_type, run), key=lambda ref: ref.dataId["detector"])
    nights.remove([last])
    output = nights.bench.diff(state, 2)
    assert f"{guided.name}  lacks {dataset_type} of detector {last.dataId['detector']}" in output
    assert "1 exposure has only some of the datasets of its zip" in output
    assert "butler prune-datasets" in output
    nights.bench.apply(state, 2)
    nights.remove([*nights.refs(guided), *nights.refs(guided, "guider_raw", GUIDERS)])
    nights.bench.apply_and_check(state)


def test_a_night_that_is_not_delivered_is_waited_for(nights: ZipNights, state: Path) -> None:
    late = nights.take(SECOND, [4, 5], deliver=False)
    output = nights.bench.diff(state, 2)
    assert f"waiting for 2 zips of {SECOND} (2), registered in Rucio and not here yet" in output
    nights.bench.apply(state, 2)
    nights.deliver(late[:1])
    nights.deliver(late[1:], records=False)
    output = nights.bench.apply(state, 2)
    assert len(nights.refs(late[0])) == 3
    assert f"waiting for 1 zip of {SECOND} (1)" in nights.bench.diff(state, 2)
    nights.deliver(late)
    nights.bench.apply_and_check(state)


def test_an_exposure_that_rucio_does_not_list_is_reported_and_stays(nights: ZipNights, state: Path) -> None:
    stray = nights.exposures[2]
    nights.detach(stray, stray.zip_path)
    output = nights.bench.diff(state, 2)
    assert f"{FIRST}  {stray.name}" in output
    assert "not in the state; reconcile never removes them" in output
    nights.bench.apply(state, 2, "--prune")
    assert len(nights.refs(stray)) == 3


def test_a_stray_file_in_a_dataset_is_named(nights: ZipNights, state: Path) -> None:
    name = f"LSSTCam/{FIRST}/notes.txt"
    file = {"scope": nights.scope, "name": name, "bytes": 7, "adler32": "00000001"}
    nights.client.add_replicas("SLAC_BUTLER_DISK", [file])
    nights.client.add_files_to_dataset(nights.scope, nights.exposures[0].sky_datasets[0], [file])
    output = nights.bench.diff(state, 2)
    assert "1 file is neither NIGHT/OBS_ID.zip nor NIGHT/OBS_ID_dimensions.yaml" in output
    assert name in output


def test_nights_outside_of_the_window_are_left_alone(nights: ZipNights) -> None:
    state = nights.state(nights=str(SECOND))
    nights.bench.apply_and_check(state)
    assert len(nights.bench.butler.query_datasets("raw", RUN)) == 9
    nights.bench.apply_and_check(nights.state())
    nights.bench.apply_and_check(nights.state(nights=str(SECOND)))
    assert len(nights.bench.butler.query_datasets("raw", RUN)) == 18
    assert "not registered in Rucio yet for any of these nights" in nights.bench.diff(nights.state(nights="20200101"), 2)


def test_verify_checks_that_zips_have_their_members(nights: ZipNights, state: Path) -> None:
    state = nights.state(more='verify = "all"\n')
    assert "is in sync" in nights.bench.diff(state, 0)
    mine, other = nights.exposures[0], nights.exposures[1]
    nights.place(mine).write_bytes(nights.place(other).read_bytes())
    output = nights.bench.diff(state, 2)
    assert "3 of 18 files checked are missing from storage or differ from their recorded size" in output
    assert "not in its zip" in output


@pytest.mark.parametrize("at_once", [storage.FILES_PER_CHECK, 2])
def test_verify_compares_zips_with_the_checksum_in_rucio(
    nights: ZipNights, state: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(storage, "FILES_PER_CHECK", at_once)
    state = nights.state(more='verify = "checksum:6"\n')
    assert "is in sync" in nights.bench.diff(state, 0)
    place = nights.place(nights.exposures[0])
    content = bytearray(place.read_bytes())
    content[content.index(b"made-up")] ^= 1
    place.write_bytes(bytes(content))
    output = nights.bench.diff(state, 2)
    assert re.search(r"\b1 of \d+ files checked are missing from storage or differ from their recorded size or checksum", output)


def test_a_second_file_of_an_exposure_is_reported(nights: ZipNights, state: Path) -> None:
    mine = nights.exposures[0]
    name = f"copies/LSSTCam/{FIRST}/{mine.name}.zip"
    file = {"scope": nights.scope, "name": name, "bytes": 7, "adler32": "00000001"}
    nights.client.add_replicas("SLAC_BUTLER_DISK", [file])
    nights.client.add_files_to_dataset(nights.scope, mine.sky_datasets[0], [file])
    output = nights.bench.diff(state, 2)
    assert "exposures with several zips, of which only one can be ingested" in output
    assert "not in the state" not in output


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat four members as many, instead of a thousand."""
    monkeypatch.setattr("reconciler.systems.policy.LISTED", 3)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The zips whose indexes were read."""
    from reconciler.systems.butler import zips

    found: list[str] = []
    read = zips.read_content
    monkeypatch.setattr(zips, "read_content", lambda uri: (found.append(uri), read(uri))[1])
    return found


def test_a_proof_takes_the_place_of_reading_zips_and_a_new_night_is_compared_alone(
    few: None, nights: ZipNights, state: Path, reads: list[str]
) -> None:
    reads.clear()
    assert "18 raws by proof" in nights.bench.diff(state, 0, "-v")
    assert reads == []
    (late,) = nights.take(SECOND, [4])
    output = nights.bench.diff(state, 2)
    assert "exposures: 1 of 7 missing" in output
    assert {Path(uri).parent.name for uri in reads} == {str(SECOND)}
    nights.bench.apply_and_check(state)
    assert len(nights.refs(late)) == 3


@pytest.mark.parametrize(("dataset_type", "run"), [("raw", RUN), ("guider_raw", GUIDERS)])
def test_a_dataset_that_was_removed_is_noticed_despite_a_proof(
    few: None, nights: ZipNights, state: Path, dataset_type: str, run: str
) -> None:
    assert "by proof" in nights.bench.diff(state, 0, "-v")
    guided = next(exposure for exposure in nights.exposures if exposure.guiders)
    nights.remove(nights.refs(guided, dataset_type, run)[:1])
    assert f"{guided.name}  lacks {dataset_type}" in nights.bench.diff(state, 2)


def test_quick_compares_the_numbers_of_exposures_and_tells_so(
    few: None, nights: ZipNights, state: Path, reads: list[str]
) -> None:
    reads.clear()
    assert "1 of them by count only" in nights.bench.diff(state, 0, "--quick")
    assert reads == []
    nights.take(SECOND, [4])
    assert "exposures: 1 of 7 missing" in nights.bench.diff(state, 2, "--quick")


def test_quick_names_a_stray_file_though_the_numbers_agree(few: None, nights: ZipNights, state: Path) -> None:
    file = {"scope": nights.scope, "name": f"LSSTCam/{FIRST}/notes.txt", "bytes": 7, "adler32": "00000001"}
    nights.client.add_replicas("SLAC_BUTLER_DISK", [file])
    nights.client.add_files_to_dataset(nights.scope, nights.exposures[0].sky_datasets[0], [file])
    assert "1 file is neither" in nights.bench.diff(state, 2, "--quick")


def test_a_window_that_rolls_on_leaves_the_night_before_it_alone(
    few: None, nights: ZipNights, state: Path, reads: list[str]
) -> None:
    reads.clear()
    nights.take(20260301, [1, 2])
    state = nights.state(nights=f"{SECOND}..20260301")
    output = nights.bench.diff(state, 2)
    assert "exposures: 2 of 5 missing" in output
    assert str(FIRST) not in output
    assert {Path(uri).parent.name for uri in reads} == {"20260301"}
    nights.bench.apply_and_check(state)


def test_a_zip_that_left_rucio_is_noticed_despite_a_proof(few: None, nights: ZipNights, state: Path) -> None:
    gone = nights.exposures[0]
    nights.detach(gone, gone.zip_path)
    assert f"{FIRST}  {gone.name}" in nights.bench.diff(state, 2)


@pytest.mark.parametrize("nights_text", ["last 0", "20260228..20260227", "tomorrow"])
def test_nights_that_are_none_are_a_mistake_of_the_file(empty_bench: Bench, nights_text: str) -> None:
    state = empty_bench.state(
        f'[rucio]\nrse = "x"\n[instrument.LSSTCam]\nclass = "a.B"\n[raw_zip.x]\ninstrument = "LSSTCam"\n'
        f'nights = "{nights_text}"\ndelivered_by = ["raw:d"]\nlocations = ["/x"]\n'
    )
    output = empty_bench.run("validate", state, expect=1).output
    assert "nights:" in output
    assert "test.toml:10" in output


def test_the_commands_of_the_ingest_are_those_an_operator_would_type(nights: ZipNights) -> None:
    output = nights.bench.run("diff", nights.state(), "--format", "shell", expect=2).output
    first = nights.exposures[0]
    assert "butler ingest-zip" in output
    assert f"--export-file {first.name}_dimensions.yaml" in output


def test_expectations_compare_nights_with_rucio(nights: ZipNights) -> None:
    expect = (
        f'[expect.nights]\ndataset_type = "raw"\ncollections = ["{RUN}"]\ninstrument = "LSSTCam"\n'
        f'nights = "{FIRST}..{SECOND}"\ndistinct = "exposure"\nfiles = "*.zip"\n'
        f'did = "{nights.scope}:Dataset/LSSTCam/raw/*Tract*/*"\n'
    )
    state = nights.state(more=expect)
    nights.bench.apply_and_check(state)
    late = nights.take(SECOND, [4], deliver=False)
    output = nights.bench.diff(state, 2)
    assert "1 of 2 nights differ" in output
    assert f"{SECOND} has 3 exposures, 4 expected" in output
    nights.deliver(late)
    nights.bench.apply_and_check(state)


def test_zips_are_compared_before_the_repository_exists(empty_bench: Bench, world: World, client: Any, fresh_scope: str) -> None:
    empty_bench.environment |= world.environment()
    nights = ZipNights(empty_bench, world, client, fresh_scope)
    nights.take(FIRST, [1, 2])
    state = nights.state(more='verify = "sample:2"\n')
    assert "missing: 2 exposures" in empty_bench.diff(state, 2)
    empty_bench.apply_and_check(state)
