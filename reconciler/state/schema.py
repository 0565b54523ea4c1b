"""The JSON Schema of state files, made from the Specs: for editors, and for the first check of a file."""

from __future__ import annotations

import functools
from typing import Any

from reconciler.engine.registry import discover
from reconciler.state.settings import Header, RucioSettings

VARIABLE = {"type": "string", "pattern": r"^\$\{\w+\}$", "title": "a variable"}


@functools.cache
def state_schema(only: frozenset[str] | None = None) -> dict[str, Any]:
    """Make the schema of a state file.

    Parameters
    ----------
    only : frozenset of `str`, optional
        The tables that a file has, where nothing else is to be checked: to describe a kind takes some milliseconds, and there
        are many of them. The other tables may be anything.

    Returns
    -------
    schema : `dict`
        JSON Schema, draft 2020-12.
    """
    definitions: dict[str, Any] = {}
    properties: dict[str, Any] = {
        "reconcile": _define("reconcile", Header, definitions),
        "vars": {
            "title": "vars",
            "description": "Variables, used as ${name} in strings; --var-file and --var override them.",
            "type": "object",
            "additionalProperties": {"type": ["string", "integer", "number", "boolean"]},
        },
        "rucio": _define("rucio", RucioSettings, definitions),
    }
    for kind in discover().values():
        if only is not None and kind.name not in only:
            properties[kind.name] = {}
            continue
        reference = _define(kind.name, kind.spec, definitions)
        if kind.single:
            properties[kind.name] = reference
        else:
            properties[kind.name] = {
                "title": kind.name,
                "description": kind.summary,
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
    made = model.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
    for inner, definition in made.pop("$defs", {}).items():
        definitions[f"{name}.{inner}"] = _with_variables(definition)
    definitions[name] = _with_variables(made)
    return {"$ref": f"#/$defs/{name}"}


def _with_variables(schema: Any) -> Any:
    """Let a variable stand wherever a number or a truth value is wanted, as it does before variables are put in."""
    if isinstance(schema, list):
        return [_with_variables(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        key: value if key in ("default", "examples", "const", "enum") else _with_variables(value) for key, value in schema.items()
    }
    if made.get("type") in ("integer", "number", "boolean"):
        about = {key: made.pop(key) for key in ("title", "description", "default", "examples") if key in made}
        return {**about, "anyOf": [made, VARIABLE]}
    return made
