"""The number of queries doesn't grow with the size of the state; members are listed unless a proof or --quick replaces that."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import dying
import pytest
from conftest import Bench
from inputs import register_nights
from postgres_wire import counting_round_trips, listen_at
from webdav import serving

from reconciler.cli.progress import ConsoleProgress
from reconciler.playground import campaign
from reconciler.playground.world import Sizes, World
from reconciler.systems import workers
from reconciler.systems.butler import write_datasets
from reconciler.systems.butler.datasets import DatasetReader
from reconciler.systems.butler.repository import Repository

PARSL = """\
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider

config = Config(
    run_dir={folder!r},
    usage_tracking=0,
    executors=[
        HighThroughputExecutor(
            address="127.0.0.1",
            loopback_address="127.0.0.1",
            max_workers_per_node=1,
            encrypted=False,
            provider=LocalProvider(init_blocks=2, max_blocks=2),
        )
    ],
)
"""
PIXELS = range(131072, 131092)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat four members as many, instead of a thousand."""
    monkeypatch.setattr("reconciler.systems.policy.LISTED", 3)


def catalog(bench: Bench, pixels: range = PIXELS) -> Path:
    folder = bench.folder / "cat"
    folder.mkdir(exist_ok=True)
    for pixel in pixels:
        (folder / f"{pixel}.fits").write_text("stars")
    (bench.folder / "t.csv").write_text("file,htm7\n" + "".join(f"{pixel}.fits,{pixel}\n" for pixel in pixels))
    return bench.state(
        '[dataset_type.cat]\nstorage_class = "SimpleCatalog"\ndimensions = ["htm7"]\n'
        f'[file_ingest.refcat]\ndataset_type = "cat"\ntable = "t.csv"\nprefix = "{folder}"\n'
        '[tagged.some]\ndataset_type = "cat"\nfrom = ["refcat"]\nwhere = "htm7 < 131086"\n'
    )


def count_queries(bench: Bench, state: Path, *words: str) -> tuple[int, int]:
    """Return the number of SQL statements and of Rucio calls of a diff."""
    stats = json.loads(bench.run("diff", state, "--stats", "--format", "json", *words).output)["states"][0]["stats"]
    return stats["statements"], stats["calls"]


@pytest.mark.usefixtures("few")
def test_how_members_were_compared_is_reported(bench: Bench) -> None:
    state = catalog(bench)
    bench.apply(state)
    output = bench.diff(state, 0, "-v")
    assert "20 files by proof" in output
    assert "14 members by members" in output
    assert "by count only" not in output
    output = bench.diff(state, 0, "-v", "--quick")
    assert "20 files by count" in output
    assert "14 members by count" in output
    assert "is in sync: 4 resources, 2 of them by count only, checked in" in output
    assert json.loads(bench.diff(state, 0, "--quick", "--format", "json"))["summary"]["by_count"] == 2
    output = bench.diff(state, 0, "-v", "--deep")
    assert "20 files by members" in output
    assert "14 members by members" in output
    assert "give only one of them" in bench.diff(state, 64, "--deep", "--quick")


@pytest.mark.usefixtures("few")
def test_an_apply_and_the_summary_of_differences_report_what_was_compared_by_count(bench: Bench) -> None:
    state = catalog(bench)
    bench.apply(state)
    state.write_text(state.read_text() + '[collection.more]\ntype = "RUN"\n')
    assert "2 resources compared by count only." in bench.diff(state, 2, "--quick")
    assert "2 resources compared by count only." in bench.apply(state, 0, "--quick")
    journal = Path(bench.environment["XDG_STATE_HOME"]) / "rubin-reconciler" / "journal.jsonl"
    begun = [event for event in map(json.loads, journal.read_text().splitlines()) if event["event"] == "begin"]
    assert [event["by_count"] for event in begun] == [0, 2]


@pytest.mark.usefixtures("few")
def test_a_difference_with_equal_counts_is_found_except_with_quick(bench: Bench) -> None:
    state = catalog(bench)
    bench.apply_and_check(state)
    text = (bench.folder / "t.csv").read_text()
    (bench.folder / "t.csv").write_text(text.replace("131091.fits,131091", "131091.fits,131099"))
    bench.diff(state, 0, "--quick")
    assert "files: 1 of 20 missing" in bench.diff(state, 2)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(("step", "most", "lists"), [(1, 100, 0), (3, 20, 0), (3, 19, 1)])
