"""Variables: where their values come from, which value wins, and how they are substituted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import main
from reconciler.cli.arguments import merge_variables as merge_command_line
from reconciler.errors import StateError
from reconciler.state.loader import load
from reconciler.state.variable_sources import Overrides, read_variables
from reconciler.state.variables import Problems, Scalar, format_path, resolve_variables, substitute

HEAD = "[reconcile]\nversion = 1\ntitle = '${a}'\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.fixture
def problems() -> Problems:
    return Problems(Path("s.toml"), {})


def texts(problems: Problems) -> list[str]:
    return problems.report()


def test_a_later_var_file_overrides_an_earlier_one(tmp_path: Path) -> None:
    first, second = write(tmp_path / "1.toml", "a = 'first'\nb = 1\n"), write(tmp_path / "2.toml", "a = 'second'\nc = 2\n")
    assert merge_command_line((first, second), ()).values == {"a": "second", "b": 1, "c": 2}
    assert merge_command_line((second, first), ()).values == {"a": "first", "b": 1, "c": 2}


def test_var_overrides_every_var_file(tmp_path: Path) -> None:
    file = write(tmp_path / "site.toml", "a = 'file'\nb = 'file'\n")
    assert merge_command_line((file,), ("a=option",)).values == {"a": "option", "b": "file"}


def test_a_later_var_overrides_an_earlier_one() -> None:
    assert merge_command_line((), ("a=first", "a=second")).values == {"a": "second"}


@pytest.mark.parametrize(
    ("pair", "value"),
    [("a=true", True), ("a=false", False), ("a=-3", -3), ("a=12", 12), ("a=1.5", "1.5"), ("a=x=y", "x=y"), ("a=", "")],
)
def test_the_value_of_var_is_a_boolean_an_integer_or_a_string(pair: str, value: Scalar) -> None:
    merged = merge_command_line((), (pair,)).values
    assert merged == {"a": value}
    assert type(merged["a"]) is type(value)


@pytest.mark.parametrize("pair", ["a", "=b", "a-b=c", "1=2"])
def test_var_without_a_name_and_a_value_is_an_error(pair: str) -> None:
    with pytest.raises(StateError, match=r"(?i)--var name=value"):
        merge_command_line((), (pair,))


def test_command_line_values_override_the_vars_table(tmp_path: Path) -> None:
    path = write(tmp_path / "s.toml", HEAD + "[vars]\na = 'state'\nb = 'state'\n")
    file = write(tmp_path / "site.toml", "a = 'file'\n")
    assert load(path).title == "state"
    assert load(path, merge_command_line((file,), ())).title == "file"
    assert load(path, merge_command_line((file,), ("a=option",))).title == "option"
    assert load(path, merge_command_line((file,), ())).variables == {"a": "file", "b": "state"}


def test_an_override_needs_no_vars_table(tmp_path: Path) -> None:
    assert load(write(tmp_path / "s.toml", HEAD), {"a": "given"}).title == "given"


def test_overrides_change_the_digest_of_a_state(tmp_path: Path) -> None:
    path = write(tmp_path / "s.toml", HEAD + "[vars]\na = 'x'\n")
    assert load(path).digest == load(path, {"a": "x"}).digest
    assert load(path).digest != load(path, {"a": "y"}).digest


def test_a_var_file_with_a_table_is_an_error_that_names_each_bad_line(tmp_path: Path) -> None:
    file = write(tmp_path / "site.toml", "a = 1\nb = [1]\n[c]\nd = 2\n")
    with pytest.raises(StateError) as caught:
        read_variables(file)
    assert caught.value.problems == [
        "site.toml:2: b: must be a string, a number, true or false",
        "site.toml:3: c: must be a string, a number, true or false",
    ]


def test_vars_that_is_not_a_table_is_one_error(tmp_path: Path) -> None:
    path = write(tmp_path / "s.toml", "vars = 3\n[reconcile]\nversion = 1\n")
    with pytest.raises(StateError) as caught:
        load(path)
    assert caught.value.problems == ["s.toml:1: vars: must be a table of names and values"]


def test_a_variable_refers_to_others_wherever_they_are_defined(problems: Problems) -> None:
    document = {"vars": {"a": "${b}/a", "b": "${c}/b", "c": 3}}
    assert resolve_variables(document, {"c": 4}, problems) == {"a": "4/b/a", "b": "4/b", "c": 4}
    assert not problems.found


def test_a_variable_that_is_another_one_takes_its_type(problems: Problems) -> None:
    assert resolve_variables({"vars": {"a": "${b}", "b": True}}, {}, problems)["a"] is True


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${n}", 7),
        ("$n", 7),
        ("${n}.${n}", "7.7"),
        ("x${n}", "x7"),
        ("${flag}", True),
        ("${half}", 0.5),
        ("$$n", "$n"),
        ("plain", "plain"),
    ],
)
def test_a_string_that_is_one_variable_takes_its_type_and_any_other_stays_a_string(
    problems: Problems, text: str, value: Scalar
) -> None:
    found = substitute({"t": {"k": [text]}}, (), {"n": 7, "flag": True, "half": 0.5}, problems)["t"]["k"][0]
    assert found == value
    assert type(found) is type(value)
    assert not problems.found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${dta}", 's.toml:1: t.k: unknown variable "dta"; did you mean "data"?'),
        ("a $ b", 's.toml:1: t.k: invalid "$" in "a $ b"; write ${name} for a variable, $$ for a dollar sign'),
    ],
)
def test_a_string_that_cannot_be_substituted_is_an_error_and_stays_as_it_is(problems: Problems, text: str, message: str) -> None:
    assert substitute({"t": {"k": text}}, (), {"data": "x"}, problems) == {"t": {"k": text}}
    assert texts(problems) == [message]


def test_dates_and_times_become_iso_strings(problems: Problems) -> None:
    import tomli

    document = tomli.loads("[t]\na = 2024-11-08\nb = 2024-11-08T01:02:03Z\nc = 01:02:03\nd = 1.5\n")
    expected: dict[str, Any] = {"a": "2024-11-08", "b": "2024-11-08T01:02:03+00:00", "c": "01:02:03", "d": 1.5}
    assert substitute(document, (), {}, problems) == {"t": expected}


def test_braces_expand_in_names_of_resources_only(problems: Problems) -> None:
    document = {"chain": {"c{1,2}": {"k{1,2}": "v{1,2}"}}, "x{1,2}": 1}
    table = {"k{1,2}": "v{1,2}"}
    assert substitute(document, (), {}, problems) == {"chain": {"c1": table, "c2": table}, "x{1,2}": 1}


def test_an_expansion_beyond_the_limit_is_an_error_at_the_line_of_the_key() -> None:
    problems = Problems(Path("s.toml"), {("chain", "c{1..20000}"): 7})
    substitute({"chain": {"c{1..20000}": {}}}, (), {}, problems)
    assert texts(problems) == ["s.toml:7: chain.\"c{1..20000}\": 'c{1..20000}' expands to more than 10,000 names"]


def test_problems_are_raised_once_each_in_the_order_of_their_lines() -> None:
    problems = Problems(Path("s.toml"), {("b",): 9, ("a",): 2, ("b", "k"): 10})
    problems.raise_if_any()
    for _ in range(2):
        problems.add(("b",), "second")
        problems.add(("b",), "third", "k")
        problems.add(("a",), "first")
    problems.add((), "nowhere")
    with pytest.raises(StateError) as caught:
        problems.raise_if_any()
    assert caught.value.problems == ["s.toml:1: nowhere", "s.toml:2: a: first", "s.toml:9: b: second", "s.toml:10: b: third"]


def test_a_path_is_formatted_as_in_toml() -> None:
    assert format_path(("chain", "LSSTComCam/calib", "children", 2)) == 'chain."LSSTComCam/calib".children[2]'
    assert format_path(("a_b", "c-d", "é")) == 'a_b.c-d."é"'


STATE = "[reconcile]\nversion = 1\n[vars]\na = 'state'\nb = 'state'\nc = 'state'\nd = 'state'\ne = 'state'\nn = 1\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A state with a site and var-files that each set one variable less than the weaker ones."""
    (tmp_path / "sites").mkdir()
    write(tmp_path / "sites" / "in2p3.toml", "a = 'site'\nb = 'site'\nc = 'site'\nd = 'site'\nother = 'of another state'\n")
    write(
        tmp_path / "environment.toml",
        "a = 'file of the environment'\nb = 'file of the environment'\nc = 'file of the environment'\n",
    )
    write(tmp_path / "option.toml", "a = 'file'\n")
    return write(tmp_path / "s.toml", STATE)


