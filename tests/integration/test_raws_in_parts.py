"""What can be ingested is ingested: a file or an exposure that can't be is named with its reason, and keeps no other raw out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Bench
from observing import edit_index, played_release

from reconciler.playground import campaign
from reconciler.playground.campaign import Exposure

NIGHT = 20241108
DATA_ID = r"(?P<obs_id>CC_[A-Z]_\d{8}_\d{6})_(?P<full_name>R\d\d_S\d\d)\.fits"
RUN = "LSSTComCam/raw/all"
RELEASES = ["w.2025.20", "w.2026.26"]
VISITS = f'[visits.LSSTComCam]\nraws = "{RUN}"\n'


@pytest.fixture(params=RELEASES)
def comcam(request: pytest.FixtureRequest, empty_bench: Bench, comcam_template: Path) -> Iterator[Bench]:
    """A bench with the instrument registered, and the commands of a release of obs_base."""
    shutil.copytree(comcam_template, empty_bench.repo)
    with played_release(request.param):
        yield empty_bench


@pytest.fixture
def raws(comcam: Bench) -> Path:
    """The folder of three exposures: 1 is a flat of nine detectors, 2 and 3 see the sky."""
    folder = comcam.folder / "raw" / "LSSTComCam"
    for sequence in (1, 2, 3):
        campaign.write_exposure(folder, Exposure(NIGHT, sequence))
    return folder


def state(bench: Bench, raws: Path, more: str = "", *, data_id: bool = True, after: str = "") -> Path:
    pattern = f"data_id = '{DATA_ID}'\n" if data_id else ""
    table = f'[raw."{RUN}"]\ninstrument = "LSSTComCam"\nlocations = ["{raws}"]\n{pattern}{more}'
    return bench.state(f'[instrument.LSSTComCam]\nclass = "lsst.obs.lsst.LsstComCam"\n{table}{after}')


def count(bench: Bench, where: str = "") -> int:
    where = f"instrument = 'LSSTComCam' AND {where}" if where else ""
    return len(bench.butler.query_datasets("raw", RUN, where=where, limit=None, explain=False))


def find_file(raws: Path, sequence: int, detector: int) -> Path:
    name = campaign.file_names(Exposure(NIGHT, sequence))[detector]
    return raws / str(NIGHT) / Exposure(NIGHT, sequence).name / name


def break_file(path: Path) -> None:
    """Let a file be none that can be read, and its index not describe it."""
    path.write_bytes(b"not a FITS file")
    edit_index(path.parent, lambda content: content.pop(path.name))


@pytest.mark.parametrize("data_id", [True, False])
def test_of_19_files_the_18_good_ones_are_ingested_and_the_bad_one_is_named_with_its_reason(
    comcam: Bench, raws: Path, data_id: bool
) -> None:
    shutil.rmtree(raws / str(NIGHT) / Exposure(NIGHT, 3).name)
    bad = find_file(raws, 2, 4).with_name("CC_O_20241108_000009_R22_S11.fits")
    bad.write_bytes(b"not a FITS file")
    text = state(comcam, raws, data_id=data_id, after=VISITS)
    output = comcam.apply(text, 1)
    assert f"1 of 19 files: {bad.name}: OSError: " in output
    assert f"the file is at {bad}" in output
    assert "the other 18 were ingested" in output
    assert "exclude it with the key exclude" in output
    assert output.count(f"1 of 19 files: {bad.name}") == 2, "as it happened, and at the end"
    assert count(comcam) == 18
    assert "changed 1 " in output, "the visits, which need the good raws only"
    again = comcam.apply(text, 1)
    assert f"1 of 1 files: {bad.name}: OSError: " in again
    bad.unlink()
    assert "is in sync" in comcam.diff(text, 0)


def test_an_exposure_whose_record_differs_is_named_and_updated_only_when_that_is_asked_for(comcam: Bench, raws: Path) -> None:
    late = [find_file(raws, 2, detector) for detector in (7, 8)]
    aside = comcam.folder / "aside"
    aside.mkdir()
    for path in late:
        shutil.move(path, aside / path.name)
    comcam.apply(state(comcam, raws))

    def correct(content: dict[str, Any]) -> None:
        content["__COMMON__"]["object"] = "Fornax"

    for path in late:
        shutil.move(aside / path.name, path)
    edit_index(late[0].parent, correct)
    text = state(comcam, raws)
    output = comcam.apply(text, 1)
    assert "2 of 2 files were not ingested" in output
    assert ", ".join(path.name for path in late) + ": " in output
    assert f"the files are in {late[0].parent}" in output
    assert "Conflict in sync for table exposure" in output
    assert "Fornax" in output
    assert "set update_records = true to let ingest-raws update the records of these exposures" in output
    comcam.apply_and_check(state(comcam, raws, "update_records = true\n"))
    (record,) = (r for r in comcam.butler.registry.queryDimensionRecords("exposure") if r.id == Exposure(NIGHT, 2).id)
    assert record.target_name == "Fornax"


def test_an_exposure_with_an_unknown_filter_keeps_no_other_one_out(comcam: Bench, raws: Path) -> None:
    for sequence in range(4, 8):
        campaign.write_exposure(raws, Exposure(NIGHT, sequence))

    def change(content: dict[str, Any]) -> None:
        content["__COMMON__"]["physical_filter"] = "unheard_of"

    edit_index(find_file(raws, 2, 0).parent, change)
    output = comcam.apply(state(comcam, raws), 1)
    assert "unheard_of" in output
    assert count(comcam, "exposure.seq_num = 2") == 0
    for sequence in (1, 3, 4, 5, 6, 7):
        assert count(comcam, f"exposure.seq_num = {sequence}") == len(Exposure(NIGHT, sequence).detectors)


def test_a_raw_in_two_files_of_other_names_is_reported_with_both_paths_and_the_other_detectors_are_ingested(
    comcam: Bench, raws: Path
) -> None:
    original = find_file(raws, 2, 4)
    copy = original.with_name("renamed.fits")
    shutil.copy(original, copy)
    edit_index(original.parent, lambda content: content.update({copy.name: content[original.name]}))
    output = comcam.apply(state(comcam, raws, data_id=False), 1)
    assert f"{copy}: has the same exposure and detector as {original}" in output
    assert f"{original}: has the same exposure and detector as {copy}" in output
    assert "2 of 28 files were not ingested" in output
    assert count(comcam) == 26


def test_guiders_among_raws_are_excluded_and_said_to_be_no_raws_otherwise(comcam: Bench, raws: Path) -> None:
    guider = campaign.write_guider(raws, Exposure(NIGHT, 2))
    output = comcam.apply(state(comcam, raws, data_id=False), 1)
    assert f"1 of 28 files: {guider.name}: " in output
    assert count(comcam) == 27
    assert "1 of 28 files don't match data_id" in comcam.diff(state(comcam, raws), 2)
    for data_id in (True, False):
        excluding = state(comcam, raws, 'exclude = ["*_guider.fits"]\n', data_id=data_id)
        assert "is in sync" in comcam.diff(excluding, 0)


def test_a_pattern_with_a_slash_excludes_a_folder_whose_ingested_raws_are_nobodys_concern(comcam: Bench, raws: Path) -> None:
    comcam.apply(state(comcam, raws))
    excluding = state(comcam, raws, f'exclude = ["{Exposure(NIGHT, 1).name}/*"]\n')
    assert "is in sync" in comcam.diff(excluding, 0)


def test_the_keys_of_the_table_are_the_options_of_the_command(comcam: Bench, raws: Path) -> None:
    config = comcam.folder / "ingest.py"
    config.write_text("config.failFast = False\n")
    keys = (
        'processes = 2\ntrack_file_attrs = false\nconfig = { failFast = false }\nconfig_file = "ingest.py"\n'
        'ingest_task = "lsst.obs.base.RawIngestTask"\n'
    )
    text = state(comcam, raws, keys)
    script = comcam.run("diff", text, "--format", "shell", expect=2).output
    options = (
        f"--config failFast=False --config-file {config} --ingest-task lsst.obs.base.RawIngestTask --processes 2 "
        "--no-track-file-attrs"
    )
    assert f"butler ingest-raws --transfer direct {options} " in script
    comcam.apply_and_check(text)


def test_a_file_may_list_the_locations(comcam: Bench, raws: Path) -> None:
    other = comcam.folder / "other"
    campaign.write_exposure(other, Exposure(NIGHT + 1, 2))
    (comcam.folder / "nights.txt").write_text(f"# the other nights\n{other}\n\n")
    text = state(comcam, raws, 'locations_file = "nights.txt"\n')
    comcam.apply_and_check(text)
    assert count(comcam) == 36
    (comcam.folder / "nights.txt").unlink()
    assert "nights.txt" in comcam.run("diff", text, expect=1).output


def test_a_table_without_locations_is_an_error(comcam: Bench) -> None:
    table = f'[raw."{RUN}"]\ninstrument = "LSSTComCam"\n'
    assert "needs locations or locations_file" in comcam.run("validate", comcam.state(table), expect=1).output
