"""The generated reference pages show every key of a state file, with a valid example, and every option of a command."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import tomli

from reconciler.cli import main
from reconciler.engine.spec import Spec
from reconciler.state.schema import known_kinds, state_schema
from reconciler.state.settings import Header, RucioSettings

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "_ext"))
from reference_pages import commands_page, describe_type, format_toml, state_page

SCHEMA = state_schema()
KEYS = [(table, key) for table, definition in SCHEMA["$defs"].items() for key in definition.get("properties", {})]
MODELS = {"reconcile": Header, "rucio": RucioSettings, **{name: kind.spec for name, kind in known_kinds().items()}}


def test_every_key_of_the_state_file_has_examples_that_its_schema_accepts() -> None:
    for table, key in KEYS:
        schema = SCHEMA["$defs"][table]["properties"][key]
        assert schema.get("examples"), f"add examples=[…] to the Field of {table}.{key}"
        for example in schema["examples"]:
            jsonschema.Draft202012Validator({**schema, "$defs": SCHEMA["$defs"]}).validate(example)
            assert tomli.loads(f"x = {format_toml(example)}") == {"x": example}, f"{table}.{key}"


def test_an_example_is_not_the_default_unless_there_is_no_choice() -> None:
    schemas = {(table, key): SCHEMA["$defs"][table]["properties"][key] for table, key in KEYS if table in MODELS}
    assert schemas
    assert [key for key, schema in schemas.items() if "default" in schema and schema["examples"][0] == schema["default"]] == []


def test_the_reference_shows_every_key_of_every_table_with_an_example() -> None:
    page = state_page()
    common = set(Spec.model_fields)
    for name, kind in known_kinds().items():
        section = re.search(rf"^\({name}-table\)=$(.*?)(?=^\(\w+-table\)=$|\Z)", page, re.MULTILINE | re.DOTALL)
        assert section, name
        keys = {field.alias or key for key, field in kind.spec.model_fields.items()} - common
        missing = [key for key in keys if f"`{key}` (" not in section[1] or f"  {key} = " not in section[1]]
        assert not missing, f"{name}: {missing}"
    assert all(f"`{key}` (" in page for key in common)


def test_the_examples_of_the_reference_are_toml() -> None:
    blocks = re.findall(r"^ *```toml\n(.*?)^ *```", state_page(), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 80
    for block in blocks:
        tomli.loads(block)


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, f"{path} {name}")


def test_the_reference_shows_every_command_with_all_its_options() -> None:
    page = commands_page()
    for path, command in commands(main, "reconcile"):
        section = re.search(rf"^## `{path}`$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
        assert section, path
        options = [name for option in command.params if isinstance(option, click.Option) for name in option.opts]
        assert [name for name in options if name not in section[1]] == [], path


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, 2], "b.c": True}, '{ a = [1, 2], "b.c" = true }'),
        (r"\d+", r"'\d+'"),
        ("×", '"×"'),
        ([], "[]"),
    ],
)
def test_a_value_is_written_as_toml_on_one_line(value: Any, text: str) -> None:
    assert format_toml(value) == text
    assert tomli.loads(f"x = {text}") == {"x": json.loads(json.dumps(value))}


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string"),
        ({"anyOf": [{"type": "integer"}, {"type": "string", "title": "variable"}]}, "integer"),
        ({"enum": ["a", "b", "c"]}, "`a`, `b` or `c`"),
        ({"type": "array", "items": {"type": "string"}}, "list of strings"),
        ({"type": "array", "items": {"$ref": "#/$defs/rucio_dataset.Rule"}}, "list of tables of Rule keys"),
        ({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}, "string or list of strings"),
    ],
)
def test_a_type_is_described_in_words(schema: dict[str, Any], text: str) -> None:
    assert describe_type(schema, markdown=True) == text
