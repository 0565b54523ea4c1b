"""Raws that Rucio delivers are compared with its files by member, so numbers that happen to agree hide nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import truth
from conftest import Bench
from inputs import register_exposures, register_nights
from truth import Broken, age

from reconciler.playground import campaign
from reconciler.playground.world import SLAC, Sizes, World
from reconciler.systems.butler.datasets import DatasetReader
from reconciler.systems.rucio.dids import DidCatalog

NIGHT = 20241108
NAMED = f"{NIGHT}   CC_O_{NIGHT}_000001   detector R22_S11"


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat four members as many, instead of a thousand."""
    monkeypatch.setattr("reconciler.systems.policy.LISTED", 3)


def write_state(bench: Bench, folder: Path, scope: str, delivered_by: str = "Dataset/*", data_id: str = truth.DATA_ID) -> Path:
    return bench.state(
        f'[raw."LSSTComCam/raw/all"]\ninstrument = "LSSTComCam"\nlocations = ["{folder}"]\nsidecars = 1\n'
        f"delivered_by = [\"{scope}:{delivered_by}\"]\ndata_id = '{data_id}'\n",
        rucio=True,
    )


@pytest.fixture
def raws(comcam: Bench, world: World, client: Any, fresh_scope: str) -> Path:
    """A state whose raws Rucio has delivered and that is in sync, with a proof."""
    comcam.environment |= world.environment()
    state = write_state(comcam, register_nights(world, client, fresh_scope, Sizes(nights=3, exposures=2)), fresh_scope)
    comcam.apply(state)
    assert "54 raws by proof" in comcam.diff(state, 0, "-v")
    return state


def detach(client: Any, scope: str, file: str) -> None:
    name = f"LSSTComCam/{NIGHT}/CC_O_{NIGHT}_000001/{file}"
    client.detach_dids(scope, f"Dataset/{NIGHT}", [{"scope": scope, "name": name}])


def lose_raw(bench: Bench) -> Broken:
    world = Broken(bench.folder, bench.repo, bench.folder)
    world.remove(world.find_raw(NIGHT, 1, 4))
    return world


def test_a_raw_missing_together_with_its_index_file_in_rucio_is_noticed(
    comcam: Bench, raws: Path, client: Any, fresh_scope: str
) -> None:
    lose_raw(comcam)
    detach(client, fresh_scope, "_index.json")
    for words in ((), ("--deep",)):
        assert NAMED in comcam.diff(raws, 2, *words)
    assert "1 of them by count only" in comcam.diff(raws, 0, "--quick"), "the numbers agree"


def test_a_raw_missing_together_with_a_stray_exposure_record_is_noticed(comcam: Bench, raws: Path) -> None:
    world = lose_raw(comcam)
    world.add_raw(NIGHT, 8, 2)
    world.remove(world.find_raw(NIGHT, 8, 2))
    for words in ((), ("--deep",)):
        assert NAMED in comcam.diff(raws, 2, *words)


def test_a_raw_that_rucio_no_longer_lists_is_reported_and_never_removed(
    comcam: Bench, raws: Path, client: Any, fresh_scope: str
) -> None:
    detach(client, fresh_scope, f"CC_O_{NIGHT}_000001_R22_S11.fits")
    for words in ((), ("--deep",)):
        output = comcam.diff(raws, 2, *words)
        assert NAMED in output
        assert "not in the state; reconcile never removes them" in output
    comcam.apply(raws, 2, "--prune")
    assert Broken(comcam.folder, comcam.repo, comcam.folder).find_raw(NIGHT, 1, 4)


def test_a_raw_added_to_an_open_dataset_is_noticed(
    comcam: Bench, raws: Path, world: World, client: Any, fresh_scope: str
) -> None:
    """Attaching a file changes no metadata of an open dataset, so its files are part of the proof."""
    for sequence in (1, 2):
        exposure = campaign.Exposure(20241111, sequence)
        register_exposures(world, client, fresh_scope, "Dataset/20241111", [exposure], create=sequence == 1)
        assert f"20241111   CC_O_20241111_00000{sequence}" in comcam.diff(raws, 2)
        comcam.apply(raws)
        assert f"{54 + 9 * sequence} raws by proof" in comcam.diff(raws, 0, "-v")


@dataclass
class Lists:
    """What diffs listed: Rucio datasets, and queries for all raws, or for some."""

    datasets: list[str] = field(default_factory=list)
    butler: list[str] = field(default_factory=list)

    def take(self) -> tuple[list[str], list[str]]:
        """Return both lists, and empty them."""
        taken = self.datasets[:], self.butler[:]
        self.datasets.clear()
        self.butler.clear()
        return taken


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch) -> Lists:
    found = Lists()
    list_files, data_ids = DidCatalog._list_files, DatasetReader.data_ids

    def record_files(catalog: DidCatalog, datasets: Any) -> Any:
        found.datasets += [did.partition(":")[2] for did in dict.fromkeys(datasets)]  # the first ones are there twice
        return list_files(catalog, datasets)

    def record_ids(reader: DatasetReader, dataset_type: str, collections: Any, dimensions: Any, where: str = "") -> Any:
        found.butler.append(where or "all")
        return data_ids(reader, dataset_type, collections, dimensions, where)

    monkeypatch.setattr(DidCatalog, "_list_files", record_files)
    monkeypatch.setattr(DatasetReader, "data_ids", record_ids)
    return found


