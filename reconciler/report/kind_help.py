"""What a table of the state file is: its keys with their types, defaults and path base, and an example, from the schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel

from reconciler.engine.spec import Spec, resolve_from_state_folder, resolve_unless_label
from reconciler.errors import StateError, did_you_mean
from reconciler.report.formatting import Line
from reconciler.state.schema import find_kinds, plugin_tables, state_schema

COMMON_KEYS = tuple(Spec.model_fields)
"""Keys that every table of a resource takes."""
SETTINGS = {
    "reconcile": "The format and the description of a state file.",
    "rucio": "How to reach the Rucio server. Credentials come only from rucio.cfg or environment variables.",
}
"""Tables that are no resources."""
MOST_EXAMPLES = 4
"""Keys of an example besides those that are required, so that it has about six lines."""
PATH_BASE = "A relative path is relative to the state file."
WIDTH = 78


def list_tables() -> Iterator[Line]:
    """Yield one line for each table of a state file."""
    rows = [*SETTINGS.items(), *((kind.name, kind.traits.summary) for kind in find_kinds(plugin_tables()).values())]
    width = max(len(name) for name, _ in rows)
    yield from (Line(f"{name:<{width}}  {summary}") for name, summary in rows)


def describe_table(name: str) -> Iterator[Line]:
    """Yield the help of a table, or of one of its keys, named ``chain`` or ``chain.children``.

    Raises
    ------
    reconciler.errors.StateError
        If there is no such table or key.
    """
    table, _, key = name.partition(".")
    kinds = find_kinds(plugin_tables())
    known = [*SETTINGS, *kinds]
    if table not in known:
        raise StateError(f'there is no table "{table}"{did_you_mean(table, known)}', ("reconcile help lists all tables",))
    definitions = state_schema(frozenset({table}))["$defs"]
    keys = definitions[table]["properties"]
    if key:
        found, definition = _find_key(key, table, definitions)
        yield from _describe_key(table, found, definition, definitions)
        return
    singleton = table in SETTINGS or kinds[table].traits.singleton
    yield Line(f"[{table}]" if singleton else f'[{table}."NAME"]', bold=True)
    yield Line(SETTINGS.get(table) or kinds[table].traits.summary)
    if table in kinds:
        yield from _wrap(" ".join(str(kinds[table].spec.__doc__).split()), "")
    yield Line("")
    own = {name: schema for name, schema in keys.items() if table in SETTINGS or name not in COMMON_KEYS}
    yield from _list_keys(own, definitions[table].get("required", ()), find_path_keys(table))
    if table in kinds:
        yield Line(f"Keys of every table: {', '.join(COMMON_KEYS)}.")
    yield Line("")
    yield from (Line(line) for line in make_example(table, singleton, own, definitions[table].get("required", ())))
    yield Line("")
    yield Line(f"One key: reconcile help {table}.{next(iter(own))}")


def _find_key(key: str, table: str, definitions: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return a key, which may be one of a table inside, such as ``rules.copies``, and the definition that contains it."""
    definition = definitions[table]
    path = key.split(".")
    for number, part in enumerate(path):
        if part not in definition["properties"]:
            where = ".".join((table, *path[:number]))
            raise StateError(f'{where} has no key "{part}"{did_you_mean(part, definition["properties"])}')
        inner = _find_inner(definition["properties"][part], definitions)
        if number < len(path) - 1:
            if inner is None:
                raise StateError(f"{table}.{'.'.join(path[: number + 1])} has no keys")
            definition = inner
    return path[-1], definition


