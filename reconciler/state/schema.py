"""JSON Schema of state files, generated from the Specs of all kinds. Editors use it, and it is the first check of a file."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from typing import Any

from reconciler.engine.kind import Kind
from reconciler.engine.plugin_kind import load_plugin_kind
from reconciler.engine.plugins import Plugin, find_plugins
from reconciler.engine.registry import load_kinds
from reconciler.state.settings import Header, RucioSettings

VARIABLE = {"type": "string", "pattern": r"^\$\{\w+\}$", "title": "variable"}


KIND_GROUP = "rubin_reconciler.kinds"
"""Entry point group in which other packages offer kinds; the name of an entry point is the name of its table."""


def known_kinds() -> Mapping[str, Kind[Any, Any]]:
    """Return the built-in kinds."""
    return load_kinds("reconciler.kinds")


def plugin_tables() -> frozenset[str]:
    """Return the names of the tables that other packages define, without importing them."""
    return frozenset(find_plugins(KIND_GROUP)) - known_kinds().keys()


@functools.cache
def find_kind(table: str) -> Kind[Any, Any] | None:
    """Return the kind of a table, built in or of another package; `None` if there is none.

    Raises
    ------
    reconciler.errors.PluginError
        If the package that defines it doesn't work, several do, or one tries to replace a built-in kind.
    """
    plugins, built_in = find_plugins(KIND_GROUP), known_kinds()
    if table not in plugins:
        return built_in.get(table)
    return load_plugin_kind(table, Plugin.single(table, plugins, "table", built_in))


def find_kinds(tables: Collection[str]) -> dict[str, Kind[Any, Any]]:
    """Return the built-in kinds, and those of other packages for some tables, in the order in which an operator would work.

    Raises
    ------
    reconciler.errors.PluginError
        As `find_kind`.
    """
    found = {table: kind for table in tables if (kind := find_kind(table)) is not None}
    kinds = {**known_kinds(), **found}
    return {kind.name: kind for kind in sorted(kinds.values(), key=lambda kind: (kind.traits.order, kind.name))}


@functools.cache
def state_schema(only: frozenset[str] | None = None, *, plugins: bool = False) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of state files.

    Parameters
    ----------
    only : frozenset of `str`, optional
        Tables to describe; any content is allowed in the others. Describing a kind takes some milliseconds, so validation
        describes only those that a file has.
    plugins : `bool`
        Whether to describe the tables of other installed packages, too; those in ``only`` are described anyway.

    Raises
    ------
    reconciler.errors.PluginError
        If a package that defines one of the tables doesn't work.
    """
    definitions: dict[str, Any] = {}
    properties: dict[str, Any] = {
        "reconcile": _define("reconcile", Header, definitions),
        "vars": {
            "title": "vars",
            "description": "Variables, used as ${name} in strings. --var-file overrides these values, and --var overrides both.",
            "type": "object",
            "additionalProperties": {"type": ["string", "integer", "number", "boolean"]},
        },
        "rucio": _define("rucio", RucioSettings, definitions),
    }
    if only is not None:
        properties |= {table: {} for table in plugin_tables()}
    for kind in find_kinds(only or (plugin_tables() if plugins else ())).values():
        if only is not None and kind.name not in only:
            properties[kind.name] = {}
            continue
        reference = _define(kind.name, kind.spec, definitions)
        if kind.traits.singleton:
            properties[kind.name] = reference
        else:
            properties[kind.name] = {
                "title": kind.name,
                "description": kind.traits.summary,
                "type": "object",
                "additionalProperties": reference,
            }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Desired state of a Butler repository and its Rucio datasets",
        "type": "object",
        "properties": properties,
        "required": ["reconcile"],
        "additionalProperties": False,
        "$defs": dict(sorted(definitions.items())),
    }


def _define(name: str, model: type[Any], definitions: dict[str, Any]) -> dict[str, Any]:
    defined = model.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
    for inner, definition in defined.pop("$defs", {}).items():
        definitions[f"{name}.{inner}"] = _with_variables(definition)
    definitions[name] = _with_variables(defined)
    return {"$ref": f"#/$defs/{name}"}


def _with_variables(schema: Any) -> Any:
    """Allow a variable in place of each number or boolean, because editors check the file before substitution."""
    if isinstance(schema, list):
        return [_with_variables(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    defined = {
        key: value if key in ("default", "examples", "const", "enum") else _with_variables(value) for key, value in schema.items()
    }
    if defined.get("type") in ("integer", "number", "boolean"):
        annotations = {key: defined.pop(key) for key in ("title", "description", "default", "examples") if key in defined}
        return {**annotations, "anyOf": [defined, VARIABLE]}
    return defined
