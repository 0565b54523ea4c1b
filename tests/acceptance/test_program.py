"""The program as a whole: how it starts, what it ships, how it grows."""

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

from reconciler.engine.plan_file import plan_schema
from reconciler.playground.world import OBSERVATORY
from reconciler.report.json import report_schema
from reconciler.state.schema import state_schema


@pytest.mark.parametrize("words", [["--help"], ["diff", "--help"], ["validate", "tests/cases/small.toml"]])
def test_start_up_imports_neither_lsst_nor_rucio_nor_astropy(words: list[str]) -> None:
    code = (
        "import sys\nfrom reconciler.cli import main\n"
        f"try: main({words!r})\nexcept SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = {'lsst', 'rucio', 'astropy', 'sqlalchemy', 'deepdiff', 'rich', 'requests'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(("name", "schema"), [("state", state_schema()), ("diff", report_schema()), ("plan", plan_schema())])
def test_the_schemas_that_ship_are_current(name: str, schema: dict[str, object]) -> None:
    assert json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text()) == schema, "run make schemas"


def test_an_editor_finds_nothing_wrong_with_the_state_that_ships() -> None:
    document = tomli.loads((ROOT / "state" / "ccms1.toml").read_text())
    jsonschema.Draft202012Validator(state_schema()).validate(document)


def test_every_key_of_a_state_is_described_for_editors() -> None:
    for name, definition in state_schema()["$defs"].items():
        for key, entry in definition.get("properties", {}).items():
            assert entry.get("description"), f"{name}.{key}"


def test_the_json_of_a_diff_follows_its_schema(bench: Bench) -> None:
    state = bench.state('[collection.a]\ntype = "RUN"\n[chain.b]\nchildren = ["a"]\n')
    report = json.loads(bench.run("diff", state, "--format", "json", expect=2).output)
    jsonschema.validate(report, report_schema())
    assert [resource["address"] for resource in report["resources"]] == ["repository", "collection.a", "chain.b"]
    assert report["in_sync"] is False


def test_the_stand_in_is_not_importable_outside_the_playground() -> None:
    code = "import importlib.util as u\nassert u.find_spec('standin') is None\nassert u.find_spec('lsst.obs') is None"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd="/")


def test_without_the_stack_what_needs_it_is_told_before_anything_starts(sqlite_bench: Bench) -> None:
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

from pydantic import Field

from reconciler.engine.model import Action, Kind, Seen, Spec


class DoorSpec(Spec):
    """A door."""

    open: bool = Field(True, description="Whether it is open.")


class DoorKind(Kind[DoorSpec]):
    """The kind of ``door`` tables."""

    name = "door"
    spec = DoorSpec
    summary = "Doors."

    def provides(self, name, spec):
        yield f"door:{name}"

    def observe(self, live, desired):
        there = live.butler.collections()
        return {name: Seen(spec) for name, spec in desired.items() if f"door/{name}" in there}

    def plan(self, missing):
        yield Action(missing.id, "build", {}, "no such door")

    def apply(self, live, action):
        from reconciler.systems.butler.write_definitions import register_collection

        register_collection(live.butler, f"door/{action.id.name}", "RUN")


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


def test_no_path_of_the_stand_in_is_a_package_of_ours() -> None:
    assert not list(Path(OBSERVATORY).glob("__init__.py"))
