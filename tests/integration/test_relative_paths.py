"""Everything in a state file is relative to that file, wherever the program is started."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import Bench

from reconciler.engine.model import Address
from reconciler.state.loader import load

HEAD = '[reconcile]\nversion = 1\n[repository]\nuri = "{uri}"\ncreate = true\n'
TABLES = """
[dataset_type.notes]
storage_class = "StructuredDataDict"
dimensions = ["htm7"]
[file_ingest.notes]
dataset_type = "notes"
table = "notes.csv"
"""
OTHERS = """
[rucio]
[raw.r]
instrument = "I"
locations = ["../raw", "/raw/", "davs://host/raw"]
[import.i]
export_file = "e.yaml"
root = "files"
[file_ingest.f]
dataset_type = "notes"
table = "/t.csv"
prefix = "s3://bucket/refcats/"
[rucio_dataset."a:b"]
register = { repo = "../main", dataset_types = ["x"], collections = ["c"], config = "r.yaml" }
"""


@pytest.fixture
def state(empty_bench: Bench) -> Path:
    """A state in a folder of its own, with a table and a file next to it."""
    folder = empty_bench.folder / "site" / "states"
    folder.mkdir(parents=True)
    (folder / "notes.csv").write_text("filename,htm7\na.yaml,131072\n")
    (folder / "a.yaml").write_text("a: 1\n")
    (folder / "s.toml").write_text(HEAD.format(uri="../repo") + TABLES)
    return folder / "s.toml"


def test_paths_of_folders_and_repositories_start_from_the_state_file(tmp_path: Path) -> None:
    path = tmp_path / "states" / "s.toml"
    path.parent.mkdir()
    path.write_text(HEAD.format(uri="repo") + TABLES + OTHERS)
    found = load(path).resources
    assert found[Address("repository", "")].uri == f"{tmp_path}/states/repo"  # type: ignore[attr-defined]
    assert found[Address("raw", "r")].locations == (f"{tmp_path}/raw", "/raw/", "davs://host/raw")  # type: ignore[attr-defined]
    assert found[Address("import", "i")].root == f"{tmp_path}/states/files"  # type: ignore[attr-defined]
    assert found[Address("file_ingest", "f")].prefix == "s3://bucket/refcats/"  # type: ignore[attr-defined]
    assert found[Address("file_ingest", "notes")].prefix == f"{tmp_path}/states"  # type: ignore[attr-defined]
    assert found[Address("rucio_dataset", "a:b")].register_from.repo == f"{tmp_path}/main"  # type: ignore[attr-defined]


def test_a_state_is_applied_in_the_same_way_from_every_folder(
    empty_bench: Bench, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(state.parent)
    empty_bench.apply(Path("s.toml"))
    assert (empty_bench.folder / "site" / "repo" / "butler.yaml").exists()
    for folder in (empty_bench.folder, state.parent.parent):
        monkeypatch.chdir(folder)
        assert "is in sync" in empty_bench.diff(state.relative_to(folder), 0)
    bench = Bench(empty_bench.folder, empty_bench.folder / "site" / "repo", {})
    (ref,) = bench.butler.query_datasets("notes", "notes")
    assert bench.butler.getURI(ref).ospath == str(state.parent / "a.yaml")


def test_a_name_without_a_folder_is_a_label_of_the_index_or_else_a_folder_next_to_the_state(
    empty_bench: Bench, state: Path, template: Path
) -> None:
    shutil.copytree(template, empty_bench.folder / "labelled")
    (empty_bench.folder / "index.yaml").write_text(f"mine: {empty_bench.folder}/labelled\n")
    empty_bench.environment["DAF_BUTLER_REPOSITORY_INDEX"] = str(empty_bench.folder / "index.yaml")
    state.write_text(HEAD.format(uri="mine"))
    assert "is in sync" in empty_bench.diff(state, 0)
    state.write_text(HEAD.format(uri="another"))
    empty_bench.apply(state)
    assert (state.parent / "another" / "butler.yaml").exists()


def test_a_plan_names_paths_relative_to_its_state_and_holds_in_a_copy_of_the_folder(empty_bench: Bench, state: Path) -> None:
    state.write_text(HEAD.format(uri=f"{empty_bench.folder}/repo") + TABLES)
    plan = empty_bench.folder / "plan.json"
    empty_bench.diff(state, 2, "--out", str(plan))
    (ingest,) = [entry for entry in json.loads(plan.read_text())["entries"] if entry["kind"] == "file_ingest"]
    assert ingest["actions"][0]["arguments"]["table"] == "notes.csv"
    copy = empty_bench.folder / "copy"
    shutil.copytree(state.parent, copy)
    output = empty_bench.run("apply", plan, "--state", copy / "s.toml", "--yes", expect=0).output
    assert "Refused" not in output
    assert "changed 3" in output
