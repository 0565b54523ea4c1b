"""Kinds that hold datasets, on real repositories: only missing datasets are written."""

import re
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import Bench
from inputs import make_export
from postgres_wire import counting_round_trips, listen_at

from reconciler.kinds.shared import storage_check
from reconciler.playground import campaign
from reconciler.playground.world import Sizes, World
from reconciler.systems.butler import commands, insert_batching, queries
from reconciler.systems.butler.datasets import DatasetReader
from reconciler.systems.butler.observations import ObservationReader
from reconciler.systems.context import Context

INSTRUMENT = '[instrument.LSSTComCam]\nclass = "lsst.obs.lsst.LsstComCam"\n'
DATA_ID = r"(?P<obs_id>CC_[A-Z]_\d{8}_\d{6})_(?P<full_name>R\d\d_S\d\d)\.fits"
SIZES = Sizes(nights=2, exposures=5)
N_RAWS = sum(len(exposure.detectors) for exposure in campaign.list_exposures(SIZES))


@pytest.fixture
def raws(comcam: Bench) -> Path:
    folder = comcam.folder / "raw" / "LSSTComCam"
    for exposure in campaign.list_exposures(SIZES):
        campaign.write_exposure(folder, exposure)
    return folder


def raw(folder: Path, data_id: bool = True) -> str:
    pattern = f"data_id = '{DATA_ID}'\n" if data_id else ""
    return INSTRUMENT + f'[raw."LSSTComCam/raw/all"]\ninstrument = "LSSTComCam"\nlocations = ["{folder}"]\n{pattern}'


VISITS = '[visits.LSSTComCam]\nraws = "LSSTComCam/raw/all"\n'


def remove_raws(bench: Bench, where: str) -> int:
    butler = bench.butler
    refs = butler.query_datasets("raw", "LSSTComCam/raw/all", where=f"instrument = 'LSSTComCam' AND {where}")
    butler.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)
    return len(refs)


@pytest.mark.parametrize("data_id", [True, False])
def test_only_missing_raws_below_a_folder_are_ingested(comcam: Bench, raws: Path, data_id: bool) -> None:
    state = comcam.state(raw(raws, data_id))
    assert f"missing: {N_RAWS} raws" in comcam.diff(state, 2)
    comcam.apply_and_check(state)
    assert remove_raws(comcam, "exposure.seq_num = 2 AND detector IN (4, 7)") == 4
    output = comcam.diff(state, 2)
    assert f"raws: 4 of {N_RAWS} missing" in output
    if data_id:
        assert "20241108   CC_O_20241108_000002   detectors R22_S11, R22_S21" in output
    assert "4 raws" in comcam.apply_and_check(state)


