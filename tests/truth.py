"""Ways to break a repository that is in sync, and what a diff must then report: each is a row of the table of `make truth`.

``python tests/truth.py`` breaks a world on SQLite and PostgreSQL in all these ways, and prints which of them a diff noticed.
"""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.playground import campaign
from reconciler.playground.world import Sizes

SIZES = Sizes(nights=3, exposures=3)
NIGHTS = campaign.list_nights(SIZES)
N_RAWS = 9 * 3 * 3
PIXELS = range(131072, 131080)
RAW = 'raw."LSSTComCam/raw/all"'
CURATED = "LSSTComCam/calib/X"
DATA_ID = r"(?P<obs_id>CC_[A-Z]_\d{8}_\d{6})_(?P<full_name>R\d\d_S\d\d)\.fits"

STATE = """\
[instrument.LSSTComCam]
class = "lsst.obs.lsst.LsstComCam"
[raw."LSSTComCam/raw/all"]
instrument = "LSSTComCam"
locations = ["{files}/raw/LSSTComCam"]
data_id = '{data_id}'
[curated_calibrations."LSSTComCam/calib/X"]
instrument = "LSSTComCam"
label = "X"
[dataset_type.cat]
storage_class = "SimpleCatalog"
dimensions = ["htm7"]
[file_ingest.refcat]
dataset_type = "cat"
table = "t.csv"
prefix = "{files}/cat"
[import.biases]
export_file = "export.yaml"
root = "{files}/export/files"
[tagged.chosen]
dataset_type = "raw"
from = ["LSSTComCam/raw/all"]
where = "instrument = 'LSSTComCam' AND detector = 3"
[tagged.listed]
dataset_type = "raw"
from = ["LSSTComCam/raw/all"]
instrument = "LSSTComCam"
exposures = "list.txt"
[expect.raws]
dataset_type = "raw"
collections = ["LSSTComCam/raw/all"]
count = 81
"""


THREE_DAYS = 3 * 86_400 * 10**9


def age(butler: Any) -> None:
    """Move the dates of all datasets three days back."""
    import sqlalchemy

    database = butler._registry._db
    name = f"{database.namespace}.dataset" if database.namespace else "dataset"
    engine = sqlalchemy.create_engine(database._engine.url, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"update {name} set ingest_date = ingest_date - {THREE_DAYS}"))