NEXT = 20241111
NEXT_DATASET = f"Dataset/{NEXT}"


@pytest.mark.parametrize("days", [0, 3])
def test_of_a_collection_that_grows_only_the_newer_part_is_listed(
    comcam: Bench, raws: Path, world: World, client: Any, fresh_scope: str, lists: Lists, days: int
) -> None:
    """A night is delivered, ingested by somebody else, delivered on, and its dataset is closed."""
    if days:
        age(comcam.butler)
        comcam.diff(raws, 0, "--deep")
    lists.take()
    broken = Broken(comcam.folder, comcam.repo, comcam.folder)
    for sequence in (1, 2):
        exposure = campaign.Exposure(NEXT, sequence)
        paths = register_exposures(world, client, fresh_scope, NEXT_DATASET, [exposure], create=sequence == 1)
        output = comcam.diff(raws, 2, "-v")
        assert f"raws: 9 of {54 + 9 * sequence} missing" in output
        assert f"{NEXT}   CC_O_{NEXT}_00000{sequence}   detectors R22_S00, R22_S01" in output
        datasets, butler = lists.take()
        assert set(datasets) == {NEXT_DATASET}
        assert butler
        assert "all" not in butler
        broken.ingest_raws([str(path) for path in paths if path.suffix == ".fits"])
        for _ in range(2):
            assert f"{54 + 9 * sequence} raws by proof" in comcam.diff(raws, 0, "-v")
            assert lists.take() == ([NEXT_DATASET], [])
    client.close(fresh_scope, NEXT_DATASET)
    for listed in ([NEXT_DATASET], []):
        assert "72 raws by proof" in comcam.diff(raws, 0, "-v")
        assert lists.take() == (listed, [])


def lose_an_older_raw(broken: Broken, client: Any, scope: str) -> None:
    broken.remove(broken.find_raw(NIGHT, 1, 4))


def swap_an_older_raw(broken: Broken, client: Any, scope: str) -> None:
    broken.remove(broken.find_raw(NIGHT, 1, 4))
    broken.add_raw(NIGHT, 8, 2)


def add_a_stray_raw(broken: Broken, client: Any, scope: str) -> None:
    broken.add_raw(NIGHT, 1 + 7, 2)


def lose_a_file_of_an_older_dataset(broken: Broken, client: Any, scope: str) -> None:
    detach(client, scope, f"CC_O_{NIGHT}_000001_R22_S11.fits")


def deliver_an_older_raw_again(broken: Broken, client: Any, scope: str) -> None:
    file = {"scope": scope, "name": f"copies/CC_O_{NIGHT}_000001_R22_S11.fits", "bytes": 7, "adler32": "00000001"}
    client.add_replicas(SLAC, [file])
    client.add_files_to_dataset(scope, NEXT_DATASET, [file])


@pytest.mark.parametrize("ingested", [True, False])
@pytest.mark.parametrize("days", [0, 3])
@pytest.mark.parametrize(
    ("break_world", "named"),
    [
        (lose_an_older_raw, NAMED),
        (swap_an_older_raw, NAMED),
        (add_a_stray_raw, f"CC_O_{NIGHT}_000008"),
        (lose_a_file_of_an_older_dataset, NAMED),
        (deliver_an_older_raw_again, "2 files for 1 raw"),
    ],
)
def test_what_breaks_while_a_collection_grows_is_noticed(
    comcam: Bench,
    raws: Path,
    world: World,
    client: Any,
    fresh_scope: str,
    days: int,
    ingested: bool,
    break_world: Callable[[Broken, Any, str], None],
    named: str,
) -> None:
    if days:
        age(comcam.butler)
        comcam.diff(raws, 0, "--deep")
    broken = Broken(comcam.folder, comcam.repo, comcam.folder)
    paths = register_exposures(world, client, fresh_scope, NEXT_DATASET, [campaign.Exposure(NEXT, 1)])
    if ingested:
        broken.ingest_raws([str(path) for path in paths if path.suffix == ".fits"])
    break_world(broken, client, fresh_scope)
    assert named in comcam.diff(raws, 2)


def test_datasets_that_match_nothing_are_waited_for(comcam: Bench, world: World, fresh_scope: str) -> None:
    comcam.environment |= world.environment()
    state = write_state(comcam, comcam.folder, fresh_scope, "Datset/*")
    output = comcam.diff(state, 2)
    assert f"waiting for {fresh_scope}:Datset/*, not registered in Rucio yet" in output
    assert "waiting 1" in comcam.apply(state, 2)