def validate(*words: str | Path, **environment: str) -> Result:
    return CliRunner().invoke(main, ["validate", *map(str, words)], env=environment)


def test_the_strongest_source_of_each_variable_wins_and_is_shown(site: Path) -> None:
    folder = site.parent
    environment = {
        "RECONCILE_VAR_FILE": str(folder / "environment.toml"),
        "RECONCILE_VAR_b": "environment",
        "RECONCILE_VAR_n": "3",
    }
    words = ("-v", "--site", "in2p3", "--var-file", folder / "option.toml", "--var", "e=option", site)
    output = validate(*words, **environment).output
    shown = [line.split("   ") for line in output.splitlines() if line.startswith("  ")]
    assert [(line[0].strip() or line[1].strip(), line[-1].strip()) for line in shown] == [
        ('a = "file"', f"--var-file {folder}/option.toml"),
        ('b = "environment"', "RECONCILE_VAR_b"),
        ('c = "file of the environment"', f"RECONCILE_VAR_FILE, {folder}/environment.toml"),
        ('d = "site"', f"site in2p3, {folder}/sites/in2p3.toml"),
        ('e = "option"', "--var"),
        ("n = 3", "RECONCILE_VAR_n"),
    ]


def test_a_variable_without_any_other_source_is_shown_with_its_line(site: Path) -> None:
    assert 'd = "state"   [vars], s.toml:7' in validate("-v", site).output