class Broken:
    """A world that a case breaks: a folder with a state and its inputs, the files, and a repository."""

    def __init__(self, folder: Path, repo: Path, files: Path) -> None:
        from lsst.daf.butler import Butler

        self.folder, self.repo, self.files = folder, repo, files
        self.butler: Any = Butler.from_config(str(repo), writeable=True)

    def find(self, dataset_type: str, run: str, **data_id: Any) -> Any:
        """Return the datasets of a type in a collection with some values of dimensions."""
        where = " AND ".join(f"{name} = {value!r}" for name, value in data_id.items())
        return self.butler.query_datasets(dataset_type, run, where=where, find_first=False)

    def find_raw(self, night: int, sequence: int, detector: int) -> Any:
        (ref,) = self.find(
            "raw", "LSSTComCam/raw/all", instrument="LSSTComCam", exposure=night * 100_000 + sequence, detector=detector
        )
        return ref

    def remove(self, *refs: Any) -> None:
        self.butler.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)

    def add_raw(self, night: int, sequence: int, detector: int) -> None:
        """Ingest a raw that the state doesn't name."""
        exposure = campaign.Exposure(night, sequence)
        paths = campaign.write_exposure(self.folder / "stray", exposure)
        self.ingest_raws([str(paths[detector])])

    def ingest_raws(self, paths: list[str]) -> None:
        from standin.ingest import RawIngestConfig, RawIngestTask

        RawIngestTask(RawIngestConfig(transfer="direct"), butler=self.butler).run(paths)

    def ingest(self, dataset_type: str, run: str, path: Path, id: uuid.UUID | None = None, **data_id: Any) -> None:
        """Ingest a file."""
        from lsst.daf.butler import DatasetRef, FileDataset

        definition = self.butler.get_dataset_type(dataset_type)
        coordinate = self.butler.registry.expandDataId(dimensions=definition.dimensions, **data_id)
        ref = DatasetRef(definition, coordinate, run=run, **({"id": id} if id else {}))
        formatter = "lsst.obs.base.formatters.fitsExposure.FitsExposureFormatter"
        self.butler.ingest(FileDataset(path=str(path), refs=[ref], formatter=formatter), transfer="direct")

    def forget_record(self, ref: Any) -> None:
        """Let the datastore forget a dataset that the registry keeps."""
        self.butler._datastore.forget([ref])

    def point_record(self, ref: Any, path: str) -> None:
        """Let the datastore's record of a dataset point at another file."""
        from lsst.daf.butler import FileDataset

        self.forget_record(ref)
        self.butler._datastore.ingest(FileDataset(path=path, refs=[ref]), transfer="direct")

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in the state or one of its inputs."""
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


@dataclass(frozen=True)
class Case:
    """A way to break a world.

    Parameters
    ----------
    name : `str`
        What was done.
    break_world : `Callable`
        Does it.
    address : `str`
        The resource that a diff must name.
    named : `tuple` [`str`, ...]
        What else the output must contain, such as the missing member.
    code, deep_code : `int`
        Exit codes of a diff, and of one with --deep.
    """

    name: str
    break_world: Callable[[Broken], None]
    address: str
    named: tuple[str, ...]
    code: int = 2
    deep_code: int = 2


def swap_raws(removed: int, added: int) -> Callable[[Broken], None]:
    def break_world(world: Broken) -> None:
        world.remove(world.find_raw(removed, 1, 4))
        world.add_raw(added, 8, 2)

    return break_world


def unbalance_three_nights(world: Broken) -> None:
    world.remove(world.find_raw(NIGHTS[0], 1, 4), world.find_raw(NIGHTS[2], 2, 5))
    world.add_raw(NIGHTS[1], 8, 2)
    world.add_raw(NIGHTS[1], 8, 3)


def swap_tags(world: Broken) -> None:
    (tagged, *_) = world.find("raw", "chosen", instrument="LSSTComCam", exposure=NIGHTS[0] * 100_000 + 1)
    world.butler.registry.disassociate("chosen", [tagged])
    world.butler.registry.associate("chosen", [world.find_raw(NIGHTS[0], 1, 4)])


def swap_listed_tags(world: Broken) -> None:
    world.butler.registry.disassociate("listed", [world.find_raw(NIGHTS[0], 1, 4)])
    world.butler.registry.associate("listed", [world.find_raw(NIGHTS[0], 2, 4)])


def tag_from_another_run(world: Broken) -> None:
    """Replace a member by the dataset of another RUN collection that has the same data ID."""
    tagged = world.find_raw(NIGHTS[0], 1, 3)
    world.ingest("raw", "other", Path(world.butler.getURI(tagged).ospath), **dict(tagged.dataId.required))
    (stray,) = world.butler.query_datasets("raw", "other")
    world.butler.registry.disassociate("chosen", [tagged])
    world.butler.registry.associate("chosen", [stray])


def swap_shards(world: Broken) -> None:
    world.remove(*world.find("cat", "refcat", htm7=131075))
    world.ingest("cat", "refcat", world.files / "cat" / "131075.fits", htm7=131199)


def replace_uuid(world: Broken) -> None:
    world.remove(*world.find("bias", "run", instrument="LSSTComCam", detector=2))
    world.ingest("bias", "run", world.files / "export/files/bias_2.fits", uuid.uuid4(), instrument="LSSTComCam", detector=2)


def edit_table(world: Broken) -> None:
    world.edit("t.csv", "131079.fits,131079", "131079.fits,131198")


def edit_list(world: Broken) -> None:
    world.edit("list.txt", f"{NIGHTS[0]}00001", f"{NIGHTS[0]}00002")


def edit_export(world: Broken) -> None:
    old = str(uuid.uuid5(uuid.NAMESPACE_URL, "bias5"))
    world.edit("export.yaml", uuid.UUID(old).hex if uuid.UUID(old).hex in (world.folder / "export.yaml").read_text() else old,
               uuid.uuid5(uuid.NAMESPACE_URL, "another").hex)  # fmt: skip


def forget_raw(world: Broken) -> None:
    world.forget_record(world.find_raw(NIGHTS[1], 2, 6))


def forget_shard(world: Broken) -> None:
    world.forget_record(*world.find("cat", "refcat", htm7=131076))


def forget_bias(world: Broken) -> None:
    world.forget_record(*world.find("bias", "run", instrument="LSSTComCam", detector=3))


def point_raw(world: Broken) -> None:
    other = world.butler.getURI(world.find_raw(NIGHTS[1], 2, 7))
    world.point_record(world.find_raw(NIGHTS[1], 2, 6), other.ospath)


def point_shard(world: Broken) -> None:
    world.point_record(*world.find("cat", "refcat", htm7=131076), str(world.files / "cat" / "131077.fits"))


def point_bias(world: Broken) -> None:
    (ref,) = world.find("bias", "run", instrument="LSSTComCam", detector=3)
    world.point_record(ref, str(world.files / "export/files/bias_4.fits"))


def decertify(world: Broken) -> None:
    from lsst.daf.butler import Timespan

    data_id = world.butler.registry.expandDataId(instrument="LSSTComCam", detector=3)
    world.butler.registry.decertify(CURATED, "crosstalk", Timespan(None, None), dataIds=[data_id])


def never_write(world: Broken) -> None:
    (run,) = (name for name in world.butler.collections.query(f"{CURATED}/curated/*"))
    world.remove(*(ref for name in ("crosstalk", "defects") for ref in world.butler.query_datasets(name, run)))
    world.butler.registry.removeCollection(run)


def certify_more(world: Broken) -> None:
    from lsst.daf.butler import Timespan

    (ref,) = world.find("bias", "run", instrument="LSSTComCam", detector=3)
    world.butler.registry.certify(CURATED, [ref], Timespan(None, None))


def certify_otherwise(world: Broken) -> None:
    from astropy.time import Time
    from lsst.daf.butler import Timespan

    decertify(world)
    (run,) = world.butler.collections.query(f"{CURATED}/curated/*")
    (ref,) = world.find("crosstalk", run, instrument="LSSTComCam", detector=3)
    world.butler.registry.certify(CURATED, [ref], Timespan(Time("2024-01-01", scale="tai"), None))


def name_no_location(world: Broken) -> None:
    (world.folder / "empty").mkdir()
    world.edit("test.toml", f'"{world.files}/raw/LSSTComCam"', f'"{world.files}/raw/LSSTComCam", "{world.folder}/empty"')


def match_few_files(world: Broken) -> None:
    world.edit("test.toml", r"R\d\d_S\d\d", r"R\d\d_S0\d")


def lose_raws(world: Broken) -> None:
    world.remove(world.find_raw(NIGHTS[0], 1, 4), world.find_raw(NIGHTS[0], 1, 5))


RAW_NAMED = f"{NIGHTS[0]}   CC_O_{NIGHTS[0]}_000001   detector R22_S11"
CASES = (
    Case("a raw removed, another added in the same night", swap_raws(NIGHTS[0], NIGHTS[0]), RAW, (RAW_NAMED, "000008")),
    Case("a raw removed, another added in another night", swap_raws(NIGHTS[0], NIGHTS[1]), RAW, (RAW_NAMED, "000008")),
    Case("three nights off by -1, +2, -1", unbalance_three_nights, RAW, (RAW_NAMED, f"CC_O_{NIGHTS[2]}_000002", "S12")),
    Case("a member untagged, another tagged", swap_tags, "tagged.chosen", ("1 of 9 missing", f"{NIGHTS[0]}00001", "unwanted")),
    Case("a listed member untagged, another tagged", swap_listed_tags, "tagged.listed", ("1 of 18 missing", f"{NIGHTS[0]}00002")),
    Case("a member of another RUN collection", tag_from_another_run, "tagged.chosen", ("1 of 9 missing", "unwanted")),
    Case("a shard of a catalog swapped", swap_shards, "file_ingest.refcat", ("131075", "131199")),
    Case("the UUID of an import replaced", replace_uuid, "import.biases", ("detector=2", "another UUID"), 1, 1),
    Case("a row of the table edited", edit_table, "file_ingest.refcat", ("131198", "1 of 8 missing")),
    Case("the list edited", edit_list, "tagged.listed", (f"{NIGHTS[0]}00002", "9 of 18 missing")),
    Case("the export file edited", edit_export, "import.biases", ("detector=5", "another UUID"), 1, 1),
    Case("a raw without a record", forget_raw, RAW, ("000002", "R22_S20", "none in the datastore"), 0),
    Case("a shard without a record", forget_shard, "file_ingest.refcat", ("131076", "none in the datastore"), 0),
    Case("an import without a record", forget_bias, "import.biases", ("detector=3", "none in the datastore"), 0),
    Case("a record of another raw's file", point_raw, RAW, ("R22_S20", "R22_S21.fits"), 0),
    Case("a record of another shard's file", point_shard, "file_ingest.refcat", ("131076", "131077.fits"), 0),
    Case("a record of another import's file", point_bias, "import.biases", ("detector=3", "bias_4.fits"), 0),
    Case("a curated calibration decertified", decertify, "curated_calibrations", ("crosstalk", "detector=3", "1 of 19 missing")),
    Case("curated calibrations never written", never_write, "curated_calibrations", ("      crosstalk", "missing")),
    Case("an additional certification", certify_more, "curated_calibrations", ("dataset_type=bias", "not in the state")),
    Case("another validity range", certify_otherwise, "curated_calibrations", ("detector=3", "2024-01-01")),
    Case("a location without files", name_no_location, RAW, ("no file in", "/empty")),
    Case("data_id matches some files", match_few_files, RAW, ("54 of 81 files don't match data_id", "R22_S22.fits")),
    Case("an expectation that fails", lose_raws, "expect.raws", (f"79 datasets, 81 expected; {RAW} lacks 2 of its raws",)),
)  # fmt: skip


WITH_RUCIO = {
    "a raw and its index file in Rucio missing": "test_a_raw_missing_together_with_its_index_file_in_rucio_is_noticed",
    "a raw missing, a stray exposure record": "test_a_raw_missing_together_with_a_stray_exposure_record_is_noticed",
    "a raw that Rucio no longer lists": "test_a_raw_that_rucio_no_longer_lists_is_reported_and_never_removed",
    "a raw added to an open dataset": "test_a_raw_added_to_an_open_dataset_is_noticed",
    "a night that is delivered while the state is watched": "test_of_a_collection_that_grows_only_the_newer_part_is_listed",
    "whatever breaks while a collection grows": "test_what_breaks_while_a_collection_grows_is_noticed",
    "delivered_by matches nothing": "test_datasets_that_match_nothing_are_waited_for",
    "data_id matches some of Rucio's files": "test_files_that_data_id_does_not_match_are_reported",
}
"""Rows of the table that test_truth_of_raws.py checks, with its tests; each runs on both databases."""
IN_RUCIO = (
    "a file was attached, and its rule was not evaluated yet",
    "a file was attached two hours ago, and its rule was never evaluated",
    "a replica was declared bad",
    "a rule has less than seven days left",
    "a rule has less than a quarter of its lifetime left",
    "a rule that should stay was given a lifetime",
    "a closed dataset lost a file",
    "an open dataset lost a file",
    "a registered dataset lost a file",
    "a registered dataset gained a file",
    "a file of a registered dataset was exchanged for another",
    "a product was added at the source after registration",
)
"""Rows that concern Rucio alone: the cases of test_truth_of_rucio.py."""
ELSEWHERE = {
    "a rule's lifetime is removed only if the state has none": (
        "test_truth_of_rucio.py",
        "test_apply_removes_the_lifetime_of_a_rule_only_if_that_in_the_state_has_none",
    ),
    "a search for DIDs cut at a line end": ("test_faults.py", "test_a_search_that_is_cut_is_noticed"),
    "a bulk answer cut at a line end": (
        "test_faults.py",
        "test_existing_datasets_that_a_bulk_answer_leaves_out_are_found_one_by_one_and_not_created_again",
    ),
    "more DIDs left out than can be asked for": (
        "test_faults.py",
        "test_more_dids_left_out_than_can_be_asked_for_are_unknown_and_not_created",
    ),
    "files left out of an open dataset's list": (
        "test_faults.py",
        "test_files_of_open_datasets_that_a_list_leaves_out_are_noticed",
    ),
    "another file of the same size on storage": (
        "test_storage.py",
        "test_another_file_of_the_same_size_is_found_by_its_checksum",
    ),
    "a crashed writer's journal": (
        "test_truth.py",
        "test_a_journal_of_a_crashed_writer_makes_a_read_only_diff_unknown_with_what_to_do",
    ),
}
"""Rows that don't depend on the database, or concern SQLite alone, by file and test."""
RESTORED = "test_a_repository_restored_from_an_older_backup_is_noticed"


