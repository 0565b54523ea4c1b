"""State files are read whole, and everything that is wrong is told at once, with file and line."""

import contextlib
from pathlib import Path

import pytest
import tomli_w
from click.testing import CliRunner
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli import main
from reconciler.engine.diff import canonical
from reconciler.engine.model import Id
from reconciler.errors import ReconcileError, StateError
from reconciler.kinds.chain import ChainSpec
from reconciler.state.loader import load

CASES = sorted((ROOT / "tests" / "cases" / "bad_state").glob("*.toml"))
HEAD = "[reconcile]\nversion = 1\n[repository]\nuri = 'r'\n"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_each_mistake_is_one_clear_message(path: Path) -> None:
    wanted = [line.removeprefix("# expect: ") for line in path.read_text().splitlines() if line.startswith("# expect: ")]
    result = CliRunner().invoke(main, ["validate", str(path)])
    assert result.exit_code == 1
    assert wanted
    for text in wanted:
        assert text in result.output
    assert "Traceback" not in result.output


def test_all_mistakes_of_a_file_are_told_at_once_in_the_order_of_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "many.toml"
    path.write_text(HEAD + "[chain.a]\nchildern = []\n[chian.b]\n[collection.c]\ntype = 'RNU'\n")
    with pytest.raises(StateError) as caught:
        load(path)
    lines = [int(problem.split(":")[1]) for problem in caught.value.problems]
    assert lines == sorted(lines)
    assert len(lines) == 4


EXPECT = """
[vars]
n = 1
d = '/x'
sub = '${d}/y'
[expect.e]
dataset_type = 'raw'
collections = ['${sub}']
count = '${n}'
"""


def test_variables_are_put_into_leaves_and_take_their_own_type(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(HEAD + EXPECT)
    spec = load(path, {"n": 7, "d": "/z"}).resources[Id("expect", "e")]
    assert spec.count == 7  # type: ignore[attr-defined]
    assert spec.collections == ("/z/y",)  # type: ignore[attr-defined]


def test_the_command_line_holds_over_a_var_file_and_that_over_the_state(tmp_path: Path) -> None:
    path, site = tmp_path / "s.toml", tmp_path / "site.toml"
    path.write_text(HEAD + EXPECT.replace("count = '${n}'", "count = '${n}'\nmax = '${d}'"))
    site.write_text("n = 5\nd = 6\n")
    result = CliRunner().invoke(main, ["validate", str(path), "--var-file", str(site), "--var", "n=8"])
    assert result.exit_code == 0, result.output


def test_an_unknown_variable_of_the_command_line_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(HEAD + "[vars]\ndata = '/x'\n")
    with pytest.raises(StateError, match='no variable "dta"; did you mean "data"'):
        load(path, {"dta": "/y"})


def test_a_key_with_braces_makes_one_resource_for_each_name_at_the_line_of_the_key(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(HEAD + '[chain."c{1..3}"]\nchildren = []\n')
    state = load(path)
    assert [id.name for id in state.resources if id.kind == "chain"] == ["c1", "c2", "c3"]
    assert state.lines[Id("chain", "c2")] == 5


def test_inputs_are_found_beside_the_state_file(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(HEAD + "[skymap.m]\nconfig = 'maps/m.config'\n")
    assert load(path).resources[Id("skymap", "m")].config == str(tmp_path / "maps/m.config")  # type: ignore[attr-defined]


def test_a_missing_file_is_told_with_its_nearest_sibling(tmp_path: Path) -> None:
    (tmp_path / "ccms1.toml").write_text(HEAD)
    with pytest.raises(StateError, match=r'no such file; did you mean "ccms1.toml"\?'):
        load(tmp_path / "ccms.toml")


NAMES = st.text("abcXYZ/-_.09", min_size=1, max_size=12)


@given(st.dictionaries(NAMES, st.lists(NAMES, unique=True, max_size=4), max_size=5))
def test_what_is_written_as_toml_is_read_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, chains: dict[str, list[str]]
) -> None:
    path = tmp_path_factory.mktemp("trip") / "s.toml"
    specs = {name: ChainSpec(children=tuple(children)) for name, children in chains.items()}
    document = {
        "reconcile": {"version": 1},
        "repository": {"uri": "r"},
        "chain": {name: {k: v for k, v in canonical(spec).items() if v is not None} for name, spec in specs.items()},
    }
    path.write_text(tomli_w.dumps(document))
    read = load(path).resources
    assert {id.name: spec for id, spec in read.items() if id.kind == "chain"} == specs


@given(st.text(max_size=200))
def test_no_text_makes_the_loader_fail_in_an_unknown_way(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "s.toml"
    path.write_bytes((HEAD + text).encode("utf-8", "surrogatepass"))
    with contextlib.suppress(ReconcileError):
        load(path)


def test_the_state_that_ships_names_the_whole_procedure() -> None:
    assert len(load(ROOT / "state" / "ccms1.toml").resources) == 61
