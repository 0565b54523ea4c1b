"""Whatever Rucio and the network do: one clear message, the other half goes on, nothing is lost."""

from pathlib import Path
from typing import Any

import pytest
from conftest import Bench
from faults import FAULTS, Fault, Scene

from reconciler.playground.world import World


@pytest.fixture
def scene(sqlite_bench: Bench, world: World, client: Any) -> Scene:
    return Scene(sqlite_bench.folder, world, client, sqlite_bench.repo)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_told_and_nothing_is_lost(scene: Scene, fault: Fault) -> None:
    result = scene.suffer(fault)
    assert result.exit_code == fault.code, result.output
    assert fault.message in result.output
    assert "Traceback" not in result.output
    assert fault.prepared or "collection.a" in result.output, "the Butler half goes on"
    assert scene.lost() == "nothing"


def test_a_server_that_is_down_leaves_the_butler_half_and_says_how_much_is_unknown(scene: Scene) -> None:
    scene.proxy.server.shutdown()
    scene.proxy.server.server_close()
    told = scene.run("diff")
    assert told.exit_code == 1
    assert "connection refused or lost" in told.output
    assert "3 tries in" in told.output
    assert "The rest was checked: 2 resources, 1 differs. 2 resources unknown." in told.output


def test_reads_are_few_however_many_datasets_there_are(scene: Scene, client: Any) -> None:
    """Calls are counted: a handful for each kind, not one for each resource."""

    def calls(count: int) -> int:
        text = scene.state.read_text().partition("[rucio_dataset")[0]
        text += "".join(f'[rucio_dataset."{scene.scope}:d{n}"]\nopen = true\n' for n in range(count))
        scene.state.write_text(text)
        with scene.proxy.doing("none", "^$"):
            scene.run("diff")
            return len([line for line in scene.proxy.seen if "/auth" not in line])

    few = calls(10)
    assert calls(300) == few <= 4


def test_wrong_credentials_are_told_without_the_password(scene: Scene, world: World, tmp_path: Path) -> None:
    config = tmp_path / "rucio.cfg"
    config.write_text(config.read_text().replace(world.read_record()["password"], "wrong-one"))
    told = scene.run("diff")
    assert told.exit_code == 1
    assert "the server refused the credentials" in told.output
    assert "wrong-one" not in told.output


def test_a_missing_configuration_is_told(scene: Scene) -> None:
    scene.state.write_text(scene.state.read_text().replace("rucio.cfg", "nowhere.cfg"))
    told = scene.run("diff")
    assert told.exit_code == 1
    assert "nowhere.cfg" in told.output
