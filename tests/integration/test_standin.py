"""The stand-in observatory ingests raws as obs_base does: the other tests would show nothing with kinder commands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import STACK
from observing import butler, count_raws, edit_index, played_release
from standin.release import installed_release

from reconciler.playground import campaign
from reconciler.playground.campaign import Exposure

NIGHT = 20241108
RUN = "LSSTComCam/raw/all"
TWO = [Exposure(NIGHT, 2), Exposure(NIGHT, 3)]
"""Two exposures of the sky, of nine raws each."""
FORGIVING = installed_release().name == "w.2025.20"
"""Whether the installed lsst-daf-butler ingests a file again under the same UUID without an error, as version 29 does."""


pytestmark = pytest.mark.usefixtures("stack")


def write(folder: Path, *exposures: Exposure, index: bool = True) -> list[Path]:
    """Write exposures, and return the paths of their raws."""
    return [
        path
        for exposure in exposures
        for path in campaign.write_exposure(folder, exposure, index=index)
        if path.suffix == ".fits"
    ]


def ingest(repo: Path, *words: object) -> Any:
    return butler("ingest-raws", "--transfer", "direct", repo, *words)


def records(repo: Path, element: str) -> list[Any]:
    from lsst.daf.butler import Butler

    return list(Butler.from_config(str(repo)).registry.queryDimensionRecords(element, instrument="LSSTComCam"))


def test_index_files_are_those_of_astrometadata(folder: Path) -> None:
    from astro_metadata_translator.indexing import read_index

    path, *_ = write(folder, TWO[0])
    content = json.loads(path.with_name("_index.json").read_text())
    assert content["__CONTENT__"] == "translated"
    assert [type(part) for part in content["__COMMON__"]["datetime_begin"]] == [float, float]
    assert content["__COMMON__"]["exposure_time_requested"] == 30.0
    infos: Any = read_index(str(path.with_name("_index.json")), force_dict=True)
    assert infos[path.name].datetime_begin.isot == "2024-11-08T00:01:20.000"
    assert infos[path.name].detector_num == 0


def test_raws_of_folders_and_of_named_files_are_ingested(repo: Path, folder: Path, release: str) -> None:
    first = write(folder, TWO[0])
    assert ingest(repo, folder).code == 0
    assert count_raws(repo) == len(first)
    second = write(folder, TWO[1])
    assert ingest(repo, *second).code == 0
    assert count_raws(repo) == len(first) + len(second)


def test_headers_are_read_where_there_is_no_index(repo: Path, folder: Path, release: str) -> None:
    files = write(folder, TWO[0], index=False)
    assert ingest(repo, "-j", 2, *files).code == 0
    (record,) = records(repo, "exposure")
    indexed = campaign.index_content(TWO[0])["__COMMON__"]
    assert (record.obs_id, record.tracking_ra) == (indexed["observation_id"], indexed["tracking_radec"][0])
    assert not records(repo, "visit")


def test_a_record_is_the_same_from_a_header_and_from_an_index(repo: Path, folder: Path) -> None:
    headers = write(folder, TWO[0], index=False)
    assert ingest(repo, *headers[:4]).code == 0
    indexed = write(folder, TWO[0])
    assert ingest(repo, *indexed[4:]).code == 0
    assert count_raws(repo) == 9


def test_an_unreadable_file_is_reported_and_all_others_are_ingested(repo: Path, folder: Path, release: str) -> None:
    good = write(folder, *TWO)
    bad = folder / str(NIGHT) / TWO[0].name / "broken.fits"
    bad.write_bytes(b"no header")
    outcome = ingest(repo, *good, bad)
    assert outcome.code == 1
    assert str(bad) in outcome.text
    assert isinstance(outcome.error, RuntimeError)
    assert count_raws(repo) == 18


def test_with_fail_fast_an_unreadable_file_ends_the_command_before_anything_is_ingested(
    repo: Path, folder: Path, release: str
) -> None:
    good = write(folder, *TWO)
    bad = folder / "broken.fits"
    bad.write_bytes(b"no header")
    outcome = ingest(repo, "--fail-fast", *good, bad)
    assert outcome.code == 1
    assert str(bad) in str(outcome.error)
    assert count_raws(repo) == 0
    assert not records(repo, "exposure")


def test_an_index_entry_without_a_required_property_is_an_unreadable_file(repo: Path, folder: Path) -> None:
    good = write(folder, *TWO)
    edit_index(good[0].parent, lambda content: content[good[0].name].pop("detector_num"))
    outcome = ingest(repo, *good)
    assert outcome.code == 1
    assert str(good[0]) in outcome.text
    assert count_raws(repo) == 17
    assert f"{good[0]} lacks detector_num" in str(ingest(repo, "--fail-fast", good[0]).cause)


@pytest.mark.parametrize("content", ["{", '{"__CONTENT__": "translated"}', "[]"])
def test_a_broken_index_file_is_reported(repo: Path, folder: Path, content: str) -> None:
    good = write(folder, *TWO)
    index = good[0].with_name("_index.json")
    index.write_text(content)
    outcome = ingest(repo, *good)
    assert outcome.code == 1
    assert str(index) in outcome.text
    assert count_raws(repo) == 9


def test_an_index_file_with_the_keys_of_before_can_not_be_read(repo: Path, folder: Path) -> None:
    files = write(folder, TWO[0])
    edit_index(files[0].parent, lambda content: content["__COMMON__"].update(datetime_begin="2024-11-08T00:01:20"))
    outcome = ingest(repo, *files)
    assert outcome.code == 1
    assert count_raws(repo) == 0


def test_an_exposure_whose_record_differs_is_a_conflict_and_the_others_are_ingested(
    repo: Path, folder: Path, release: str
) -> None:
    files = write(folder, *TWO)
    assert ingest(repo, files[0]).code == 0
    edit_index(files[0].parent, lambda content: content["__COMMON__"].update(object="M31"))
    outcome = ingest(repo, *files[1:])
    assert outcome.code == 1
    assert "Conflict in sync for table exposure" in outcome.text
    assert TWO[0].name in outcome.text
    assert count_raws(repo) == 1 + 9
    outcome = ingest(repo, "--update-records", *files[1:9])
    assert outcome.code == 0
    assert {record.target_name for record in records(repo, "exposure")} == {"M31", "ECDFS"}
    assert count_raws(repo) == 18


def test_with_fail_fast_a_differing_record_ends_the_command_at_its_exposure(repo: Path, folder: Path, release: str) -> None:
    from lsst.daf.butler.registry import ConflictingDefinitionError

    before, middle, after = (Exposure(NIGHT, number) for number in (2, 3, 4))
    files = write(folder, before, middle, after)
    assert ingest(repo, files[9]).code == 0
    edit_index(files[9].parent, lambda content: content["__COMMON__"].update(object="M31"))
    outcome = ingest(repo, "--fail-fast", *files)
    assert outcome.code == 1
    assert isinstance(outcome.error, ConflictingDefinitionError)
    assert "Conflict in sync for table exposure" in str(outcome.error)
    assert {record.id for record in records(repo, "exposure")} == {before.id, middle.id}, "one exposure is written after another"
    assert count_raws(repo) == 9 + 1


def test_a_filter_that_is_not_registered_ends_the_command_even_without_fail_fast(repo: Path, folder: Path) -> None:
    files = write(folder, *TWO)
    edit_index(files[0].parent, lambda content: content["__COMMON__"].update(physical_filter="ultraviolet"))
    outcome = ingest(repo, *files)
    assert outcome.code == 1
    assert "ultraviolet" in str(outcome.error)
    assert count_raws(repo) < 18


def test_a_missing_file_keeps_out_its_exposure_only(repo: Path, folder: Path, release: str) -> None:
    files = write(folder, *TWO)
    files[0].unlink()
    outcome = ingest(repo, *files)
    assert outcome.code == 1
    assert TWO[0].name in outcome.text
    assert count_raws(repo) == 9
    assert len(records(repo, "exposure")) == 2, "the record is written before the raws"


def test_the_missing_raws_of_an_exposure_can_be_ingested_later(repo: Path, folder: Path, release: str) -> None:
    files = write(folder, TWO[0])
    assert ingest(repo, *files[:4]).code == 0
    assert ingest(repo, *files[4:]).code == 0
    assert count_raws(repo) == 9


def test_existing_raws_are_an_error_for_the_older_release_unless_its_butler_accepts_them(repo: Path, folder: Path) -> None:
    files = write(folder, TWO[0])
    assert ingest(repo, *files[:4]).code == 0
    with played_release("w.2025.20"):
        outcome = ingest(repo, *files)
    if FORGIVING:
        assert outcome.code == 0
        assert count_raws(repo) == 9
    else:
        assert outcome.code == 1
        assert TWO[0].name in outcome.text
        assert count_raws(repo) == 4


def test_existing_raws_are_skipped_by_the_newer_release(repo: Path, folder: Path) -> None:
    files = write(folder, TWO[0])
    assert ingest(repo, *files[:4]).code == 0
    with played_release("w.2026.26"):
        assert ingest(repo, "--no-skip-existing", *files).code == 1
        assert ingest(repo, *files).code == 0
        assert ingest(repo, *files).code == 0
    assert count_raws(repo) == 9


def test_two_files_of_a_raw_keep_out_its_exposure(repo: Path, folder: Path, release: str) -> None:
    files = write(folder, *TWO)
    copies = folder / "copies"
    copies.mkdir()
    shutil.copy(files[0], copies)
    shutil.copy(files[0].with_name("_index.json"), copies)
    outcome = ingest(repo, *files, copies / files[0].name)
    assert outcome.code == 1
    assert TWO[0].name in outcome.text
    assert count_raws(repo) == 9


def test_a_guider_file_among_raws_is_not_a_raw(repo: Path, folder: Path, release: str) -> None:
    write(folder, *TWO)
    guider = campaign.write_guider(folder, TWO[0])
    outcome = ingest(repo, folder)
    assert outcome.code == 1
    assert str(guider) in outcome.text
    assert count_raws(repo) == 18
    assert ingest(repo, "--regex", r"_R\d\d_S\d\d\.fits$", folder).code == (0 if release == "w.2026.26" or FORGIVING else 1)


def test_configuration_and_task_are_taken_from_the_options(repo: Path, folder: Path, tmp_path: Path) -> None:
    files = write(folder, *TWO)
    (tmp_path / "config.py").write_text("config.failFast = True\n")
    bad = folder / "broken.fits"
    bad.write_bytes(b"no header")
    assert ingest(repo, "--config-file", tmp_path / "config.py", *files, bad).code == 1
    assert ingest(repo, "--config", "failFast=True", *files, bad).code == 1
    assert count_raws(repo) == 0
    assert "no.such.Task" in str(ingest(repo, "--ingest-task", "no.such.Task", *files).error)
    assert ingest(repo, "--ingest-task", "lsst.obs.base.RawIngestTask", "--output-run", "mine", *files).code == 0
    assert count_raws(repo, "mine") == 18


def test_sizes_are_recorded_unless_switched_off(repo: Path, folder: Path) -> None:
    from lsst.daf.butler import Butler

    files = write(folder, TWO[0])
    assert ingest(repo, files[0]).code == 0
    assert ingest(repo, "--no-track-file-attrs", files[1]).code == 0
    found = Butler.from_config(str(repo))
    refs = found.query_datasets("raw", RUN)
    sizes = {ref.dataId["detector"]: its[0].file_size for ref in refs for its in [_file_records(found, ref)]}
    assert sizes == {0: files[0].stat().st_size, 1: -1}


def _file_records(found: Any, ref: Any) -> Any:
    (data,) = found._datastore.export_records([ref]).values()
    return [record for table in data.records[ref.id].values() for record in table]


def test_an_exception_is_logged_and_a_process_ends_with_1(repo: Path, folder: Path) -> None:
    files = write(folder, TWO[0])
    files[0].with_name("_index.json").unlink()
    program = str(Path(sys.executable).with_name("butler"))
    command = [program, "ingest-raws", "--fail-fast", str(repo), *map(str, files)]
    done = subprocess.run(command, env={**os.environ, **STACK}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert files[0].name in done.stderr
    assert "RuntimeError" in done.stderr


def test_raws_have_the_same_ids_in_each_repository(tmp_path: Path, comcam_template: Path, folder: Path) -> None:
    from lsst.daf.butler import Butler

    files = write(folder, TWO[0])
    found = []
    for name in ("a", "b"):
        shutil.copytree(comcam_template, tmp_path / name)
        assert ingest(tmp_path / name, *files).code == 0
        found.append({ref.id for ref in Butler.from_config(str(tmp_path / name)).query_datasets("raw", RUN)})
    assert found[0] == found[1]
    assert {id.version for id in found[0]} == {5}


def test_each_exposure_is_one_call_of_the_butler(repo: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lsst.daf.butler import Butler

    sizes: list[int] = []
    kind = type(Butler.from_config(str(repo)))
    real = kind.ingest

    def count(self: Any, *datasets: Any, **options: Any) -> None:
        sizes.append(len(datasets))
        real(self, *datasets, **options)

    monkeypatch.setattr(kind, "ingest", count)
    assert ingest(repo, *write(folder, *TWO)).code == 0
    assert sizes == [9, 9]


def test_a_sidecar_file_describes_a_raw_that_no_index_names(repo: Path, folder: Path) -> None:
    first, second, *_ = write(folder, TWO[0])
    content = campaign.index_content(TWO[0])
    sidecar = {"__CONTENT__": content["__CONTENT__"], **content["__COMMON__"], **content[first.name]}
    first.with_suffix(".json").write_text(json.dumps(sidecar))
    first.with_name("_index.json").unlink()
    outcome = ingest(repo, first, second)
    assert outcome.code == 1
    assert str(second) in outcome.text
    assert count_raws(repo) == 1
