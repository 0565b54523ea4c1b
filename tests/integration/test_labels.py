"""Labels of the repository index: one that isn't known never becomes a folder, and an index that can't be read is an error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Bench

RUNS = '[collection.a]\ntype = "RUN"\n'


def state_of(bench: Bench, repository: str) -> Path:
    path = bench.folder / "s.toml"
    path.write_text(f"[reconcile]\nversion = 1\n[repository]\n{repository}\n{RUNS}")
    return path


def set_index(bench: Bench, text: str | None) -> Path:
    """Let the environment name an index with this text, or one that doesn't exist."""
    path = bench.folder / "index.yaml"
    if text is not None:
        path.write_text(text)
    bench.environment["DAF_BUTLER_REPOSITORY_INDEX"] = str(path)
    return path


@pytest.mark.parametrize("text", [None, "main: [", "- main\n"], ids=["missing", "broken", "a list"])
@pytest.mark.parametrize("repository", ['uri = "main"', 'uri = "main"\ncreate = true'], ids=["", "create"])
def test_a_label_of_an_index_that_cannot_be_read_is_an_error_and_not_a_folder(
    empty_bench: Bench, text: str | None, repository: str
) -> None:
    index = set_index(empty_bench, text)
    for command in ("diff", "apply"):
        words = ["--yes"] if command == "apply" else []
        output = empty_bench.run(command, state_of(empty_bench, repository), *words, expect=1).output
        assert '"main" may be a label of the repository index, which can\'t be read: DAF_BUTLER_REPOSITORY_INDEX: ' in output
        assert str(index) in output
        assert "correct that variable" in output
    assert not (empty_bench.folder / "main").exists()


def test_two_indexes_are_an_error_that_names_both_variables(empty_bench: Bench) -> None:
    set_index(empty_bench, "main: /repo/main\n")
    empty_bench.environment["DAF_BUTLER_REPOSITORIES"] = "main: /repo/main"
    output = empty_bench.diff(state_of(empty_bench, 'uri = "main"'), 1)
    assert "can't be read: DAF_BUTLER_REPOSITORY_INDEX and DAF_BUTLER_REPOSITORIES: " in output


def test_a_folder_next_to_the_state_needs_no_index(sqlite_bench: Bench) -> None:
    set_index(sqlite_bench, None)
    assert "1 to change" in sqlite_bench.diff(state_of(sqlite_bench, 'uri = "repo"'), 2)


def test_a_label_with_slashes_of_an_index_that_cannot_be_read_is_explained(empty_bench: Bench) -> None:
    set_index(empty_bench, None)
    output = empty_bench.diff(state_of(empty_bench, 'uri = "/repo/nowhere"'), 1)
    assert "no repository at /repo/nowhere, and the repository index can't be read: DAF_BUTLER_REPOSITORY_INDEX: " in output


@pytest.mark.parametrize("label", ["main", "/repo/main"])
def test_a_label_is_resolved_in_the_index_that_the_environment_contains(empty_bench: Bench, template: Path, label: str) -> None:
    empty_bench.environment["DAF_BUTLER_REPOSITORIES"] = f"{label}: {template}"
    assert "1 to change" in empty_bench.diff(state_of(empty_bench, f'uri = "{label}"'), 2)


NO_BUTLER = """\
import sys

class NoButler:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "lsst":
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, NoButler())
from reconciler.__main__ import run
run()
"""


@pytest.mark.parametrize("words", [("diff",), ("apply", "--yes"), ("list",), ("drift",), ("doctor",)])
@pytest.mark.parametrize("index", ["", "label: /nowhere\n"])
def test_a_butler_that_is_not_installed_is_named_with_and_without_a_repository_index(
    tmp_path: Path, words: tuple[str, ...], index: str
) -> None:
    (tmp_path / "index.yaml").write_text(index)
    state = tmp_path / "s.toml"
    state.write_text('[reconcile]\nversion = 1\n[repository]\nuri = "label"\n[collection.a]\ntype = "RUN"\n')
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    environment["DAF_BUTLER_REPOSITORY_INDEX"] = str(tmp_path / "index.yaml") if index else ""
    command = [sys.executable, "-c", NO_BUTLER, *words, str(state)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    output = ended.stdout + ended.stderr
    assert ended.returncode == 1, output
    assert "the Butler can't be imported: No module named 'lsst'" in " ".join(output.split())
    assert "bug" not in output
