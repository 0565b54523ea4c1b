"""A repository is created only if the state asks for it; a mistyped location or label is an error."""

from pathlib import Path

import pytest
from conftest import Bench

RUNS = '[collection."u/ada/run"]\ntype = "RUN"\n'


def state_of(bench: Bench, repository: str, more: str = RUNS) -> Path:
    path = bench.folder / "s.toml"
    path.write_text(f"[reconcile]\nversion = 1\n[repository]\n{repository}\n{more}")
    return path


@pytest.fixture
def index(empty_bench: Bench, template: Path) -> Bench:
    """A bench whose repository index has the label main."""
    text = f"main: {template}\nother: {empty_bench.folder}/gone\n"
    (empty_bench.folder / "index.yaml").write_text(text)
    empty_bench.environment["DAF_BUTLER_REPOSITORY_INDEX"] = str(empty_bench.folder / "index.yaml")
    return empty_bench


@pytest.mark.parametrize("command", ["diff", "apply"])
def test_a_location_without_a_repository_is_an_error_and_nothing_is_created(empty_bench: Bench, command: str) -> None:
    state = state_of(empty_bench, f'uri = "{empty_bench.repo}"')
    output = empty_bench.run(command, state, *(["--yes"] if command == "apply" else []), expect=1).output
    assert f"no repository at {empty_bench.repo}" in output
    assert "set `create = true` or `seed_config` in [repository]" in output
    assert "Nothing to remove" not in output
    assert not empty_bench.repo.exists()


def test_a_mistyped_label_is_an_error_that_suggests_the_right_one(index: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(index.folder)
    output = index.apply(state_of(index, 'uri = "mian"'), 1)
    place = index.folder / "mian"
    assert f'no repository at {place}, and the repository index has no label "mian"; did you mean "main"?' in output
    assert not (index.folder / "mian").exists()
    assert "is in sync" in index.diff(state_of(index, 'uri = "main"', ""), 0)


def test_a_label_whose_repository_does_not_exist_is_an_error(index: Bench) -> None:
    output = index.diff(state_of(index, 'uri = "other"'), 1)
    assert f"no repository at file://{index.folder}/gone" in output
    assert "the location of other in the repository index" in output
    assert "did you mean" not in output


@pytest.mark.parametrize("key", ["create = true", 'seed_config = "seed.yaml"'])
def test_a_repository_is_created_if_a_key_asks_for_it_and_the_plan_says_so(empty_bench: Bench, key: str) -> None:
    (empty_bench.folder / "seed.yaml").write_text("datastore:\n  name: mine\n")
    state = state_of(empty_bench, f'uri = "{empty_bench.repo}"\n{key}')
    assert "\nConsider before applying:\n  ! repository: creates a Butler repository\n" in empty_bench.diff(state, 2)
    assert "Consider before applying" in empty_bench.apply_and_check(state)
    assert "is in sync" in empty_bench.diff(state_of(empty_bench, f'uri = "{empty_bench.repo}"'), 0)


def test_a_registry_whose_path_runs_through_a_file_is_refused_before_anything_is_created(empty_bench: Bench) -> None:
    wrong = empty_bench.folder / "notes.txt"
    wrong.write_text("")
    (empty_bench.folder / "seed.yaml").write_text(f"registry:\n  db: sqlite:///{wrong}/registry/gen3.sqlite3\n")
    state = state_of(empty_bench, f'uri = "{empty_bench.repo}"\nseed_config = "seed.yaml"\noverride = true')
    output = empty_bench.apply(state, 1)
    assert f"error: the folder {wrong}/registry of the registry can't be created: {wrong} is not a folder" in output
    assert "bug in reconcile" not in output
    assert not empty_bench.repo.exists()
    assert "registry of the registry" not in empty_bench.apply(state_of(empty_bench, f'uri = "{wrong}/repo"\ncreate = true'), 1)


def test_the_risks_of_a_saved_plan_are_shown(empty_bench: Bench) -> None:
    state = state_of(empty_bench, f'uri = "{empty_bench.repo}"\ncreate = true')
    plan = empty_bench.folder / "plan.json"
    empty_bench.diff(state, 2, "--out", str(plan))
    assert "! repository: creates a Butler repository" in empty_bench.run("apply", plan, "--yes", expect=0).output


def test_an_interrupted_creation_is_completed_and_the_plan_says_so(empty_bench: Bench) -> None:
    from lsst.daf.butler import Butler

    Butler.makeRepo(str(empty_bench.repo))
    (empty_bench.repo / "gen3.sqlite3").unlink()
    output = empty_bench.apply(state_of(empty_bench, f'uri = "{empty_bench.repo}"'), 0)
    assert "! repository: completes the interrupted creation of the repository" in output


def test_the_rucio_part_of_a_state_is_compared_although_there_is_no_repository(rucio_bench: Bench, fresh_scope: str) -> None:
    more = f'{RUNS}[rucio]\nrse = "IN2P3_RAW_DISK"\n[rucio_dataset."{fresh_scope}:d"]\nopen = true\n'
    output = rucio_bench.diff(state_of(rucio_bench, f'uri = "{rucio_bench.repo}"', more), 1)
    assert "no such dataset" in output
    assert f"no repository at {rucio_bench.repo}" in output
    assert "1 resource, 1 differs. 2 resources unknown." in output
    only = ("--only", "rucio_dataset.*")
    rucio_bench.apply(state_of(rucio_bench, f'uri = "{rucio_bench.repo}"\ncreate = true', more), 0, *only)