def test_shards_are_counted_in_ranges_and_listed_if_these_are_many(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, step: int, most: int, lists: int
) -> None:
    state = catalog(bench, range(131072, 131072 + 20 * step, step))
    bench.apply_and_check(state)
    monkeypatch.setattr("reconciler.systems.butler.counts.MOST_RANGES", most)
    listed: list[str] = []
    data_ids = DatasetReader.data_ids

    def record(reader: DatasetReader, dataset_type: str, *arguments: Any, **options: Any) -> Any:
        listed.append(dataset_type)
        return data_ids(reader, dataset_type, *arguments, **options)

    monkeypatch.setattr(DatasetReader, "data_ids", record)
    shutil.rmtree(bench.environment["XDG_STATE_HOME"])
    assert "20 files by members" in bench.diff(state, 0, "-v")
    assert len(listed) == lists


@pytest.mark.usefixtures("few")
def test_a_table_that_lacks_a_column_is_an_error_even_if_its_count_agrees(bench: Bench) -> None:
    state = catalog(bench)
    bench.apply_and_check(state)
    table = bench.folder / "t.csv"
    table.write_text(table.read_text().replace("file,htm7", "file,pixel"))
    assert 'lacks the column "htm7"' in bench.diff(state, 1)


@pytest.mark.usefixtures("few")
def test_a_missing_dataset_is_found_by_its_count(bench: Bench) -> None:
    state = catalog(bench)
    bench.apply_and_check(state)
    butler = bench.butler
    butler.pruneDatasets(
        butler.query_datasets("cat", "refcat", where="htm7 = 131080"), disassociate=True, unstore=True, purge=True
    )
    output = bench.diff(state, 2)
    assert "131080" in output
    assert "1 of 20 missing" in output
    bench.apply_and_check(state)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("behind_webdav", [False, True])
def test_raws_are_compared_with_rucio_by_a_proof_and_missing_ones_are_named(
    comcam: Bench, world: World, fresh_scope: str, client: Any, behind_webdav: bool
) -> None:
    if not behind_webdav:
        check_incomplete_nights(comcam, world, fresh_scope, client, "")
        return
    with serving(world.root) as url:
        check_incomplete_nights(comcam, world, fresh_scope, client, url)


def check_incomplete_nights(comcam: Bench, world: World, fresh_scope: str, client: Any, url: str) -> None:
    """Ingest some nights, remove one raw, and check that diff names its night alone."""
    folder = register_nights(world, client, fresh_scope, Sizes(nights=5, exposures=2))
    location = f"{url}/{folder.relative_to(world.root)}" if url else folder
    state = comcam.state(
        f'[raw."LSSTComCam/raw/all"]\ninstrument = "LSSTComCam"\nlocations = ["{location}"]\n'
        f'delivered_by = ["{fresh_scope}:Dataset/*"]\n'
        "data_id = '(?P<obs_id>CC_O_\\d{8}_\\d{6})_(?P<full_name>R\\d\\d_S\\d\\d)\\.fits'\nsidecars = 1\n",
        rucio=True,
    )
    comcam.environment |= world.environment()
    comcam.apply_and_check(state)
    assert "90 raws by proof" in comcam.diff(state, 0, "-v")
    assert "90 raws by count" in comcam.diff(state, 0, "-v", "--quick")
    butler = comcam.butler
    where = "instrument = 'LSSTComCam' AND exposure.day_obs = 20241110 AND exposure.seq_num = 2 AND detector = 4"
    butler.pruneDatasets(
        butler.query_datasets("raw", "LSSTComCam/raw/all", where=where), disassociate=True, unstore=True, purge=True
    )
    output = comcam.diff(state, 2)
    assert "raws: 1 of 90 missing" in output
    assert "20241110" in output
    assert "20241109" not in output
    assert "1 raw" in comcam.apply_and_check(state)


def test_the_number_of_butler_queries_does_not_grow_with_the_number_of_resources(bench: Bench) -> None:
    def state(count: int) -> Path:
        runs = "".join(f'[collection.run{n}]\ntype = "RUN"\n[chain.chain{n}]\nchildren = ["run{n}"]\n' for n in range(count))
        types = "".join(f'[dataset_type.type{n}]\nstorage_class = "ArrowAstropy"\ndimensions = ["htm7"]\n' for n in range(count))
        return bench.state(runs + types)

    few, many = state(2), None
    bench.apply_and_check(few)
    first = count_queries(bench, few)[0]
    many = state(40)
    bench.apply(many)
    assert count_queries(bench, many)[0] == first < 30


@pytest.mark.usefixtures("few")
def test_the_number_of_butler_queries_does_not_grow_with_the_number_of_datasets(bench: Bench) -> None:
    state = catalog(bench, range(131072, 131082))
    bench.apply_and_check(state)
    first = count_queries(bench, state)[0]
    state = catalog(bench, range(131072, 131172))
    bench.apply_and_check(state)
    assert count_queries(bench, state)[0] == first < 40


