"""Kinds and report formats of other packages: whatever is wrong with one, an error names the package."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import FakeKind

from reconciler.engine.kind import Kind
from reconciler.engine.model import Address, Change, Observed
from reconciler.engine.plugin_kind import PluginKind
from reconciler.engine.plugins import Plugin, find_plugins
from reconciler.engine.spec import Spec
from reconciler.errors import ApplyError, Interrupted, ObserveError, PluginError, ReconcileError, StateError
from reconciler.report.formats import plugin_format_names, render
from reconciler.state.loader import load
from reconciler.state.schema import find_kind, find_kinds, known_kinds, state_schema

HEAD = '[reconcile]\nversion = 1\n[repository]\nuri = "repo"\n'
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """A function that makes a package with one module and entry points, as pip would leave it."""

    made: list[str] = []

    def make(name: str, module: str = "", kinds: str = "", formats: str = "") -> None:
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        made.append(name)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[rubin_reconciler.kinds]\n{kinds}\n[rubin_reconciler.formats]\n{formats}\n")
        (tmp_path / f"{name}.py").write_text(module)
        forget()

    def forget() -> None:
        for module in made:
            sys.modules.pop(module, None)
        for cached in (find_plugins, find_kind, state_schema):
            cached.cache_clear()

    monkeypatch.syspath_prepend(str(tmp_path))
    yield make
    monkeypatch.undo()
    forget()


DOOR = "from fakes import FakeKind\nKIND = FakeKind('door', order=1)\n"


def test_a_kind_of_a_package_is_found_among_the_built_in_ones_and_only_where_its_table_is_used(install: Install) -> None:
    install("doors", DOOR, "door = doors:KIND")
    assert next(iter(find_kinds(["door"]))) == "door"
    assert list(find_kinds([])) == list(known_kinds())
    assert "door" not in state_schema()["properties"]
    assert state_schema(plugins=True)["properties"]["door"]["additionalProperties"] == {"$ref": "#/$defs/door"}


BROKEN = {
    "raise RuntimeError('no hinges')": "can't be loaded: RuntimeError: no hinges",
    "import hinges": "can't be loaded: ModuleNotFoundError: No module named 'hinges'",
    "raise SystemExit(3)": "can't be loaded: SystemExit: 3",
    "": "can't be loaded: AttributeError: module 'doors' has no attribute 'KIND'",
    "KIND = 3": "is not an instance of reconciler.Kind: int",
    "from fakes import FakeKind\nKIND = FakeKind": "is not an instance of reconciler.Kind",
    "from fakes import FakeKind\nKIND = FakeKind('window')": 'is a kind of the table "window"; its entry point must',
    "from fakes import FakeKind\nKIND = FakeKind('door')\nKIND.traits = None": "has no attribute traits of type KindTraits",
    "from fakes import FakeKind\nKIND = FakeKind('door')\nKIND.spec = dict": "has no attribute spec that is a subclass",
}


@pytest.mark.parametrize(("module", "problem"), BROKEN.items())
def test_a_broken_kind_is_reported_with_its_package_beside_the_other_problems_of_the_file(
    install: Install, tmp_path: Path, module: str, problem: str
) -> None:
    install("doors", module, "door = doors:KIND")
    path = tmp_path / "s.toml"
    path.write_text(f"{HEAD}[door.front]\n[chain.c]\nchildern = []\n")
    with pytest.raises(StateError) as caught:
        load(path)
    assert caught.value.problems[0].startswith(f's.toml:5: door: the table "door" of doors 1.0 {problem}')
    assert 's.toml:7: chain.c: unknown key "childern"' in str(caught.value)


def test_a_spec_that_can_not_be_described_is_reported(install: Install) -> None:
    module = DOOR + (
        "from reconciler.engine.model import Spec\nclass Thing: pass\n"
        "class DoorSpec(Spec):\n    model_config = {'arbitrary_types_allowed': True}\n    thing: Thing = None\n"
        "KIND.spec = DoorSpec\n"
    )
    install("doors", module, "door = doors:KIND")
    with pytest.raises(PluginError, match=r"doors 1.0 has a spec without a JSON Schema"):
        find_kind("door")


def test_a_table_of_two_packages_is_an_error_that_names_both(install: Install) -> None:
    install("doors", DOOR, "door = doors:KIND")
    install("gates", DOOR, "door = gates:KIND")
    with pytest.raises(PluginError, match=r'the table "door" is defined by doors 1.0 and by gates 1.0'):
        find_kind("door")


def test_a_package_can_not_replace_a_built_in_kind(install: Install) -> None:
    install("chains", "raise RuntimeError('loaded')", "chain = chains:KIND")
    with pytest.raises(PluginError, match=r'the table "chain" is built in, and chains 1.0 defines it too'):
        find_kind("chain")
    assert find_kinds(["raw"])["chain"] is known_kinds()["chain"]
    assert "chain" in state_schema(plugins=True)["properties"]


def test_the_kind_of_a_misspelt_table_is_suggested_although_its_package_does_not_work(install: Install, tmp_path: Path) -> None:
    install("doors", "raise RuntimeError", "door = doors:KIND")
    path = tmp_path / "s.toml"
    path.write_text(f"{HEAD}[dor.front]\n")
    with pytest.raises(StateError, match='unknown table "dor"; did you mean "door"'):
        load(path)


# Errors that the code of a kind raises while it is used

ADDRESS = Address("door", "front")
CALLS: dict[str, tuple[Callable[[PluginKind], Any], type[ReconcileError]]] = {
    "links": (lambda kind: kind.links("front", Spec()), PluginError),
    "requirements": (lambda kind: kind.requirements(Spec()), PluginError),
    "validate": (lambda kind: kind.validate("front", Spec()), PluginError),
    "check_inputs": (lambda kind: kind.check_inputs(Spec(), {}), PluginError),
    "observe": (lambda kind: kind.observe(None, {"front": Spec()}), ObserveError),
    "prefetch": (lambda kind: kind.prefetch(None, {"front": Spec()}), ObserveError),
    "plan": (lambda kind: kind.plan(Change(ADDRESS, Spec(), Observed(None), ())), PluginError),
    "apply": (lambda kind: kind.apply(None, SimpleNamespace()), ApplyError),  # type: ignore[arg-type]
    "commands": (lambda kind: kind.commands(SimpleNamespace()), PluginError),  # type: ignore[arg-type]
    "describe": (lambda kind: kind.describe({}), PluginError),
}


def raising(error: BaseException) -> Callable[..., Any]:
    def method(*arguments: Any) -> Iterator[None]:
        raise error
        yield

    return method


def call(method: str, body: Callable[..., Any]) -> Any:
    """Call a method of a kind of another package whose code is ``body``."""
    kind = FakeKind("door")
    setattr(kind, method, body)
    entry_point: Any = SimpleNamespace(dist=SimpleNamespace(name="doors", version="1.0"))
    return CALLS[method][0](PluginKind(kind, Plugin('table "door"', entry_point)))


@pytest.mark.parametrize("method", ["validate", "check_inputs", "plan", "commands"])
def test_an_error_of_a_generator_is_raised_where_it_is_called(method: str) -> None:
    with pytest.raises(PluginError, match=f'the table "door" of doors 1.0 raised KeyError in {method}'):
        call(method, raising(KeyError("hinge")))


@pytest.mark.parametrize("method", CALLS)
def test_an_error_of_the_code_of_a_package_becomes_one_that_names_it(method: str) -> None:
    def body(*arguments: Any) -> None:
        raise KeyError("hinge")

    with pytest.raises(CALLS[method][1], match=f"the table \"door\" of doors 1.0 raised KeyError in {method}: 'hinge'"):
        call(method, body)


@pytest.mark.parametrize("error", [Interrupted(), StateError("wrong file"), KeyboardInterrupt()])
def test_errors_that_the_engine_understands_pass_unchanged(error: BaseException) -> None:
    def body(*arguments: Any) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        call("apply", body)
    assert caught.value is error


def test_each_method_of_a_kind_is_passed_on_to_that_of_the_package() -> None:
    methods = {name for name, value in vars(Kind).items() if callable(value) and not name.startswith("_")}
    assert methods <= vars(PluginKind).keys()
    assert methods == CALLS.keys()


def test_an_observation_that_is_not_observed_is_an_error() -> None:
    with pytest.raises(ObserveError, match=r"doors 1.0 returned Spec from observe and not Observed"):
        call("observe", lambda context, desired: desired)


# Report formats


def test_a_format_gets_the_reports_and_returns_text(install: Install) -> None:
    install("pages", "def write(reports): return f'{len(reports)} states'", formats="html = pages:write\njson = pages:write")
    assert plugin_format_names() == ["html"]
    assert render("html", []) == "0 states"


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        ("", "can't be loaded: AttributeError"),
        ("def write(reports): return 1 / len(reports)", "failed: ZeroDivisionError"),
        ("def write(reports): return [b'x']", "returned list and not str"),
    ],
)
def test_a_broken_format_is_reported_with_its_package(install: Install, module: str, problem: str) -> None:
    install("pages", module, formats="html = pages:write")
    with pytest.raises(PluginError, match=f'the report format "html" of pages 1.0 {problem}'):
        render("html", [])


def test_a_format_of_two_packages_is_an_error_that_names_both(install: Install) -> None:
    install("pages", formats="html = pages:write")
    install("sheets", formats="html = sheets:write")
    with pytest.raises(PluginError, match=r'the report format "html" is defined by pages 1.0 and by sheets 1.0'):
        render("html", [])
