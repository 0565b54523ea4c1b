"""State files are loaded as a whole, and all problems are reported at once with file and line."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import tomli_w
from click.testing import CliRunner
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from pydantic import field_validator

from reconciler.cli import main
from reconciler.engine.diff import canonical
from reconciler.engine.kind import KindTraits
from reconciler.engine.model import Address
from reconciler.engine.spec import Spec
from reconciler.errors import StateError
from reconciler.files import visit_list
from reconciler.kinds.chain import ChainSpec
from reconciler.state import loader
from reconciler.state.loader import load
from reconciler.state.variables import Problems

CASES = sorted((ROOT / "tests" / "cases" / "bad_state").glob("*.toml"))
HEAD = "[reconcile]\nversion = 1\n[repository]\nuri = 'r'\n"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_each_mistake_in_a_state_file_has_its_message(path: Path) -> None:
    expected = [line.removeprefix("# expect: ") for line in path.read_text().splitlines() if line.startswith("# expect: ")]
    result = CliRunner().invoke(main, ["validate", "--inputs", str(path)])
    assert result.exit_code == 1
    assert expected
    for text in expected:
        assert text in result.output
    assert "Traceback" not in result.output


def test_a_state_whose_input_files_are_elsewhere_is_valid_unless_they_are_asked_for() -> None:
    path = str(ROOT / "state" / "ccms1.toml")
    result = CliRunner().invoke(main, ["validate", path])
    assert result.exit_code == 0
    assert "resources; 15 input files not on this machine and not checked (see --inputs)" in result.output
    result = CliRunner().invoke(main, ["validate", "--inputs", path])
    assert result.exit_code == 1
    assert "15 errors" in result.output


def test_an_input_file_that_is_here_is_checked_where_another_one_is_missing(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("- nothing")
    path = tmp_path / "s.toml"
    path.write_text(HEAD + "".join(f"[import.{name}]\nexport_file = '{name}.yaml'\nroot = '/'\n" for name in ("bad", "gone")))
    result = CliRunner().invoke(main, ["validate", str(path)])
    assert result.exit_code == 1
    assert "s.toml:5: import.bad: " in result.output
    assert "gone" not in result.output


def test_all_problems_of_a_file_are_reported_at_once_in_the_order_of_its_lines(tmp_path: Path) -> None:
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


def test_variables_are_substituted_in_values_and_keep_their_type(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(HEAD + EXPECT)
    spec = load(path, {"n": 7, "d": "/z"}).resources[Address("expect", "e")]
    assert spec.count == 7  # type: ignore[attr-defined]
    assert spec.collections == ("/z/y",)  # type: ignore[attr-defined]


KEYS = """
[vars]
ticket = 'DM-1'
braces = '{x,y}'
n = 7
[chain."c/${ticket}/{a,b}"]
children = []
[chain."c/${n}/$$/${braces}"]
children = []
[import.'${ticket}']
export_file = 'e.yaml'
root = '/r'
replace = { '/${ticket}/' = '/x/' }
"""


def test_variables_are_substituted_in_keys_after_the_expansion_of_their_braces(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(HEAD + KEYS)
    state = load(path)
    names = [address.name for address in state.resources if address.kind != "repository"]
    assert names == ["c/DM-1/a", "c/DM-1/b", "c/7/$/{x,y}", "DM-1"]
    assert state.lines[Address("chain", "c/DM-1/b")] == 10
    assert dict(state.resources[Address("import", "DM-1")].replace) == {"/DM-1/": "/x/"}  # type: ignore[attr-defined]


def test_the_same_problem_of_all_resources_of_one_key_is_one_line_with_a_count(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(HEAD + '[chain."c{1..67}"]\nchildren = ["a", "a"]\n[chain.d]\nchildren = ["a", "a"]\n')
    with pytest.raises(StateError) as caught:
        load(path)
    text = 'children: "a" is named twice'
    assert caught.value.problems == [f"s.toml:5: chain.c1 and 66 more: {text}", f"s.toml:7: chain.d: {text}"]


def test_keys_that_variables_make_equal_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(HEAD + "[vars]\na = 'x'\n[chain.x]\nchildren = []\n[chain.'${a}']\nchildren = []\n")
    with pytest.raises(StateError, match='"x" is defined twice in this file'):
        load(path)


def test_an_unknown_variable_on_the_command_line_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(HEAD + "[vars]\ndata = '/x'\n")
    with pytest.raises(StateError, match='sets unknown variable "dta"; did you mean "data"'):
        load(path, {"dta": "/y"})


def test_a_key_with_braces_makes_one_resource_for_each_name_at_the_line_of_the_key(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(HEAD + '[chain."c{1..3}"]\nchildren = []\n')
    state = load(path)
    assert [id.name for id in state.resources if id.kind == "chain"] == ["c1", "c2", "c3"]
    assert state.lines[Address("chain", "c2")] == 5


def test_relative_paths_of_inputs_start_from_the_folder_of_the_state_file(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(HEAD + "[skymap.m]\nconfig = 'maps/m.config'\n")
    assert load(path).resources[Address("skymap", "m")].config == str(tmp_path / "maps/m.config")  # type: ignore[attr-defined]


def test_paths_of_inputs_do_not_depend_on_how_the_path_of_the_state_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state" / "s.toml"
    path.parent.mkdir()
    path.write_text(HEAD + "[rucio]\nconfig = 'rucio.cfg'\n[skymap.m]\nconfig = '../maps/m.config'\n")
    monkeypatch.chdir(tmp_path)
    typed = [load(each) for each in (path, Path("state/s.toml"))]
    assert typed[0].resources == typed[1].resources
    assert typed[0].rucio == typed[1].rucio


def test_a_missing_state_file_is_reported_with_the_closest_name_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "ccms1.toml").write_text(HEAD)
    with pytest.raises(StateError, match=r'no such file; did you mean "ccms1.toml"\?'):
        load(tmp_path / "ccms.toml")


NAMES = st.text("abcXYZ/-_.09", min_size=1, max_size=12)


@given(st.dictionaries(NAMES, st.lists(NAMES, unique=True, max_size=4), max_size=5))
def test_chains_written_as_toml_are_loaded_unchanged(
    tmp_path_factory: pytest.TempPathFactory, chains: dict[str, list[str]]
) -> None:
    path = tmp_path_factory.mktemp("trip") / "s.toml"
    specs = {name: ChainSpec(children=tuple(child for child in listed if child != name)) for name, listed in chains.items()}
    document = {
        "reconcile": {"version": 1},
        "repository": {"uri": "r"},
        "chain": {name: {k: v for k, v in canonical(spec).items() if v is not None} for name, spec in specs.items()},
    }
    path.write_text(tomli_w.dumps(document))
    read = load(path).resources
    assert {id.name: spec for id, spec in read.items() if id.kind == "chain"} == specs


@given(st.text(max_size=200))
def test_any_text_is_loaded_or_reported_as_problems_of_the_file(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "s.toml"
    path.write_bytes((HEAD + text).encode("utf-8", "surrogatepass"))
    try:
        problems = [] if load(path).resources else ["no resources"]
    except StateError as error:
        problems = error.problems
    assert all("s.toml" in problem for problem in problems)


def test_the_shipped_ccms1_state_has_all_resources_of_the_procedure() -> None:
    assert len(load(ROOT / "state" / "ccms1.toml").resources) == 61


def test_a_rucio_configuration_is_found_from_the_folder_of_the_state_file(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text("[reconcile]\nversion = 1\n[rucio]\nconfig = 'etc/rucio.cfg'\nrse = 'X'\n")
    rucio = load(path).rucio
    assert rucio is not None
    assert (rucio.config, rucio.rse, rucio.timeout) == (str(tmp_path / "etc/rucio.cfg"), "X", 60)


def test_a_rucio_table_without_a_configuration_leaves_the_choice_to_rucio(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text("[reconcile]\nversion = 1\n[rucio]\n")
    rucio = load(path).rucio
    assert rucio is not None
    assert rucio.config is None


def test_resources_are_in_the_order_of_the_file_and_know_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "campaign.toml"
    path.write_text(HEAD + "[chain.z]\nchildren = ['c']\n[collection.c]\ntype = 'RUN'\n[chain.a]\nchildren = ['c']\n")
    state = load(path)
    assert state.name == "campaign"
    assert [str(address) for address in state.resources] == ["repository", "chain.z", "collection.c", "chain.a"]
    assert [state.where(address) for address in state.resources] == [f"campaign.toml:{line}" for line in (3, 5, 7, 9)]
    assert state.where(Address("chain", "absent")) == "campaign.toml:1"


def test_a_problem_of_a_key_with_braces_is_reported_once(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(HEAD + '[chain."c{1..3}"]\nchildern = []\nchildren = []\n')
    with pytest.raises(StateError) as caught:
        load(path)
    assert caught.value.problems == ['s.toml:5: chain.c1: unknown key "childern"; did you mean "children"?']


def test_toml_that_nests_too_deeply_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text("a = " + "[" * 100_000)
    with pytest.raises(StateError, match=r"s\.toml: invalid TOML: nested too deeply|s\.toml:1: invalid TOML"):
        load(path)


def test_a_requirement_with_a_typing_error_gets_a_suggestion(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(HEAD + "[chain.a]\nchildren = []\n[chain.b]\nchildren = []\nrequires = ['chian.a']\n")
    with pytest.raises(StateError, match=r'chain\.b\.requires: no resource chian\.a in this file; did you mean "chain\.a"\?'):
        load(path)


class Door(Spec):
    """A Spec with a rule that its schema does not have, as a kind of another package may be."""

    width: int

    @field_validator("width")
    @classmethod
    def _check_width(cls, width: int) -> int:
        if width % 2:
            raise ValueError("the width must be even")
        return width


def test_a_value_that_only_its_spec_rejects_is_reported_at_its_line() -> None:
    traits = KindTraits(summary="Doors.")
    door = SimpleNamespace(name="door", traits=traits, spec=Door, validate=lambda name, spec: [f"{name} has {spec.width}"])
    problems = Problems(Path("s.toml"), {("door", "a", "width"): 3, ("door", "b"): 4, ("door", "c", "width"): 7})
    tables = {"door": {"a": {"width": 3}, "b": {"width": 4}, "c": {"width": "x"}}}
    specs, lines = loader._make_specs(tables, {"door": door}, Path(), problems)
    assert (list(specs), list(lines.values())) == ([Address("door", "b")], [4])
    assert problems.report() == [
        "s.toml:3: door.a.width: the width must be even",
        "s.toml:4: door.b: b has 4",
        "s.toml:7: door.c.width: Input should be a valid integer, unable to parse string as an integer",
    ]


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("1.5h", 5400), ("7 d", 604800), ("${w}", 7200)])
def test_a_duration_of_a_table_is_converted_to_seconds(tmp_path: Path, text: str, seconds: float) -> None:
    path = tmp_path / "s.toml"
    path.write_text(f"[vars]\nw = '2h'\n{HEAD}[chain.a]\nchildren = []\ndeadline = '{text}'\nnew_after = '{text}'\n")
    spec = load(path).resources[Address("chain", "a")]
    assert (spec.deadline, spec.new_after) == (seconds, seconds)
    assert "deadline" not in canonical(spec), "it is how the resource is watched, not what it is"


def test_a_number_with_thousands_of_digits_is_a_mistake_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(HEAD + f"override = {'9' * 5_000}\n")
    with pytest.raises(StateError, match=r"s\.toml: invalid TOML: a number has too many digits"):
        load(path)


def test_a_comma_after_a_number_may_have_blanks_around_it(tmp_path: Path) -> None:
    (tmp_path / "visits.txt").write_text("12,\n 13 , \n14 # the last one\n")
    assert visit_list.read(str(tmp_path / "visits.txt")) == [12, 13, 14]


def test_a_visit_with_more_digits_than_the_butler_stores_is_a_mistake_in_the_list(tmp_path: Path) -> None:
    for digits in (19, 5_000):
        (tmp_path / "visits.txt").write_text(f"2024110800001\n{'9' * digits}\n")
        with pytest.raises(StateError, match=r"visits\.txt:2: 9{,40} is too large"):
            visit_list.read(str(tmp_path / "visits.txt"))


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ('[tagged.t]\ndataset_type = "raw"\nfrom = ["r"]\ninstrument = "L"\nvisits = "a\\u0000b"\n', "5: tagged.t.visits"),
        ('[import.i]\nexport_file = "a\\u0000b"\nroot = "/"\n', "5: import.i.export_file"),
        ('[chain."a\\u0000b"]\nchildren = []\n', '5: chain."a\\x00b"'),
    ],
)
def test_a_null_character_is_a_mistake_wherever_it_is(tmp_path: Path, table: str, where: str) -> None:
    path = tmp_path / "s.toml"
    path.write_text(HEAD + table)
    with pytest.raises(StateError) as caught:
        load(path)
    assert "contains a null character" in str(caught.value)
