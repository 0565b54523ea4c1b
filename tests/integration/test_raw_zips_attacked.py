"""Zips, their records and their Rucio datasets, wrong in ways that happen less often; each is named, and hinders nothing else."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Bench
from zip_nights import FIRST, GUIDERS, RUN, SECOND, ZipNights, truncate

from reconciler.cli.progress import ConsoleProgress
from reconciler.playground.lsstcam_exposures import Exposure
from reconciler.playground.world import IN2P3, World


@pytest.fixture
def nights(sqlite_bench: Bench, world: World, client: Any, fresh_scope: str, stack: None) -> ZipNights:
    """Two nights, delivered and not ingested yet."""
    return ZipNights.of_two_nights(sqlite_bench, world, client, fresh_scope)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat four members as many, instead of a thousand."""
    monkeypatch.setattr("reconciler.systems.policy.LISTED", 3)


def find_guided(nights: ZipNights) -> Exposure:
    """Return an exposure with guiders."""
    return next(exposure for exposure in nights.exposures if exposure.guiders)


def edit_index(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Write a zip again with another index."""
    with zipfile.ZipFile(path) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    index = "_butler_zip_index.json"
    members[index] = change(members[index])
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in members.items():
            opened.writestr(name, content)


def attach(nights: ZipNights, dataset: str, exposure: Exposure) -> None:
    """Add the files of an exposure to a dataset."""
    files = [{"scope": nights.scope, "name": name} for name in (exposure.zip_path, exposure.dimensions_path)]
    nights.client.add_files_to_dataset(nights.scope, dataset, files)


def test_unreadable_zips_and_indexes_are_named_one_by_one(nights: ZipNights) -> None:
    empty, cut, future, folder, flipped, good = nights.exposures
    nights.place(empty).write_bytes(b"")
    edit_index(nights.place(cut), lambda index: index[:50])
    edit_index(nights.place(future), lambda index: index.replace(b'"index_version":"V1"', b'"index_version":"V9"'))
    nights.place(folder).unlink()
    nights.place(folder).mkdir()
    content = bytearray(nights.place(flipped).read_bytes())
    content[content.rindex(b"PK\x01\x02")] ^= 255
    nights.place(flipped).write_bytes(bytes(content))
    state = nights.state()
    output = nights.bench.diff(state, 2)
    assert f"{empty.name}  is no intact zip" in output
    assert f"{cut.name}  has an index that the installed Butler can't read" in output
    assert f"{future.name}  has an index that the installed Butler can't read" in output
    assert f"{folder.name}  is a folder" in output
    assert f"{flipped.name}  is no intact zip" in output
    nights.bench.apply(state, 2)
    assert len(nights.bench.butler.query_datasets("raw", RUN)) == len(nights.refs(good)) == 3


def test_an_index_that_contradicts_itself_keeps_no_other_zip_out(nights: ZipNights) -> None:
    bad = nights.exposures[0]
    extra = (
        b'"x.fits":{"info":{"file_size":1,"formatter":"a.B","storage_class":"Exposure","path":"x.fits","component":null,'
        b'"checksum":null},"ids":["00000000-0000-0000-0000-000000000001"]},'
    )
    edit_index(nights.place(bad), lambda index: index.replace(b'"artifact_map":{', b'"artifact_map":{' + extra, 1))
    output = nights.bench.apply(nights.state(), 1)
    assert f"1 zip could not be ingested: {bad.name} KeyError" in output
    assert len(nights.bench.butler.query_datasets("raw", RUN)) == 15


RECORDS = {
    "empty": (lambda text: "", "its dimension records contain no exposure"),
    "binary": (lambda text: "\x00\x01", "its dimension records can't be read"),
    "python": (lambda text: f"{text}- !!python/object/apply:os.system ['true']\n", "its dimension records can't be read"),
    "another instrument": (lambda text: text.replace("LSSTCam", "LATISS"), "its dimension records are of LATISS"),
    "another night": (lambda text: re.sub(r"day_obs: \d+", "day_obs: 20260301", text), "is of 20260301 in its dimension records"),
    "a collection": (
        lambda text: f"{text}- type: collection\n  name: x\n",
        "its dimension records come with others, of type coll",
    ),
}


@pytest.mark.parametrize("case", RECORDS)
def test_records_that_are_not_usable_are_named(nights: ZipNights, case: str) -> None:
    change, problem = RECORDS[case]
    bad = nights.exposures[0]
    records = nights.place(bad).with_name(f"{bad.name}_dimensions.yaml")
    records.write_text(change(records.read_text()))
    state = nights.state()
    assert problem in nights.bench.diff(state, 2)
    nights.bench.apply(state, 2)
    assert len(nights.bench.butler.query_datasets("raw", RUN)) == 15


def test_records_that_the_repository_refuses_keep_no_other_zip_out(nights: ZipNights) -> None:
    bad = nights.exposures[0]
    records = nights.place(bad).with_name(f"{bad.name}_dimensions.yaml")
    records.write_text(records.read_text().replace("physical_filter: ", "physical_filter: no_such_"))
    output = nights.bench.apply(nights.state(), 1)
    assert f"1 zip could not be ingested: {bad.name} IntegrityError" in output
    assert len(nights.bench.butler.query_datasets("raw", RUN)) == 15


def test_a_record_that_differs_from_that_of_the_repository_is_named(nights: ZipNights) -> None:
    state = nights.state()
    nights.bench.apply(state)
    mine = nights.exposures[0]
    nights.remove(nights.refs(mine))
    records = nights.place(mine).with_name(f"{mine.name}_dimensions.yaml")
    records.write_text(re.sub(r"physical_filter: \w+", "physical_filter: u_24", records.read_text()))
    output = nights.bench.apply(state, 1)
    assert f"{mine.name} has physical_filter u_24 in its dimension records, and {mine.physical_filter} in the repo" in output


@pytest.mark.parametrize("dataset_type", ["raw", "guider_raw"])
def test_the_commands_for_an_exposure_that_is_partly_there_lead_to_its_ingest(nights: ZipNights, dataset_type: str) -> None:
    state = nights.state()
    nights.bench.apply(state)
    guided = find_guided(nights)
    nights.remove(nights.refs(guided, dataset_type, RUN if dataset_type == "raw" else GUIDERS)[:1])
    output = nights.bench.diff(state, 2)
    commands = re.findall(r"\$ butler (prune-datasets .*)", output)
    assert len(commands) == 2
    script = "\n".join(f"{sys.executable} -c 'from lsst.daf.butler.cli.butler import main; main()' {line}" for line in commands)
    environment = {**os.environ, **nights.bench.environment, "REPO": str(nights.bench.repo)}
    subprocess.run(["bash", "-ec", script], check=True, env=environment)
    assert nights.refs(guided) == nights.refs(guided, "guider_raw", GUIDERS) == []
    nights.bench.apply_and_check(state)


def test_an_exposure_of_which_only_the_guiders_are_left_is_not_just_missing(nights: ZipNights) -> None:
    state = nights.state()
    nights.bench.apply(state)
    guided = find_guided(nights)
    nights.remove(nights.refs(guided))
    output = nights.bench.diff(state, 2)
    assert f"{guided.name}  lacks raw of detector 0, raw of detector 1, raw of detector 2" in output
    assert "prune-datasets" in output
    nights.bench.apply(state, 2)
    nights.remove(nights.refs(guided, "guider_raw", GUIDERS))
    nights.bench.apply_and_check(state)


def test_guiders_of_another_collection_than_the_table_names_are_reported(nights: ZipNights) -> None:
    state = nights.state()
    state.write_text(state.read_text().replace(f'guiders = "{GUIDERS}"', 'guiders = "LSSTCam/raw/guiders"'))
    nights.bench.apply(state, 2)
    assert f"zips contain guider_raw of {GUIDERS}, not of LSSTCam/raw/guiders" in nights.bench.diff(state, 2)


def test_a_proof_never_covers_guiders_whose_collection_the_table_does_not_name(few: None, nights: ZipNights) -> None:
    state = nights.state()
    state.write_text(state.read_text().replace(f'guiders = "{GUIDERS}"\n', ""))
    nights.bench.apply(state)
    assert "by members" in nights.bench.diff(state, 0, "-v")
    guided = find_guided(nights)
    nights.remove(nights.refs(guided, "guider_raw", GUIDERS))
    assert f"{guided.name}  lacks guider_raw" in nights.bench.diff(state, 2)


def test_a_zip_in_a_dataset_of_another_night_is_missing_despite_a_proof(few: None, nights: ZipNights) -> None:
    state = nights.state()
    nights.bench.apply_and_check(state)
    assert "by proof" in nights.bench.diff(state, 0, "-v")
    (late,) = nights.take(SECOND, [5])
    nights.detach(late, late.zip_path)
    nights.detach(late, late.dimensions_path)
    attach(nights, f"Dataset/LSSTCam/raw/NoTract/{FIRST}", late)
    output = nights.bench.diff(state, 2)
    assert "exposures: 1 of 7 missing" in output
    assert "1 zip is in a Rucio dataset of another night" in output
    nights.bench.apply(state, 2)
    assert len(nights.refs(late)) == 3
    dataset = f"Dataset/LSSTCam/raw/NoTract/{FIRST}"
    nights.client.detach_dids(nights.scope, dataset, [{"scope": nights.scope, "name": late.zip_path}])
    assert "not in the state; reconcile never removes them" in nights.bench.diff(state, 2)


def test_a_proof_holds_while_the_window_rolls_on(few: None, nights: ZipNights) -> None:
    nights.bench.apply_and_check(nights.state())
    rolled = nights.state(nights=f"{SECOND}..20260301")
    assert "is in sync" in nights.bench.diff(rolled, 0)
    assert "by proof" in nights.bench.diff(rolled, 0, "-v")
    (late,) = nights.take(20260301, [2])
    nights.bench.apply_and_check(rolled)
    assert len(nights.refs(late)) == 3


def test_a_night_that_enters_the_window_is_compared_even_if_rucio_has_nothing_of_it(few: None, nights: ZipNights) -> None:
    (stray,) = nights.take(20260301, [2])
    nights.bench.apply(nights.state(nights=f"{FIRST}..20260301"))
    narrow = nights.state()
    nights.bench.apply_and_check(narrow)
    nights.detach(stray, stray.zip_path)
    output = nights.bench.diff(nights.state(nights=f"{FIRST}..20260302"), 2)
    assert f"20260301  {stray.name}" in output
    assert "not in the state; reconcile never removes them" in output


@pytest.mark.parametrize("pattern", ["*", "Dataset/LSSTCam/raw/*", "Dataset/LSSTCam/raw/Obs/*/*", "Dataset/*/raw/*Tract*/*"])
def test_a_wildcard_may_stand_for_several_parts_of_a_name(nights: ZipNights, pattern: str) -> None:
    state = nights.state()
    state.write_text(re.sub(r"delivered_by = .*", f'delivered_by = ["{nights.scope}:{pattern}"]', state.read_text()))
    assert "missing: 6 exposures" in nights.bench.diff(state, 2)


@pytest.mark.parametrize("name", ["a b", "a#b", "a,b", "ä"])
def test_a_folder_may_have_any_name(nights: ZipNights, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    shutil.copytree(nights.world.storage(IN2P3) / nights.scope, folder)
    state = nights.state(more='verify = "all"\n')
    state.write_text(re.sub(r"locations = .*", f'locations = ["{folder}/LSSTCam"]', state.read_text()))
    nights.bench.apply_and_check(state)


def test_zips_are_never_moved_away_from_rucio(nights: ZipNights) -> None:
    state = nights.state(more='transfer = "move"\n')
    output = nights.bench.run("validate", state, expect=1).output
    assert '"move" would take the zips away from Rucio' in output


@pytest.mark.parametrize("verify", ["sample:6", "checksum:6"])
def test_a_sample_of_as_many_as_there_are_checks_every_zip_with_all_its_members(nights: ZipNights, verify: str) -> None:
    state = nights.state(more=f'verify = "{verify}"\n')
    nights.bench.apply_and_check(state)
    nights.place(nights.exposures[0]).unlink()
    assert "3 of 18 files checked are missing" in nights.bench.diff(state, 2)


EXPECTATIONS = {
    "nothing in the window": (
        f'"raw"\ncollections = ["{RUN}"]\ninstrument = "LSSTCam"\nnights = "20200101"\nmin = 5\n',
        "no night",
    ),
    "unknown instrument": (f'"raw"\ncollections = ["{RUN}"]\ninstrument = "LATISS"\nnights = "{FIRST}"\nmin = 5\n', "no night"),
    "unknown type": (f'"rawww"\ncollections = ["{RUN}"]\ninstrument = "LSSTCam"\nnights = "{FIRST}"\ncount = 9\n', "no night"),
    "nothing in Rucio": (
        f'"raw"\ncollections = ["{RUN}"]\ninstrument = "LSSTCam"\nnights = "20200101"\ndid = "x:none*"\n',
        "Rucio has no dataset x:none*",
    ),
}


@pytest.mark.parametrize("case", EXPECTATIONS)
def test_an_expectation_of_nights_of_which_there_is_none_fails(nights: ZipNights, case: str) -> None:
    text, problem = EXPECTATIONS[case]
    nights.bench.apply(nights.state())
    state = nights.bench.state(f"[expect.x]\ndataset_type = {text}", rucio=True)
    assert problem in nights.bench.diff(state, 2)


def test_an_unknown_dimension_of_an_expectation_is_a_mistake_of_the_file(nights: ZipNights) -> None:
    nights.bench.apply(nights.state())
    head = f'[expect.x]\ndataset_type = "raw"\ncollections = ["{RUN}"]\ncount = 2\n'
    output = nights.bench.diff(nights.bench.state(f'{head}distinct = "expo"\n', rucio=True), 1)
    assert 'raw has no dimension expo; did you mean "exposure"?' in output
    nights.bench.diff(nights.bench.state(f'{head}distinct = "day_obs"\n', rucio=True), 0)


def test_drift_gives_commands_that_can_be_pasted(nights: ZipNights) -> None:
    state = nights.state()
    nights.bench.apply(state)
    nights.remove(nights.refs(nights.exposures[0])[:1])
    output = nights.bench.run("drift", state, expect=2).output
    assert "'$REPO'" not in output
    assert f"butler prune-datasets {nights.bench.repo} {RUN}" in output


def test_ctrl_c_keeps_what_was_wrong_with_the_zips_before(nights: ZipNights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.cli.interrupts.GRACE", 600)  # it would end this process
    broken = nights.exposures[0]
    truncate(nights.place(broken))
    state = nights.state()
    monkeypatch.setattr("reconciler.kinds.raw_zip.comparison.MOST_READ", 0)  # so that apply finds it, and not the comparison

    def interrupt_at_the_second(self: ConsoleProgress, what: str, done: int, total: int) -> None:
        if done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(ConsoleProgress, "report_bulk", interrupt_at_the_second)
    output = nights.bench.apply(state, 130)
    assert "stopped between two chunks" in output
    assert f"1 zip could not be ingested: {broken.name} is no intact zip" in output