@pytest.fixture
def batch_sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of raws in each batch whose files are checked on storage."""
    sizes: list[int] = []

    def check_batch(context: Context, refs: Sequence[Any], *rest: Any) -> Any:
        sizes.append(len(refs))
        return real(context, refs, *rest)

    real = storage_check._check_batch
    monkeypatch.setattr(storage_check, "_check_batch", check_batch)
    return sizes


def test_files_of_all_raws_are_checked_in_batches(
    comcam: Bench, raws: Path, batch_sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.kinds.raw.batches.RAWS_PER_BATCH", 30)
    state = comcam.state(raw(raws) + 'verify = "all"\n')
    comcam.apply_and_check(state)
    batch_sizes.clear()
    for path in sorted(raws.rglob("*.fits"))[:3]:
        path.unlink()
    assert f"3 of {N_RAWS} files checked" in comcam.diff(state, 2)
    assert sum(batch_sizes) == N_RAWS
    assert max(batch_sizes) <= 30


def test_checking_a_sample_of_raws_does_not_list_all_raws(
    comcam: Bench, raws: Path, batch_sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.systems.policy.LISTED", 3)
    comcam.apply_and_check(comcam.state(raw(raws)))
    listed: list[int] = []

    def refs(*arguments: Any, **more: Any) -> Any:
        listed.append(len(found := real(*arguments, **more)))
        return found

    real = DatasetReader.refs
    monkeypatch.setattr(DatasetReader, "refs", refs)
    comcam.diff(comcam.state(raw(raws) + 'verify = "sample:2"\n'), 0)
    assert batch_sizes == [2]
    assert sum(listed) <= 2 * 9


@pytest.mark.parametrize("comcam", ["postgres"], indirect=True)
def test_ingest_raws_does_not_wait_for_each_raw_on_postgresql(
    comcam: Bench, world: World, short_folder: Path, raws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(insert_batching, "MINIMUM_ROWS", 4)  # an exposure, which is one transaction, has few detectors here
    for name, value in comcam.environment.items():
        monkeypatch.setenv(name, value)
    first = [sorted(exposure.glob("*.fits"))[0] for exposure in sorted(raws.glob("*/*"))]
    others = sorted(set(raws.rglob("*.fits")) - set(first))
    counts = []
    with counting_round_trips(short_folder, str(world.read_record()["postgres"])) as trips:
        listen_at(comcam, world, short_folder)
        for files in (first, others):
            before = trips.inserts
            commands.run(["ingest-raws", "--transfer", "direct", str(comcam.repo), *map(str, files)])
            counts.append(trips.inserts - before)
        assert len(comcam.butler.query_datasets("raw", "LSSTComCam/raw/all", limit=None)) == N_RAWS
        comcam.apply_and_check(comcam.state(raw(raws)))
    assert counts[1] - counts[0] < 10, "each raw has a row in the datasets and one in the tags of its run"


def test_visits_of_raws_are_defined_and_those_of_later_raws_are_added(comcam: Bench, raws: Path) -> None:
    state = comcam.state(raw(raws) + VISITS)
    assert 'more known after raw."LSSTComCam/raw/all"' in comcam.diff(state, 2)
    comcam.apply_and_check(state)
    for exposure in range(6, 8):
        campaign.write_exposure(raws, campaign.Exposure(20241109, exposure))
    comcam.apply_and_check(state)
    science = sum(exposure.is_science for exposure in campaign.list_exposures(Sizes(2, 5))) + 2
    assert comcam.butler.registry.queryDimensionRecords("visit", instrument="LSSTComCam").count() == science


def test_visits_of_exposures_that_do_not_see_the_sky_are_in_sync(comcam: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = comcam.folder / "raw" / "LSSTComCam"
    exposures = list(campaign.list_exposures(SIZES))
    for exposure in exposures:
        if not exposure.is_science:
            campaign.write_exposure(folder, exposure)
    comcam.apply_and_check(comcam.state(raw(folder) + VISITS))
    campaign.write_exposure(folder, next(exposure for exposure in exposures if exposure.is_science))
    comcam.apply_and_check(comcam.state(raw(folder) + VISITS))
    read: list[int] = []
    nights = ObservationReader.nights

    def count(reader: ObservationReader, *arguments: str) -> Any:
        found = nights(reader, *arguments)
        read.append(len(found))
        return found

    monkeypatch.setattr(ObservationReader, "nights", count)
    output = comcam.diff(comcam.state(raw(folder, data_id=False) + VISITS), 0, "-v")
    assert "= visits.LSSTComCam   1 exposures with a visit by members" in output
    assert set(read) == {1}, "exposures that see the sky"


@pytest.mark.parametrize("words", [(), ("--quick",)])
def test_visits_are_compared_in_a_repository_whose_exposures_have_no_can_see_sky(
    empty_bench: Bench, words: tuple[str, ...]
) -> None:
    from lsst.daf.butler import Butler, DimensionConfig

    old = DimensionConfig("resource://lsst.daf.butler/configs/old_dimensions/daf_butler_universe6.yaml")
    Butler.makeRepo(str(empty_bench.repo), dimensionConfig=old)
    run = '[collection."LSSTComCam/raw/all"]\ntype = "RUN"\n'
    state = empty_bench.state(f'[instrument.LSSTComCam]\nclass = "lsst.obs.lsst.LsstComCam"\n{run}{VISITS}')
    assert "3 of 4 resources differ" in empty_bench.diff(state, 2, *words)


def test_of_a_raw_in_two_files_neither_is_ingested_and_the_other_raws_are(comcam: Bench, raws: Path) -> None:
    original = sorted(raws.rglob("*.fits"))[0]
    copy = raws / "copies" / original.name
    copy.parent.mkdir()
    shutil.copy(original, copy)
    shutil.copy(original.with_name("_index.json"), copy.parent)
    state = comcam.state(raw(raws))
    output = comcam.diff(state, 2)
    assert f"missing: {N_RAWS - 1} raws" in output
    assert "2 files for 1 raw;" in output
    assert str(copy) in output
    assert str(original) in output
    output = comcam.apply(state, 2)
    assert "failed 0" in output
    assert len(comcam.butler.query_datasets("raw", "LSSTComCam/raw/all", limit=None)) == N_RAWS - 1
    assert "2 files for 1 raw;" in comcam.diff(state, 2)
    assert "2 files for 1 raw;" in comcam.diff(state, 2, "--quick")
    copy.unlink()
    comcam.apply_and_check(state)
    shutil.copy(original, copy)
    assert "2 files for 1 raw;" in comcam.diff(state, 2)
    assert "missing" not in comcam.diff(state, 2)


def test_two_files_of_a_raw_that_only_its_name_identifies_are_reported_and_the_other_raws_are_ingested(
    comcam: Bench, raws: Path
) -> None:
    original = sorted(raws.rglob("*.fits"))[0]
    copy = raws / "copies" / original.name
    copy.parent.mkdir()
    shutil.copy(original, copy)
    shutil.copy(original.with_name("_index.json"), copy.parent)
    state = comcam.state(f'{INSTRUMENT}[raw."LSSTComCam/raw/all"]\ninstrument = "LSSTComCam"\nlocations = ["{raws}"]\n')
    output = comcam.apply(state, 1)
    reason = "not ingested, though no error was reported; it may be the same raw as "
    assert reason in output
    assert str(copy) in output
    assert str(original) in output
    assert "set data_id, which recognizes that" in output
    # A Butler older than version 30 lets each file take the place of the other one.
    assert any(text in comcam.apply(state, 1) for text in (reason, "still differs after 3 actions: 1 not ingested"))
    assert len(comcam.butler.query_datasets("raw", "LSSTComCam/raw/all", limit=None)) == N_RAWS


def test_curated_calibrations_are_written_once_and_what_lacks_is_reported(comcam: Bench) -> None:
    text = '[curated_calibrations."LSSTComCam/calib/X"]\ninstrument = "lsst.obs.lsst.LsstComCam"\nlabel = "X"\n'
    state = comcam.state(INSTRUMENT + text + 'dataset_types = ["camera", "crosstalk"]\n')
    comcam.apply_and_check(state)
    butler = comcam.butler
    butler.registry.decertify("LSSTComCam/calib/X", "crosstalk", __import__("lsst.daf.butler").daf.butler.Timespan(None, None))
    output = comcam.diff(state, 2)
    assert "datasets that were written are not certified in LSSTComCam/calib/X" in output
    assert "were written\n" not in output


def test_curated_calibrations_that_were_never_written_are_not_called_interrupted(comcam: Bench) -> None:
    text = '[curated_calibrations."LSSTComCam/calib/X"]\ninstrument = "lsst.obs.lsst.LsstComCam"\nlabel = "X"\n'
    state = comcam.state(INSTRUMENT + text + 'dataset_types = ["camera", "linearizer"]\n')
    comcam.apply(state, 2)
    output = comcam.diff(state, 2)
    assert "no datasets of linearizer were written" in output
    assert "interrupted" not in output
    assert "not certified" not in output


# ------------------------------------------------------------------------------------------------------ tables


@pytest.mark.parametrize("form", ["ecsv", "csv", "fits"])
def test_files_of_a_table_are_ingested_and_only_missing_rows_are_ingested_again(bench: Bench, form: str) -> None:
    from astropy.table import Table

    folder = bench.folder / "cat"
    folder.mkdir()
    pixels = list(range(131072, 131082))
    for pixel in pixels:
        (folder / f"{pixel}.fits").write_text("stars")
    table = bench.folder / f"t.{form}"
    formats = {"ecsv": "ascii.ecsv", "csv": "ascii.csv", "fits": "fits"}
    Table({"file": [f"{p}.fits" for p in pixels], "htm7": pixels}).write(table, format=formats[form])
    state = bench.state(catalog(table, folder))
    bench.apply_and_check(state)
    butler = bench.butler
    refs = butler.query_datasets("cat", "refcats/one", where="htm7 IN (131073, 131075)")
    butler.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)
    assert "files: 2 of 10 missing" in bench.diff(state, 2)
    assert "2 datasets" in bench.apply_and_check(state)


def catalog(table: Path, folder: Path) -> str:
    return (
        '[dataset_type.cat]\nstorage_class = "SimpleCatalog"\ndimensions = ["htm7"]\n'
        f'[file_ingest."refcats/one"]\ndataset_type = "cat"\ntable = "{table}"\nprefix = "{folder}"\n'
    )


@pytest.mark.parametrize("spelling", ["./131072.fits", "x/../131072.fits", ".//131072.fits"])
def test_a_path_as_find_or_a_script_writes_it_is_the_file_that_was_ingested(bench: Bench, spelling: str) -> None:
    folder = bench.folder / "cat"
    folder.mkdir()
    (folder / "131072.fits").write_text("stars")
    table = bench.folder / "t.csv"
    table.write_text(f"file,htm7\n{spelling},131072\n")
    bench.apply_and_check(bench.state(catalog(table, folder)))


def test_a_text_dimension_may_consist_of_digits(comcam: Bench) -> None:
    comcam.butler.registry.insertDimensionData("group", *({"instrument": "LSSTComCam", "name": name} for name in ("007", "008")))
    for name in ("007", "008"):
        (comcam.folder / f"list_{name}").write_text("list")
    table = comcam.folder / "t.csv"
    table.write_text("file,instrument,group\nlist_007,LSSTComCam,007\nlist_008,LSSTComCam,008\n")
    tables = catalog(table, comcam.folder).replace('dimensions = ["htm7"]', 'dimensions = ["instrument", "group"]')
    comcam.apply_and_check(comcam.state(tables))


def test_a_dataset_with_another_path_than_its_row_is_reported_and_not_overwritten(bench: Bench) -> None:
    folder, other = bench.folder / "cat", bench.folder / "moved"
    for place in (folder, other):
        place.mkdir()
        (place / "131072.fits").write_text("stars")
    table = bench.folder / "t.csv"
    table.write_text("file,htm7\n131072.fits,131072\n")
    bench.apply_and_check(bench.state(catalog(table, folder)))
    state = bench.state(catalog(table, other))
    output = bench.diff(state, 2)
    assert "present with different properties" in output
    bench.apply(state, 2)
    (ref,) = bench.butler.query_datasets("cat", "refcats/one")
    assert str(bench.butler.getURI(ref)).endswith("cat/131072.fits")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,pixel\nx.fits,1\n", 'lacks the column "htm7", a dimension of cat'),
        ("1,htm7\n3,131072\n", 'the first column, "1", must hold file paths, but contains 3'),
        ("file,htm7\nx.fits,131072\ny.fits,131072\n", "two files for"),
        ("", "the table has no columns"),
    ],
)
def test_an_invalid_table_is_an_error_before_anything_is_changed(bench: Bench, content: str, message: str) -> None:
    bench.apply_and_check(bench.state('[dataset_type.cat]\nstorage_class = "SimpleCatalog"\ndimensions = ["htm7"]\n'))
    table = bench.folder / "t.csv"
    table.write_text(content)
    assert message in bench.apply(bench.state(catalog(table, bench.folder)), 1)
    assert not bench.butler.collections.query("*")


# ------------------------------------------------------------------------------------------------------ imports


@pytest.fixture
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_export(tmp_path_factory.mktemp("source"))


def importing(exported: Path, more: str = "") -> str:
    return f'[import.x]\nexport_file = "{exported}/export.yaml"\nroot = "{exported}/files"\n{more}'


def test_an_export_file_is_imported_completely_and_only_once(bench: Bench, exported: Path) -> None:
    state = bench.state(importing(exported))
    output = bench.diff(state, 2)
    assert "missing: 6 datasets, 6 certifications, 3 collections, 1 chain, 1 dataset type, 2 tags" in output
    assert "butler import" in bench.run("diff", state, "--format", "shell").output
    bench.apply_and_check(state)
    butler = bench.butler
    assert len(butler.query_datasets("bias", "run")) == 6
    assert len(butler.query_datasets("bias", "tags")) == 2
    assert tuple(butler.collections.get_info("chain").children) == ("calib", "tags")


def test_an_import_that_is_only_to_be_created_is_absent_until_its_datasets_are_there(bench: Bench, exported: Path) -> None:
    bench.apply(bench.state('[collection.run]\ntype = "RUN"\n'))
    state = bench.state(importing(exported, 'manage = "create"\n'))
    bench.apply_and_check(state)
    refs = bench.butler.query_datasets("bias", "run")
    bench.butler.pruneDatasets(refs[:1], disassociate=True, unstore=True, purge=True)
    bench.apply(state, 2)
    assert "datasets: 1 of 6 missing" in bench.diff(state, 2)


def test_a_chain_of_a_chain_that_another_table_makes_is_made_by_the_apply_after_it(bench: Bench, exported: Path) -> None:
    from lsst.daf.butler import Butler, CollectionType

    source = Butler.from_config(str(exported / "repo"), writeable=True)
    source.collections.register("outer", CollectionType.CHAINED)
    source.collections.redefine_chain("outer", ["chain"])
    with source.export(filename=str(exported / "export.yaml"), transfer=None) as export:
        for collection in ("calib", "tags", "chain", "outer"):
            export.saveCollection(collection)
    state = bench.state(importing(exported) + '[chain.chain]\nchildren = ["calib", "tags"]\n')
    held = "chain outer can be made after chain.chain: chain in it doesn't exist yet; run apply again then"
    assert held in " ".join(bench.apply(state, 2).split())
    bench.apply_and_check(state)
    assert tuple(bench.butler.collections.get_info("outer").children) == ("chain",)


def export_records_alone(exported: Path) -> None:
    """Replace an export file by one with dimension records and nothing else."""
    from lsst.daf.butler import Butler

    source = Butler.from_config(str(exported / "repo"), writeable=True)
    with source.export(filename=str(exported / "export.yaml"), transfer=None) as export:
        for element in ("instrument", "detector"):
            export.saveDimensionData(element, source.query_dimension_records(element, instrument="LSSTComCam"))


def test_dimension_records_are_imported_from_a_file_that_has_nothing_else(bench: Bench, exported: Path) -> None:
    export_records_alone(exported)
    state = bench.state(importing(exported))
    assert re.search(r"missing: \d+ dimension records", bench.diff(state, 2))
    bench.apply_and_check(state)
    assert len(bench.butler.query_dimension_records("detector", instrument="LSSTComCam")) > 1


def test_dimension_records_are_missing_while_there_is_no_repository(empty_bench: Bench, exported: Path) -> None:
    export_records_alone(exported)
    state = empty_bench.state(importing(exported))
    assert re.search(r"missing: \d+ dimension records", empty_bench.diff(state, 2))
    empty_bench.apply_and_check(state)


def test_only_the_missing_part_of_an_export_file_is_imported(bench: Bench, exported: Path) -> None:
    from lsst.daf.butler import Timespan

    state = bench.state(importing(exported))
    bench.apply_and_check(state)
    butler = bench.butler
    refs = butler.query_datasets("bias", "run", where="instrument = 'LSSTComCam' AND detector = 5")
    butler.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)
    butler.registry.decertify("calib", "bias", Timespan(None, None), dataIds=[{"instrument": "LSSTComCam", "detector": 0}])
    output = bench.diff(state, 2)
    assert "datasets: 1 of 6 missing" in output
    assert "certifications: 2 of 6 missing" in output
    certified = "collection=calib  dataset_type=bias  instrument=LSSTComCam  detector={}  validity={}"
    assert certified.format(0, "2024-01-01 00:00:00…\n") in output
    assert certified.format(5, "…2025-01-01 00:00:00\n") in output
    assert "1 dataset, 2 certifications" in bench.apply_and_check(state)


def test_a_chain_of_an_export_file_that_was_changed_is_reported_and_not_reset(bench: Bench, exported: Path) -> None:
    state = bench.state(importing(exported))
    bench.apply_and_check(state)
    bench.butler.collections.register("more")
    bench.butler.collections.redefine_chain("chain", ["tags", "calib", "more"])
    output = bench.diff(state, 2)
    assert "chains: present with different properties" in output
    bench.apply(state, 2)
    assert tuple(bench.butler.collections.get_info("chain").children) == ("tags", "calib", "more")


def test_a_chain_table_overrides_the_chain_of_an_export_file(bench: Bench, exported: Path) -> None:
    state = bench.state(importing(exported) + '[chain.chain]\nchildren = ["tags", "calib"]\n')
    bench.apply_and_check(state)
    assert tuple(bench.butler.collections.get_info("chain").children) == ("tags", "calib")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("universe_version: ", "universe_version: 9", "of the dimension universe; the repository has"),
        ("universe_namespace: daf_butler", "universe_namespace: other", "which the repository doesn't use"),
        ("version: 1.0.2", "version: 7.0.0", "unsupported format version 7.0.0; 1.x is supported"),
        ("!uuid", "!!python/name:os.system", "not an export file"),
        ("type: dataset_type", "type: surprise", 'unknown entry type "surprise"'),
    ],
)
def test_an_export_file_of_another_universe_or_format_is_refused_before_anything_is_written(
    bench: Bench, exported: Path, old: str, new: str, message: str
) -> None:
    file = exported / "export.yaml"
    file.write_text(file.read_text().replace(old, new, 1))
    assert message in bench.apply(bench.state(importing(exported)), 1)
    assert not bench.butler.collections.query("*")


@pytest.mark.parametrize("time", ["2020-13-45 00:00:00", "yesterday", ""])
def test_a_validity_range_that_is_no_time_is_an_error_that_names_the_table(bench: Bench, exported: Path, time: str) -> None:
    state = bench.state(importing(exported))
    bench.apply_and_check(state)
    file = exported / "export.yaml"
    text, number = re.subn(r"(!butler_time/tai/iso) ('[^']*'|\S+)", rf"\1 '{time}'", file.read_text(), count=1)
    assert number == 1
    file.write_text(text)
    output = bench.run("diff", state, expect=1).output
    assert re.match(rf'error: test\.toml:\d+: import\.x: "{time}" is not a time', output), output


def test_a_data_id_with_another_uuid_is_a_conflict_and_nothing_is_changed(bench: Bench, exported: Path) -> None:
    bench.apply_and_check(bench.state(importing(exported)))
    file = exported / "export.yaml"
    fresh = str(uuid.uuid4())
    file.write_text(file.read_text().replace(str(uuid.uuid5(uuid.NAMESPACE_URL, "bias4")), fresh))
    output = bench.apply(bench.state(importing(exported)), 1)
    assert "data IDs that exist with another UUID: 1" in output
    assert len(bench.butler.query_datasets("bias", "run")) == 6


def test_dimension_records_that_differ_from_the_export_file_are_reported(bench: Bench, exported: Path) -> None:
    state = bench.state(importing(exported))
    bench.apply_and_check(state)
    file = exported / "export.yaml"
    file.write_text(file.read_text().replace("visit_max: 7050123199999", "visit_max: 12345"))
    assert "1 records of instrument differ from the file's" in bench.diff(state, 2)


def test_paths_of_another_site_are_replaced_in_an_import(bench: Bench, exported: Path) -> None:
    file = exported / "export.yaml"
    file.write_text(file.read_text().replace("path: bias_", "path: /sdf/old/bias_"))
    bench.apply_and_check(bench.state(importing(exported, f'replace = {{ "/sdf/old/" = "{exported}/files/" }}\n')))


def test_an_import_with_a_missing_file_changes_no_datasets_and_the_next_apply_completes_it(bench: Bench, exported: Path) -> None:
    lost = exported / "files" / "bias_3.fits"
    lost.rename(exported / "aside.fits")
    state = bench.state(importing(exported))
    output = bench.apply(state, 1)
    assert "no such file" in output
    assert "bias" not in {t.name for t in bench.butler.registry.queryDatasetTypes("*")} or not bench.butler.query_datasets(
        "bias", "run", explain=False
    )
    (exported / "aside.fits").rename(lost)
    bench.apply_and_check(state)


# --------------------------------------------------------------------------------------------- tags, expectations


@pytest.fixture
def ingested(comcam: Bench, raws: Path) -> str:
    text = raw(raws) + VISITS
    comcam.apply(comcam.state(text))
    return text


def tagged(more: str) -> str:
    return f'[tagged.chosen]\ndataset_type = "raw"\nfrom = ["LSSTComCam/raw/all"]\n{more}'


def members(bench: Bench) -> set[tuple[int, int]]:
    return {(int(r.dataId["exposure"]), int(r.dataId["detector"])) for r in bench.butler.query_datasets("raw", "chosen")}


def test_members_are_selected_by_an_expression_and_unwanted_ones_are_reported(comcam: Bench, ingested: str) -> None:
    state = comcam.state(ingested + tagged("where = \"instrument = 'LSSTComCam' AND detector = 3\"\n"))
    comcam.apply_and_check(state)
    expected = members(comcam)
    assert {detector for _, detector in expected} == {3}
    butler = comcam.butler
    refs = butler.query_datasets("raw", "LSSTComCam/raw/all", where="instrument = 'LSSTComCam' AND detector IN (3, 4)")
    butler.registry.associate("chosen", [r for r in refs if r.dataId["detector"] == 4])
    butler.registry.disassociate("chosen", [r for r in refs if r.dataId["detector"] == 3][:2])
    output = comcam.diff(state, 2)
    assert f"members: 2 of {len(expected)} missing" in output
    assert "kept without --prune" in output
    comcam.apply(state, 2)
    assert expected < members(comcam)


@pytest.mark.parametrize("what", ["visits", "exposures"])
def test_members_are_selected_by_a_list(comcam: Bench, ingested: str, what: str) -> None:
    chosen = [exposure.id for exposure in campaign.list_exposures(SIZES) if exposure.is_science][:3]
    (comcam.folder / "list.txt").write_text("# good ones\n" + "\n".join(map(str, chosen)) + "\n\n")
    state = comcam.state(ingested + tagged(f'instrument = "LSSTComCam"\n{what} = "list.txt"\n'))
    comcam.apply_and_check(state)
    assert {exposure for exposure, _ in members(comcam)} == set(chosen)


def test_files_are_not_ingested_into_a_name_that_another_type_of_collection_has(bench: Bench) -> None:
    bench.apply_and_check(bench.state("[chain.refcats]\nchildren = []\n"))
    (bench.folder / "t.csv").write_text("filename,htm7\n")
    state = bench.state(
        '[dataset_type.cat]\ndimensions = ["htm7"]\nstorage_class = "SimpleCatalog"\n'
        '[file_ingest.refcats]\ndataset_type = "cat"\ntable = "t.csv"\nprefix = "/data"\n'
    )
    assert "the name is taken by a CHAINED collection" in bench.diff(state, 1)


def test_raws_are_not_ingested_into_a_name_that_another_type_of_collection_has(comcam: Bench, raws: Path) -> None:
    comcam.apply_and_check(comcam.state('[chain."LSSTComCam/taken"]\nchildren = []\n'))
    state = comcam.state(raw(raws).replace("LSSTComCam/raw/all", "LSSTComCam/taken"))
    taken = "the name is taken by a CHAINED collection"
    assert taken in comcam.diff(state, 1)
    assert taken in comcam.apply(state, 1)
    assert list(comcam.butler.collections.query("*")) == ["LSSTComCam/taken"]


def test_members_of_another_collection_take_the_place_of_those_with_their_data_ids(bench: Bench) -> None:
    tables = ""
    for name in ("a", "b"):
        folder = bench.folder / name
        folder.mkdir()
        for pixel in (131072, 131073):
            (folder / f"{pixel}.fits").write_text("stars")
        (bench.folder / f"{name}.csv").write_text("file,htm7\n131072.fits,131072\n131073.fits,131073\n")
        tables += f'[file_ingest.{name}]\ndataset_type = "cat"\ntable = "{name}.csv"\nprefix = "{folder}"\n'
    head = '[dataset_type.cat]\nstorage_class = "SimpleCatalog"\ndimensions = ["htm7"]\n'
    tagged = '[tagged.chosen]\ndataset_type = "cat"\nfrom = ["a"]\n'
    bench.apply_and_check(bench.state(head + tables + tagged))
    state = bench.state(head + tables + tagged.replace('"a"', '"b"'))
    assert "2 members can't be added while another dataset with the same data ID is one" in bench.diff(state, 2)
    assert "failed 0" in bench.apply(state, 2)
    bench.apply(state, 0, "--prune", "--prune-limit", "2")
    assert "is in sync" in bench.diff(state, 0)
    assert {ref.run for ref in bench.butler.query_datasets("cat", "chosen")} == {"b"}


def test_a_list_of_exposures_of_a_dataset_type_without_them_is_an_error(comcam: Bench, ingested: str) -> None:
    (comcam.folder / "list.txt").write_text("2024110800001\n")
    (comcam.folder / "131072.fits").write_text("stars")
    (comcam.folder / "t.csv").write_text("file,htm7\n131072.fits,131072\n")
    comcam.apply(comcam.state(catalog(comcam.folder / "t.csv", comcam.folder)))
    listed = '[tagged.chosen]\ndataset_type = "cat"\nfrom = ["refcats/one"]\ninstrument = "LSSTComCam"\nexposures = "list.txt"\n'
    assert "exposures: dataset type cat has no dimension exposure" in comcam.diff(comcam.state(listed), 1)


def test_raws_in_a_chain_are_compared_by_a_table_that_only_watches_them(comcam: Bench, ingested: str, raws: Path) -> None:
    comcam.apply_and_check(comcam.state('[chain."LSSTComCam/all"]\nchildren = ["LSSTComCam/raw/all"]\n'))
    watched = raw(raws).replace("LSSTComCam/raw/all", "LSSTComCam/all") + 'manage = "observe"\n'
    assert "is in sync" in comcam.diff(comcam.state(watched), 0)


@pytest.mark.parametrize("quick", [(), ("--quick",)])
def test_listed_visits_are_mapped_to_exposures_before_raws_are_queried(
    comcam: Bench, ingested: str, monkeypatch: pytest.MonkeyPatch, quick: tuple[str, ...]
) -> None:
    monkeypatch.setattr("reconciler.systems.policy.LISTED", 3)
    (comcam.folder / "list.txt").write_text("2024110800002\n2024110800003\n")
    state = comcam.state(ingested + tagged('instrument = "LSSTComCam"\nvisits = "list.txt"\n'))
    comcam.apply_and_check(state)
    dimensions: list[str] = []

    def with_bound_values(instrument: str, dimension: str, values: Sequence[Any]) -> tuple[str, dict[str, Any]]:
        dimensions.append(dimension)
        return real(instrument, dimension, values)

    real = queries.with_bound_values
    for module in ("counts", "datasets"):
        monkeypatch.setattr(f"reconciler.systems.butler.{module}.with_bound_values", with_bound_values)
    comcam.diff(state, 0, *quick)
    assert set(dimensions) == ({"exposure"} if quick else set())  # raws of all detectors need not be counted


def test_listed_exposures_without_raws_are_waited_for(comcam: Bench, ingested: str) -> None:
    (comcam.folder / "list.txt").write_text("2024110800002\n2099010100001\n")
    state = comcam.state(ingested + tagged('instrument = "LSSTComCam"\nexposures = "list.txt"\n'))
    assert "1 listed exposure has no raw in LSSTComCam/raw/all yet" in comcam.apply(state, 2)


def test_an_invalid_line_in_a_list_is_an_error_with_its_line_number(comcam: Bench, ingested: str) -> None:
    (comcam.folder / "list.txt").write_text("2024110800002\nhello\n")
    state = comcam.state(ingested + tagged('instrument = "LSSTComCam"\nexposures = "list.txt"\n'))
    assert 'list.txt:2: "hello" is not the number of a visit or exposure' in comcam.diff(state, 1)


def test_an_invalid_expression_is_an_error_that_names_its_table(comcam: Bench, ingested: str) -> None:
    state = comcam.state(ingested + tagged('where = "detector = = 3"\n'))
    output = comcam.diff(state, 1)
    assert "tagged.chosen" in output
    assert "detector = = 3" in output


@pytest.mark.parametrize(
    ("expected", "code"), [(f"count = {N_RAWS}", 0), (f"min = {N_RAWS}", 0), (f"max = {N_RAWS - 1}", 2), ("count = 7", 2)]
)
def test_an_expectation_counts_datasets_in_the_registry(comcam: Bench, ingested: str, expected: str, code: int) -> None:
    text = f'[expect.e]\ndataset_type = "raw"\ncollections = ["LSSTComCam/raw/all"]\n{expected}\n'
    comcam.diff(comcam.state(ingested + text), code)


def test_an_unmet_expectation_names_what_is_missing_and_nothing_is_changed(comcam: Bench, ingested: str) -> None:
    text = f'[expect.e]\ndataset_type = "raw"\ncollections = ["LSSTComCam/raw/all"]\ncount = {N_RAWS}\n'
    remove_raws(comcam, "exposure.seq_num = 2 AND detector = 5")
    state = comcam.state(text)
    output = comcam.apply(state, 2)
    assert f"{N_RAWS - 2} datasets, {N_RAWS} expected" in output
    assert "detector" not in output, "two exposures never had all detectors, so these are not known to be missing"
    assert "changed 0" in output
    nights = "where = \"instrument = 'LSSTComCam' AND exposure.seq_num = 2\"\n"
    output = comcam.diff(comcam.state(text.replace(str(N_RAWS), "18") + nights), 2)
    assert "count: 16 datasets, 18 expected" in output
    assert "20241108   2024110800002   detector 5" in output


def test_an_unmet_expectation_refers_to_the_resource_whose_members_are_missing(comcam: Bench, ingested: str) -> None:
    text = f'[expect.e]\ndataset_type = "raw"\ncollections = ["LSSTComCam/raw/all"]\ncount = {N_RAWS}\n'
    remove_raws(comcam, "exposure.seq_num = 2 AND detector = 5")
    output = comcam.diff(comcam.state(ingested + text), 2)
    assert "20241108   CC_O_20241108_000002   detector R22_S12" in output
    assert f'{N_RAWS - 2} datasets, {N_RAWS} expected; raw."LSSTComCam/raw/all" lacks 2 of its raws' in output
    assert "2024110800002" not in output


def test_a_dataset_without_a_datastore_record_is_reported_and_not_considered_ingested(sqlite_bench: Bench) -> None:
    from lsst.daf.butler import DatasetType

    butler = sqlite_bench.butler
    cat = DatasetType("cat", ["htm7"], "SimpleCatalog", universe=butler.dimensions)
    butler.registry.registerDatasetType(cat)
    butler.collections.register("refcat")
    butler.registry.insertDatasets(cat, [{"htm7": 131072}], run="refcat")
    (sqlite_bench.folder / "t.csv").write_text("file,htm7\n131072.fits,131072\n")
    table = '[file_ingest.refcat]\ndataset_type = "cat"\ntable = "t.csv"\nprefix = "/data"\n'
    output = sqlite_bench.diff(sqlite_bench.state(table), 2)
    assert "existing_path=none in the datastore" in output
    assert "changed 0" in sqlite_bench.apply(sqlite_bench.state(table), 2)
