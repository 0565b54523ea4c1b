"""Help about the tables of a state file, from the schema."""

from __future__ import annotations

import re
import subprocess
import sys

import jsonschema
import pytest
import tomli
from click.testing import CliRunner

from reconciler.cli import main
from reconciler.report.kind_help import describe_table, find_path_keys, list_tables, make_example
from reconciler.state.schema import known_kinds, state_schema

TABLES = ["reconcile", "rucio", *known_kinds()]
SCHEMA = state_schema()


def text_of(name: str) -> str:
    return "\n".join(line.text for line in describe_table(name))


def test_all_tables_are_listed_with_what_they_are() -> None:
    lines = [line.text.split()[0] for line in list_tables()]
    assert lines == TABLES


@pytest.mark.parametrize("table", TABLES)
def test_the_help_of_a_table_has_all_its_keys_and_an_example_that_its_schema_accepts(table: str) -> None:
    text = text_of(table)
    keys = SCHEMA["$defs"][table]["properties"]
    assert [key for key in keys if not re.search(rf"\b{key}\b", text)] == []
    example = "\n".join(text.split("\n\n")[-2].splitlines())
    document = tomli.loads(example)
    assert table in document
    names = {key: SCHEMA["properties"][key] for key in document}
    jsonschema.Draft202012Validator({"properties": names, "$defs": SCHEMA["$defs"]}).validate(document)
    assert 2 <= len(example.splitlines()) <= 7


@pytest.mark.parametrize("table", TABLES)
def test_the_help_of_a_key_has_its_type_its_meaning_and_an_example(table: str) -> None:
    for key, schema in SCHEMA["$defs"][table]["properties"].items():
        text = text_of(f"{table}.{key}")
        assert text.startswith(f"{table}: {key} (")
        assert " ".join(schema["description"].split()) in " ".join(text.split())
        assert f"\n{key} = " in text


def test_a_key_shows_whether_it_is_required_or_its_default() -> None:
    assert "  children (list of strings, required)" in text_of("chain")
    assert '  transfer (auto, link, symlink, hardlink, copy, move, relsymlink or direct, default "direct")' in text_of("raw")


def test_a_key_of_a_table_inside_a_table_is_found() -> None:
    assert text_of("rucio_dataset.rules.copies").startswith("rucio_dataset: copies (integer, default 1)")
    assert "  rse_expression (string, required)" in text_of("rucio_dataset.rules")


def test_keys_that_take_a_path_show_what_it_is_relative_to() -> None:
    assert find_path_keys("import") >= {"export_file"}
    assert find_path_keys("rucio_dataset") == {"config", "repo"}
    assert "uri" in find_path_keys("repository")
    assert find_path_keys("tagged") >= {"visits", "exposures", "ids"}
    assert "A relative path is relative to the state file." in text_of("repository.seed_config")
    assert "A relative path is relative to the state file." in text_of("rucio.config")
    assert "relative path" not in text_of("chain")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("chian", 'there is no table "chian"; did you mean "chain"?\n  reconcile help lists all tables\n'),
        ("chain.childern", 'chain has no key "childern"; did you mean "children"?\n'),
        ("rucio_dataset.rules.copie", 'rucio_dataset.rules has no key "copie"; did you mean "copies"?\n'),
        ("chain.children.x", "chain.children has no keys\n"),
    ],
)
def test_an_unknown_table_or_key_is_an_error_with_a_suggestion(word: str, message: str) -> None:
    result = CliRunner().invoke(main, ["help", word])
    assert (result.exit_code, result.output) == (1, f"error: {message}")


def test_an_example_without_required_keys_has_some_others() -> None:
    keys = {name: {"examples": [name]} for name in "abcdef"}
    assert list(make_example("box", False, keys, ())) == ['[box."example"]', *(f'{name} = "{name}"' for name in "abcd")]
    assert list(make_example("box", True, keys, tuple("bcdef"))) == ["[box]", *(f'{name} = "{name}"' for name in "abcdef")]


def test_help_imports_no_live_system() -> None:
    code = (
        "import sys\nfrom reconciler.cli import main\n"
        "try: main(['help', 'raw'])\nexcept SystemExit as end: assert end.code == 0, end.code\n"
        "loaded = {'lsst', 'rucio', 'sqlalchemy', 'jsonschema', 'rich'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