def _find_inner(schema: Any, definitions: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the definition of the tables that a key contains, if it contains some."""
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            found: Mapping[str, Any] = definitions[str(schema["$ref"]).rpartition("/")[2]]
            return found
        return next((inner for value in schema.values() if (inner := _find_inner(value, definitions))), None)
    if isinstance(schema, list):
        return next((inner for value in schema if (inner := _find_inner(value, definitions))), None)
    return None


def _describe_key(table: str, key: str, definition: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[Line]:
    schema = definition["properties"][key]
    yield Line(f"{table}: {key} ({describe_facts(schema, key in definition.get('required', ()))})", bold=True)
    yield from _wrap(schema.get("description", ""), "")
    if key in find_path_keys(table):
        yield Line(PATH_BASE)
    inner = _find_inner(schema, definitions)
    if inner is not None:
        yield Line("")
        yield from _list_keys(inner["properties"], inner.get("required", ()), find_path_keys(table))
    for example in schema.get("examples", ()):
        yield Line("")
        yield Line(f"{key} = {format_toml(example)}")


def _list_keys(keys: Mapping[str, Any], required: Any, paths: frozenset[str]) -> Iterator[Line]:
    for key, schema in keys.items():
        yield Line(f"  {key} ({describe_facts(schema, key in required)})")
        yield from _wrap(schema.get("description", ""), "      ")
        if key in paths:
            yield Line(f"      {PATH_BASE}")


def _wrap(text: str, indent: str) -> Iterator[Line]:
    import textwrap

    yield from (Line(line) for line in textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent))


def make_example(table: str, singleton: bool, keys: Mapping[str, Any], required: Any) -> Iterator[str]:
    """Yield an example of a table: what is required, and some of the other keys."""
    yield f"[{table}]" if singleton else f'[{table}."example"]'
    chosen = [key for key in keys if key in required]
    chosen += [key for key in keys if key not in required][: max(MOST_EXAMPLES - len(chosen), 1)]
    for key in keys:
        if key in chosen and keys[key].get("examples"):
            yield f"{key} = {format_toml(keys[key]['examples'][0])}"


def describe_facts(schema: Mapping[str, Any], required: bool) -> str:
    """Return the type of a key, and whether it is required or its default."""
    kind = describe_type(schema)
    if required:
        return f"{kind}, required"
    default = schema.get("default")
    return kind if default in (None, "", []) else f"{kind}, default {format_toml(default)}"


def find_path_keys(table: str) -> frozenset[str]:
    """Return the keys of a table, and of the tables in it, whose relative paths are relative to the state file."""
    if table in SETTINGS:
        return frozenset({"config"} if table == "rucio" else ())
    return frozenset(_walk_path_keys(find_kinds(plugin_tables())[table].spec))


def _walk_path_keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        parts = [*field.metadata, *_flatten(field.annotation)]
        if any(getattr(part, "func", None) in (resolve_from_state_folder, resolve_unless_label) for part in parts):
            yield field.alias or name
        for part in parts:
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from _walk_path_keys(part)


def _flatten(annotation: Any) -> Iterator[Any]:
    """Yield a type, the types in it and what annotates them."""
    yield annotation
    for part in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        yield from _flatten(part)


def describe_type(schema: Mapping[str, Any], *, markdown: bool = False) -> str:
    """Return the type of a key as a short phrase, such as "list of strings" or "full, create or observe".

    In Markdown, values are code, and a table is named by the section that describes its keys.
    """
    if "anyOf" in schema:
        options = [one for one in schema["anyOf"] if one.get("type") != "null" and one.get("title") != "variable"]
        return " or ".join(dict.fromkeys(describe_type(option, markdown=markdown) for option in options))
    code = "`" if markdown else ""
    if "enum" in schema:
        *first, last = (f"{code}{choice}{code}" for choice in schema["enum"])
        return f"{', '.join(first)} or {last}" if first else last
    if "const" in schema:
        return f"always {code}{schema['const']}{code}"
    if "$ref" in schema:
        return f"table{_name_section(schema, markdown=markdown)}"
    if schema.get("type") == "array":
        items = schema["items"]
        if "$ref" in items:
            return f"list of tables{_name_section(items, markdown=markdown)}"
        return f"list of {describe_type(items, markdown=markdown)}s"
    return "table of strings" if schema.get("type") == "object" else str(schema.get("type", "any"))


def _name_section(schema: Mapping[str, Any], *, markdown: bool) -> str:
    return f" of {str(schema['$ref']).rpartition('.')[2]} keys" if markdown else ""


def format_toml(value: Any) -> str:
    """Return a value as TOML on one line: an inline table for a mapping, and a literal string if it contains backslashes."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_format_key(key)} = {format_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(format_toml, value)) + "]"
    if isinstance(value, str) and "\\" in value:
        return f"'{value}'"
    return json.dumps(value, ensure_ascii=False)


def _format_key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() else json.dumps(key)