def test_statements_of_other_engines_are_not_counted(sqlite_bench: Bench) -> None:
    import sqlalchemy

    statements: list[int] = []
    repository = Repository(str(sqlite_bench.repo), on_statement=lambda: statements.append(1))
    assert repository.ready
    opening = len(statements)
    assert opening, "opening a repository queries its registry"
    with sqlalchemy.create_engine("sqlite://").connect() as connection:
        connection.execute(sqlalchemy.text("select 1"))
    assert len(statements) == opening
    repository.records("instrument")
    assert len(statements) > opening
    repository.close()


def test_round_trips_to_postgresql_do_not_grow_with_tagged_members(
    postgres_bench: Bench, world: World, short_folder: Path
) -> None:
    state = catalog(postgres_bench, range(131072, 131772))
    postgres_bench.run("apply", state, "--yes", "--only", "file_ingest.*", "--with-needs", expect=0)
    text = state.read_text()
    counts = []
    with counting_round_trips(short_folder, str(world.read_record()["postgres"])) as trips:
        listen_at(postgres_bench, world, short_folder)
        for last in (131072 + 150, 131072 + 650):
            state.write_text(text.replace("htm7 < 131086", f"htm7 < {last}"))
            before = trips.inserts
            postgres_bench.apply(state)
            counts.append(trips.inserts - before)
            found = postgres_bench.butler.query_datasets("cat", "some", limit=None, find_first=False)
            assert {ref.dataId["htm7"] for ref in found} == set(range(131072, last))
        assert "is in sync" in postgres_bench.diff(state, 0, "--deep")
    assert counts[1] - counts[0] < 10, "500 members against 150"


def test_bulk_work_is_done_by_several_workers(postgres_bench: Bench) -> None:
    assert "changed 3" in postgres_bench.apply(catalog(postgres_bench), 0, "--jobs", "2")
    postgres_bench.apply_and_check(catalog(postgres_bench))


def test_the_unfinished_work_of_a_worker_that_died_is_repeated(postgres_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_datasets, "ingest_chunk", dying.ingest_chunk)
    output = postgres_bench.apply(catalog(postgres_bench), 0, "--jobs", "2")
    assert "a worker died" in output
    monkeypatch.undo()
    postgres_bench.apply_and_check(catalog(postgres_bench))


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_ends_bulk_work_after_the_chunk_in_flight(bench: Bench, monkeypatch: pytest.MonkeyPatch, jobs: str) -> None:
    monkeypatch.setattr("reconciler.systems.bulk.CHUNK", 1)
    monkeypatch.setattr("reconciler.cli.interrupts.GRACE", 600)  # it would end this process
    sent: list[int] = []

    def interrupt_once(self: ConsoleProgress, what: str, done: int, total: int) -> None:
        if not sent:  # the second one would end this process at once
            os.kill(os.getpid(), signal.SIGINT)
        sent.append(done)

    monkeypatch.setattr(ConsoleProgress, "report_bulk", interrupt_once)
    state = catalog(bench)
    output = bench.apply(state, 130, "--jobs", jobs)
    assert "stopped between two chunks" in output
    butler = bench.butler
    assert 1 <= len(butler.query_datasets("cat", "refcat")) < len(PIXELS)
    monkeypatch.undo()
    bench.apply_and_check(state)


@pytest.mark.slow
def test_bulk_work_is_done_by_parsl_workers(comcam: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code path is that of a batch system, with two blocks on this machine."""
    from reconciler.playground.world import Sizes

    monkeypatch.setattr(workers, "BATCH", 3)
    for exposure in campaign.list_exposures(Sizes(nights=1, exposures=3)):
        campaign.write_exposure(comcam.folder / "raw" / "LSSTComCam", exposure)
    config = comcam.folder / "parsl_config.py"
    config.write_text(PARSL.format(folder=str(comcam.folder / "runinfo")))
    text = catalog(comcam).read_text().partition("[dataset_type")
    state = comcam.folder / "test.toml"
    raws = f'[raw."LSSTComCam/raw/all"]\ninstrument = "LSSTComCam"\nlocations = ["{comcam.folder}/raw/LSSTComCam"]\n'
    state.write_text(text[0] + raws + text[1] + text[2])
    comcam.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    assert "failed 0" in comcam.apply(state, 0, "--parsl", str(config))
    comcam.apply_and_check(state)


@pytest.mark.parametrize(("content", "message"), [("config = 1 / 0\n", "ZeroDivisionError"), ("x = 1\n", "KeyError")])
def test_an_invalid_parsl_configuration_is_an_error(postgres_bench: Bench, content: str, message: str) -> None:
    config = postgres_bench.folder / "parsl_config.py"
    config.write_text(content)
    output = postgres_bench.apply(catalog(postgres_bench), 1, "--parsl", str(config))
    assert message in output
    assert "not a Parsl configuration" in output
