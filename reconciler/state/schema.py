"""JSON Schema of state files, generated from the Specs of all kinds. Editors use it, and it is the first check of a file."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from reconciler.engine.kind import Kind
from reconciler.engine.registry import load_kinds
from reconciler.state.settings import Header, RucioSettings

VARIABLE = {"type": "string", "pattern": r"^\$\{\w+\}$", "title": "variable"}


def known_kinds() -> Mapping[str, Kind[Any, Any]]:
    """Return the kinds whose tables a state file may have."""
    return load_kinds("reconciler.kinds")


@functools.cache
def state_schema(only: frozenset[str] | None = None) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of state files.

    Parameters
    ----------
    only : frozenset of `str`, optional
        Tables to describe; any content is allowed in the others. Describing a kind takes some milliseconds, so validation
        describes only those that a file has.
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
    for kind in known_kinds().values():
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
