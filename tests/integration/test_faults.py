"""Faults of Rucio and the network are reported with one message, and the Butler resources are still checked."""

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
def test_a_fault_is_reported_and_the_next_apply_completes_the_work(scene: Scene, fault: Fault) -> None:
    result = scene.run_with_fault(fault)
    assert result.exit_code == fault.code, result.output
    assert fault.message in result.output
    assert "Traceback" not in result.output
    assert not [text for text in fault.absent if text in result.output]
    assert fault.prepared or "collection.a" in result.output, "the Butler half goes on"
    assert scene.find_loss() == "nothing"


def test_an_unreachable_rucio_server_leaves_the_butler_resources_checked_and_the_unknown_ones_counted(scene: Scene) -> None:
    scene.proxy.server.shutdown()
    scene.proxy.server.server_close()
    result = scene.run("diff")
    assert result.exit_code == 1
    assert "connection refused or lost" in result.output
    assert "3 tries in" in result.output
    assert "The rest was checked: 2 resources, 1 differs. 2 resources unknown." in result.output


def test_the_number_of_rucio_requests_does_not_grow_with_the_number_of_datasets(scene: Scene, client: Any) -> None:
    """Each kind sends a few requests, rather than one for each resource."""

    def calls(count: int) -> int:
        text = scene.state.read_text().partition("[rucio_dataset")[0]
        text += "".join(f'[rucio_dataset."{scene.scope}:d{n}"]\nopen = true\n' for n in range(count))
        scene.state.write_text(text)
        with scene.proxy.doing("none", "^$"):
            scene.run("diff")
            return len([line for line in scene.proxy.requests if "/auth" not in line])

    few = calls(10)
    assert calls(300) == few <= 4


def test_wrong_rucio_credentials_are_reported_without_the_password(scene: Scene, world: World, tmp_path: Path) -> None:
    config = tmp_path / "rucio.cfg"
    config.write_text(config.read_text().replace(world.read_record()["password"], "wrong-one"))
    result = scene.run("diff")
    assert result.exit_code == 1
    assert "the server refused the credentials" in result.output
    assert "wrong-one" not in result.output


def test_a_missing_rucio_configuration_is_reported(scene: Scene) -> None:
    scene.state.write_text(scene.state.read_text().replace("rucio.cfg", "nowhere.cfg"))
    result = scene.run("diff")
    assert result.exit_code == 1
    assert "nowhere.cfg" in result.output