def list_rows() -> dict[str, tuple[list[str], list[str]]]:
    """Return the beginnings of the names of the tests of each row, on SQLite and on PostgreSQL; none where it doesn't apply."""

    def on_both(*names: str) -> tuple[list[str], list[str]]:
        return [name.format("sqlite") for name in names], [name.format("postgres") for name in names]

    of_rucio = "test_what_breaks_in_rucio_is_reported_with_its_resource_and_member"
    rows = {
        case.name: on_both(*(f"test_what_breaks_a_world_is_noticed[{{}}-{age}-{case.name}]" for age in ("new", "old")))
        for case in CASES
    }
    rows["a repository restored from a backup"] = on_both(f"{RESTORED}[{{}}]")
    rows |= {name: on_both(f"{test}[{{}}") for name, test in WITH_RUCIO.items()}
    rows |= {name: ([f"{of_rucio}[{name}]"], []) for name in IN_RUCIO}
    rows |= {name: ([test], []) for name, (_, test) in ELSEWHERE.items()}
    return rows


def main() -> int:
    """Run the cases, and print for each whether a diff noticed it on each database."""
    tests = Path(__file__).parent / "integration"
    files = [str(tests / name) for name in ("test_truth.py", "test_truth_of_raws.py", "test_truth_of_rucio.py")]
    single = [f"{tests / file}::{test}" for file, test in ELSEWHERE.values() if str(tests / file) not in files]
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-n", "2", "--no-header", *files, *single]
    ended = subprocess.run(command, cwd=tests.parents[1], capture_output=True, text=True, check=False)
    outcomes = [line.partition(" ")[::2] for line in ended.stdout.splitlines() if line.startswith(("PASSED", "FAILED", "ERROR"))]
    results = [(name.partition("::")[2].partition(" - ")[0], outcome == "PASSED") for outcome, name in outcomes]
    print(f"{'case':<68} {'SQLite':<10} PostgreSQL")
    missed = 0
    for name, databases in list_rows().items():
        words = [_describe(starts, results) for starts in databases]
        missed += words.count("MISSED")
        print(f"{name:<68} {words[0]:<10} {words[1]}")
    print(f"{len(list_rows())} rows, {missed} missed; {sum(passed for _, passed in results)} of {len(results)} tests passed")
    if ended.returncode:
        print(ended.stdout[-5000:])
    return ended.returncode or int(missed > 0)


def _describe(starts: list[str], results: list[tuple[str, bool]]) -> str:
    """Return whether all tests whose names begin so passed, of which there must be some."""
    if not starts:
        return "-"
    found = [[passed for name, passed in results if name.startswith(start)] for start in starts]
    return "noticed" if all(its and all(its) for its in found) else "MISSED"


if __name__ == "__main__":
    sys.exit(main())
