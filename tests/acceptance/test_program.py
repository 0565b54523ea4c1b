"""The program as a whole: its imports, its schemas, and adding a kind."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import tomli
from conftest import ROOT, Bench

from reconciler.cli import main
from reconciler.playground.world import OBSERVATORY
from reconciler.report.json import diff_schema
from reconciler.state.schema import state_schema

HEAVY = {"lsst", "rucio", "astropy", "sqlalchemy", "deepdiff", "rich", "requests"}


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        (["--help"], HEAVY | {"pydantic", "importlib.metadata"}),
        (["diff", "--help"], HEAVY | {"pydantic", "importlib.metadata"}),
        (["apply", "--help"], HEAVY | {"pydantic", "importlib.metadata"}),
        (["validate", "tests/cases/small.toml"], HEAVY),
        (["list", "--offline", "tests/cases/small.toml"], HEAVY),
    ],
)
def test_commands_without_a_live_system_import_no_slow_packages(words: list[str], heavy: set[str]) -> None:
    code = (
        "import sys\nfrom reconciler.cli import main\n"
        f"try: main({words!r})\nexcept SystemExit as end: assert end.code == 0, end.code\n"
        f"imported = {sorted(heavy)!r}\n"
        "imported = set(imported) & set(sys.modules)\n"
        "assert not imported, imported"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def test_the_committed_schemas_are_current(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "tools/write_schemas.py", str(tmp_path)], check=True, cwd=ROOT)
    written = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert written == {file.name: file.read_text() for file in (ROOT / "schemas").iterdir()}, "run make schemas"


def test_each_command_has_a_man_page(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "tools/write_man_pages.py", str(tmp_path)], check=True, cwd=ROOT)
    names = {file.stem for file in tmp_path.iterdir()}
    assert names >= {"reconcile", *(f"reconcile-{name}" for name in main.commands)}
    assert "Without STATE" in (tmp_path / "reconcile-diff.1").read_text()


def test_the_shipped_state_is_valid_by_its_json_schema() -> None:
    document = tomli.loads((ROOT / "state" / "ccms1.toml").read_text())
    jsonschema.Draft202012Validator(state_schema()).validate(document)


def test_every_key_of_the_state_schema_has_a_description() -> None:
    for name, definition in state_schema()["$defs"].items():
        for key, entry in definition.get("properties", {}).items():
            assert entry.get("description"), f"{name}.{key}"


def test_the_json_of_a_diff_follows_its_schema(bench: Bench) -> None:
    state = bench.state('[collection.a]\ntype = "RUN"\n[chain.b]\nchildren = ["a"]\n')
    report = json.loads(bench.run("diff", state, "--format", "json", expect=2).output)
    jsonschema.validate(report, diff_schema())
    (made,) = report["states"]
    assert [resource["address"] for resource in made["resources"]] == ["repository", "collection.a", "chain.b"]
    assert (report["format"], report["in_sync"], report["summary"]["to_change"]) == (1, False, 2)


def test_the_stand_in_observatory_is_not_importable_outside_the_playground() -> None:
    code = "import importlib.util as u\nassert u.find_spec('standin') is None\nassert u.find_spec('lsst.obs') is None"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd="/")


def test_missing_science_pipelines_are_reported_before_anything_starts(sqlite_bench: Bench) -> None:
    (sqlite_bench.folder / "m.config").write_text('config.name = "m"\n')
    state = sqlite_bench.state('[skymap.m]\nconfig = "m.config"\n[collection.a]\ntype = "RUN"\n')
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "DAF_BUTLER_PLUGINS")}
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "apply", str(state), "--yes"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
    )
    assert done.returncode == 2
    assert "needs the Science Pipelines, set up in this shell, for butler register-skymap" in done.stdout
    assert list(sqlite_bench.butler.collections.query("*")) == ["a"]


NEW_KIND = '''
"""Doors: a kind that a newcomer adds."""

from typing import Literal

from pydantic import Field

from reconciler.engine.kind import Kind, KindTraits, Links
from reconciler.engine.model import Action, Observed
from reconciler.engine.spec import Spec


class DoorSpec(Spec):
    """A door."""

    open: bool = Field(True, description="Whether it is open.")


class BuildDoor(Action):
    """Build a door."""

    verb: Literal["build"] = "build"


class DoorKind(Kind[DoorSpec, BuildDoor]):
    """The kind of ``door`` tables."""

    name = "door"
    spec = DoorSpec
    traits = KindTraits(summary="Doors.")

    def links(self, name, spec):
        return Links(provides=[f"door:{name}"])

    def observe(self, context, desired):
        collections = context.butler.collections()
        return {name: Observed(spec) for name, spec in desired.items() if f"door/{name}" in collections}

    def plan(self, change):
        yield BuildDoor(address=change.address, reason="no such door")

    def apply(self, context, action):
        from reconciler.systems.butler.write_definitions import register_collection

        register_collection(context.butler, f"door/{action.address.name}", "RUN")


KIND = DoorKind()
'''


def test_a_kind_is_added_with_one_file(sqlite_bench: Bench) -> None:
    package = sqlite_bench.folder / "src" / "reconciler"
    shutil.copytree(ROOT / "reconciler", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "kinds" / "door.py").write_text(NEW_KIND)
    state = sqlite_bench.state("[door.front]\nopen = true\n[chain.house]\nchildren = ['door/front']\nrequires = ['door.front']\n")
    state.write_text(state.read_text().replace("children = ['door/front']", "children = []"))
    environment = os.environ | {"PYTHONPATH": str(package.parent)}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, *words], capture_output=True, text=True, env=environment, cwd=package.parent)

    (package.parent / "schemas").mkdir()
    assert run(str(ROOT / "tools" / "write_schemas.py")).returncode == 0
    assert "door" in json.loads((package.parent / "schemas" / "state.schema.json").read_text())["properties"]
    assert run("-m", "reconciler", "apply", str(state), "--yes").returncode == 0
    assert run("-m", "reconciler", "diff", str(state)).returncode == 0
    wrong = run("-m", "reconciler", "validate", str(state.with_name("none.toml")))
    assert wrong.returncode == 1
    assert "door/front" in sqlite_bench.butler.collections.query("*")


def test_the_stand_in_observatory_is_not_a_package_of_the_project() -> None:
    assert not list(Path(OBSERVATORY).glob("__init__.py"))
