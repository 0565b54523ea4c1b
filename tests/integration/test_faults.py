"""Faults of Rucio and the network are reported with one message, and the Butler resources are still checked."""

import re
from pathlib import Path
from typing import Any

import pytest
from conftest import Bench
from faults import FAULTS, FILES, META, RULES, Fault, Scene

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
    assert "The rest was checked: 3 resources, 2 differ. 2 resources unknown." in result.output


def test_the_number_of_rucio_requests_does_not_grow_with_the_number_of_datasets(scene: Scene, client: Any) -> None:
    """Each kind sends a few requests, rather than one for each resource."""
    names = [f"d{n}" for n in range(300)]
    rule = 'rules = [{ rse_expression = "SLAC_BUTLER_DISK" }]'
    client.add_datasets([{"scope": scene.scope, "name": name} for name in names])
    client.add_replication_rule([{"scope": scene.scope, "name": name} for name in names], 1, "SLAC_BUTLER_DISK")

    def calls(count: int) -> int:
        write_datasets(scene, "".join(f'[rucio_dataset."{scene.scope}:{name}"]\nopen = true\n{rule}\n' for name in names[:count]))
        with scene.proxy.doing("none", "^$"):
            scene.run("diff", "--only", "rucio_dataset.*")
            # Other tests leave bad replicas, of whose files the parents are queried.
            return len([line for line in scene.proxy.requests if "/auth" not in line and "/parents" not in line])

    scene.state.write_text(scene.state.read_text().replace("timeout = 1\n", "timeout = 60\n"))
    few = calls(10)
    assert calls(300) == few <= 7


def write_datasets(scene: Scene, tables: str) -> None:
    """Replace the Rucio half of the state."""
    scene.state.write_text(scene.state.read_text().partition("[rucio_dataset")[0] + tables)


def test_existing_datasets_that_a_bulk_answer_leaves_out_are_found_one_by_one_and_not_created_again(scene: Scene) -> None:
    write_datasets(scene, "".join(f'[rucio_dataset."{scene.scope}:o{n}"]\nopen = true\n' for n in range(8)))
    assert scene.run("apply", "--yes").exit_code == 0
    with scene.proxy.doing("short", META):
        result = scene.run("diff")
        assert result.exit_code == 0, result.output
        result = scene.run("apply", "--yes")
        assert result.exit_code == 0, result.output
        assert not [line for line in scene.proxy.requests if line.startswith("POST") and "bulk" not in line]


def test_more_dids_left_out_than_can_be_asked_for_are_unknown_and_not_created(
    scene: Scene, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.systems.rucio.dids.MOST_QUERIED_ALONE", 0)
    write_datasets(scene, f'[rucio_dataset."{scene.scope}:new"]\nopen = true\n')
    result = scene.run("apply", "--yes")
    assert result.exit_code == 1
    assert f"it leaves out 1 of 1 DIDs, such as {scene.scope}:new; up to 0 are confirmed to be absent" in result.output
    assert not list(client.list_dids(scene.scope, [{"name": "new"}], did_type="dataset"))


@pytest.mark.parametrize("times", [1, -1], ids=["once", "always"])
@pytest.mark.parametrize(("count", "kept"), [(2, ""), (3, ""), (3, "night1"), (8, "")])
def test_a_search_that_is_cut_is_noticed(scene: Scene, client: Any, count: int, kept: str, times: int) -> None:
    for n in range(count):
        client.add_dataset(scene.scope, f"night{n}")
    expectation = (
        f'[dataset_type.cat]\nstorage_class = "StructuredDataDict"\ndimensions = ["htm7"]\n'
        f'[expect.e]\ndataset_type = "cat"\ncollections = ["a"]\nmin = 0\ndid = "{scene.scope}:night*"\nfiles = "none"\n'
    )
    write_datasets(scene, expectation)
    scene.run("apply", "--yes")
    with scene.proxy.doing(f"short {kept}", "/dids/search", times=times):
        result = scene.run("diff")
    if times == 1:
        assert result.exit_code == 0, f"asked again: {result.output}"
    else:
        assert result.exit_code == 1
        assert f"a search for {scene.scope}:night* found" in result.output


def test_contents_that_a_list_leaves_out_are_not_attached_again(scene: Scene) -> None:
    names = [f"{scene.scope}:o{n}" for n in range(4)]
    tables = "".join(f'[rucio_dataset."{name}"]\nopen = true\n' for name in names)
    write_datasets(scene, f'{tables}[rucio_container."{scene.scope}:c"]\ncontents = {names}\n')
    scene.run("apply", "--yes")  # creates the container
    assert scene.run("apply", "--yes").exit_code == 0
    with scene.proxy.doing("short", "/c/dids"):
        result = scene.run("diff")
    assert result.exit_code == 1
    assert f"{scene.scope}:c: the answer is incomplete: the list of its contents leaves out" in result.output


@pytest.mark.parametrize("count", [2, 8], ids=["counted alone", "listed again"])
def test_files_of_open_datasets_that_a_list_leaves_out_are_noticed(scene: Scene, client: Any, count: int) -> None:
    names = [f"o{n}" for n in range(count)]
    for name in names:
        client.add_dataset(scene.scope, name)
        client.attach_dids(scene.scope, name, [{"scope": scene.scope, "name": f"f{n}"} for n in range(6)])
    write_datasets(scene, "".join(f'[rucio_dataset."{scene.scope}:{name}"]\nfiles = 6\n' for name in names))
    assert scene.run("diff", "--only", "rucio_dataset.*").exit_code == 0
    with scene.proxy.doing("third", FILES):
        result = scene.run("diff", "--only", "rucio_dataset.*")
    assert result.exit_code == 1
    assert re.search(r"the answer is incomplete: .*: \d files? listed, \d recorded", result.output)


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        ("RSEWriteBlocked", "Wait until the RSE accepts files again"),
        ("InsufficientTargetRSEs", "Lower `copies`"),
        ("AccountNotFound", "Is the account of the rule, or of [rucio], right?"),
        ("InvalidObject", "correct the state"),
        ("RuleNotFound", "run again"),
    ],
)
def test_a_change_that_rucio_refuses_is_reported_with_the_did_and_what_to_do(scene: Scene, error: str, hint: str) -> None:
    with scene.proxy.doing(f"exception {error}", RULES, "POST"):
        result = scene.run("apply", "--yes")
    assert result.exit_code == 1
    assert f'rucio_dataset."{scene.scope}:d"' in result.output
    assert f"add rule SLAC_BUTLER_DISK × 1 to {scene.scope}:d" in result.output
    assert hint in " ".join(result.output.split())


@pytest.mark.parametrize(("where", "method"), [(META, ""), (RULES, "GET")])
def test_an_endpoint_that_fails_for_all_is_not_asked_again_for_each_dataset(scene: Scene, where: str, method: str) -> None:
    text = scene.state.read_text().partition("[rucio_dataset")[0]
    text += "".join(f'[rucio_dataset."{scene.scope}:d{n}"]\nopen = true\nrules = [{{rse_expression = "X"}}]\n' for n in range(28))
    scene.state.write_text(text)
    with scene.proxy.doing("status 503", where, method):
        result = scene.run("diff")
        failed = [line for line in scene.proxy.requests if re.search(where, line)]
    assert result.exit_code == 1
    assert "the server answered 503 (3 tries" in result.output
    assert "28 resources unknown" in result.output
    assert len(failed) <= 18, "two questions, each tried three times, and three times again by the client"


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
