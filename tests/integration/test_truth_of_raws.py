"""Raws that Rucio delivers are compared with its files by member, so numbers that happen to agree hide nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import truth
from conftest import Bench
from inputs import register_nights
from truth import Broken

from reconciler.playground import campaign
from reconciler.playground.world import Sizes, World

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
    from reconciler.playground.world import IN2P3, SLAC

    client.add_dataset(fresh_scope, "Dataset/20241111")
    folder = world.storage(IN2P3) / fresh_scope / "LSSTComCam"
    for sequence in (1, 2):
        for path in campaign.write_exposure(folder, campaign.Exposure(20241111, sequence)):
            name = str(path.relative_to(folder.parent))
            file = {"scope": fresh_scope, "name": name, "bytes": path.stat().st_size, "adler32": "00000001"}
            for rse in (SLAC, IN2P3):
                client.add_replicas(rse, [file])
            client.add_files_to_dataset(fresh_scope, "Dataset/20241111", [file])
        assert f"20241111   CC_O_20241111_00000{sequence}" in comcam.diff(raws, 2)
        comcam.apply(raws)
        assert f"{54 + 9 * sequence} raws by proof" in comcam.diff(raws, 0, "-v")


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