def test_var_overrides_the_environment_and_the_environment_the_site(site: Path) -> None:
    environment = {"RECONCILE_VAR_a": "environment", "RECONCILE_SITE": "in2p3"}
    assert 'a = "environment"' in validate("-v", site, **environment).output
    assert 'a = "option"' in validate("-v", site, "--var", "a=option", **environment).output
    assert 'a = "site"' in validate("-v", site, RECONCILE_SITE="in2p3").output


def test_a_site_that_does_not_exist_is_an_error_with_the_one_that_was_probably_meant(site: Path) -> None:
    result = validate("--site", "in2p", site)
    assert result.exit_code == 1
    assert 'sites/in2p.toml: no such file; did you mean "in2p3.toml"?' in result.output
    assert "a name has only letters" in validate("--site", "../x", site).output


def test_a_wrong_file_of_a_site_is_an_error_with_its_line(site: Path) -> None:
    write(site.parent / "sites" / "bad.toml", "\n[a]\nb = 1\n")
    assert "bad.toml:2: a: must be a string, a number, true or false" in validate("--site", "bad", site).output


def test_a_credential_in_the_value_of_a_variable_is_hidden(tmp_path: Path) -> None:
    state = write(tmp_path / "s.toml", "[reconcile]\nversion = 1\n[vars]\ndb_password = 'hunter22'\n")
    output = validate("-v", state).output
    assert "hunter22" not in output
    assert "db_password = ***" in output


def test_a_python_program_does_not_read_the_environment(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONCILE_VAR_a", "environment")
    assert load(site).variables["a"] == "state"
    assert load(site, Overrides({}, environment={"RECONCILE_VAR_a": "x"})).variables["a"] == "x"


def test_jobs_and_journal_come_from_the_environment(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["diff", "x.toml"], env={"RECONCILE_JOBS": "none"})
    assert result.exit_code == 64
    assert "RECONCILE_JOBS" in CliRunner().invoke(main, ["diff", "--help"]).output
    result = CliRunner().invoke(main, ["log"], env={"RECONCILE_JOURNAL": str(tmp_path)})
    assert result.exit_code == 64
    assert "is a directory" in result.output