def test_files_that_data_id_does_not_match_are_reported(comcam: Bench, raws: Path, world: World, fresh_scope: str) -> None:
    text = raws.read_text()
    raws.write_text(text.replace("R\\d\\d_S\\d\\d", "R\\d\\d_S0\\d"))
    assert "36 of 54 files don't match data_id" in comcam.diff(raws, 2)
    raws.write_text(text.replace("CC_[A-Z]", "MC_[A-Z]"))
    assert "54 of 54 files don't match data_id" in comcam.diff(raws, 2)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("files = 'R22_S11[.]fts'", "no file in {}:Dataset/* matches R22_S11[.]fts"),
        ('exclude = ["*.fits"]', r"matches \.fits?(\.fz|\.gz)?$ and is not excluded"),
    ],
)
def test_patterns_that_match_none_of_the_files_in_rucio_are_reported(
    comcam: Bench, raws: Path, fresh_scope: str, key: str, text: str
) -> None:
    raws.write_text(raws.read_text().replace("sidecars = 1\n", f"sidecars = 1\n{key}\n"))
    for words in ((), ("--deep",)):
        assert text.format(fresh_scope) in comcam.diff(raws, 2, *words)


def test_a_proof_does_not_hold_for_other_locations_in_the_file_that_lists_them(comcam: Bench, raws: Path) -> None:
    lines = [line for line in raws.read_text().splitlines() if not line.startswith("data_id")]
    folder = next(line.split('"')[1] for line in lines if line.startswith("locations"))
    listed = raws.parent / "locations.txt"
    listed.write_text(folder)
    raws.write_text("\n".join(lines).replace(f'locations = ["{folder}"]', 'locations_file = "locations.txt"') + "\n")
    comcam.diff(raws, 0)
    assert "54 raws by proof" in comcam.diff(raws, 0, "-v")
    listed.write_text("/elsewhere")
    assert "1 of 2 resources differs" in comcam.diff(raws, 2)


def test_a_raw_that_is_lost_is_noticed_although_an_excluded_one_is_ingested(comcam: Bench, raws: Path) -> None:
    age(comcam.butler)
    raws.write_text(raws.read_text() + f'exclude = ["CC_O_{NIGHT}_000002_R22_S11.fits"]\n')
    comcam.diff(raws, 0)
    lose_raw(comcam)
    assert NAMED in comcam.diff(raws, 2)


@pytest.mark.parametrize("with_data_id", [True, False])
@pytest.mark.parametrize("spelling", ["file://{}", "{}/./", "/{}", "{}//"])
def test_a_location_may_be_spelt_in_other_ways(comcam: Bench, raws: Path, spelling: str, with_data_id: bool) -> None:
    lines = [line for line in raws.read_text().splitlines() if with_data_id or not line.startswith("data_id")]
    folder = next(line.split('"')[1] for line in lines if line.startswith("locations"))
    raws.write_text("\n".join(lines).replace(folder, spelling.format(folder)) + "\n")
    assert "is in sync" in comcam.diff(raws, 0, "--deep")


def test_raws_whose_files_rucio_has_lost_altogether_are_reported(
    comcam: Bench, raws: Path, client: Any, fresh_scope: str
) -> None:
    client.add_dataset(fresh_scope, "Empty")
    raws.write_text(raws.read_text().replace("Dataset/*", "Empty"))
    for words in ((), ("--deep",)):
        assert f"{fresh_scope}:Empty has no file, and 54 raws are ingested" in comcam.diff(raws, 2, *words)


def test_an_open_dataset_that_is_emptied_after_a_proof_is_reported(
    comcam: Bench, raws: Path, world: World, client: Any, fresh_scope: str
) -> None:
    register_exposures(world, client, fresh_scope, "Other/1", [campaign.Exposure(20241111, 1)])
    raws.write_text(raws.read_text().replace("LSSTComCam/raw/all", "LSSTComCam/raw/other").replace("Dataset/*", "Other/*"))
    comcam.apply(raws)
    assert "9 raws by proof" in comcam.diff(raws, 0, "-v")
    names = [{"scope": row["scope"], "name": row["name"]} for row in client.list_files(fresh_scope, "Other/1")]
    client.detach_dids(fresh_scope, "Other/1", names)
    assert "has no file, and 9 raws are ingested" in comcam.diff(raws, 2)


def test_a_raw_without_a_record_is_not_ingested_again_where_only_paths_are_known(comcam: Bench, raws: Path) -> None:
    raws.write_text("".join(line for line in raws.read_text().splitlines(True) if not line.startswith("data_id")))
    world = Broken(comcam.folder, comcam.repo, comcam.folder)
    world.forget_record(world.find_raw(NIGHT, 1, 4))
    output = comcam.diff(raws, 2, "--deep")
    assert "1 of 2 resources differs: 1 blocked" in output
    assert "missing" not in output
    assert "acted on 0 resources" in comcam.apply(raws, 2, "--deep")
