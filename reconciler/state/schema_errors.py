"""Translation of JSON Schema errors into messages for operators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from reconciler.errors import did_you_mean
from reconciler.state.line_numbers import KeyPath
from reconciler.state.schema import VARIABLE

_TYPE_NAMES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}


class SchemaProblem(NamedTuple):
    """What is wrong with the table or value at a path; ``key`` is the key in that table that is wrong, if there is one."""

    path: KeyPath
    text: str
    key: str | None = None


def explain(error: Any) -> Iterator[SchemaProblem]:
    """Translate a `jsonschema.ValidationError` into one or more problems, with suggestions for misspelt keys and values."""
    explanation = _EXPLANATIONS.get(error.validator)
    if explanation is None:
        yield SchemaProblem(_path(error), str(error.message)[:300])
    else:
        yield from explanation(error)


def _explain_unknown_keys(error: Any) -> Iterator[SchemaProblem]:
    path, known = _path(error), error.schema.get("properties", {})
    what = "key" if path else "table"
    for key in error.instance:
        if key not in known:
            hint = did_you_mean(key, known) or _suggest_quotes(path, key, error.instance[key])
            yield SchemaProblem(path or (key,), f'unknown {what} "{key}"{hint}', key)


def _suggest_quotes(path: KeyPath, key: str, value: Any) -> str:
    """Return what to write if a name with dots was taken for tables in one another: ``[chain.a.b]``."""
    names = [*map(str, path[1:]), key]
    while isinstance(value, dict) and len(value) == 1 and isinstance(next(iter(value.values())), dict):
        key, value = next(iter(value.items()))
        names.append(key)
    if len(path) != 2 or not isinstance(value, dict):
        return ""
    return f'; a name with dots is in quotes: [{path[0]}."{".".join(names)}"]'


def _explain_missing_keys(error: Any) -> Iterator[SchemaProblem]:
    # jsonschema makes one error for each missing key, with its name only in the message; `Problems` drops the repetitions.
    path = _path(error)
    for key in error.validator_value:
        if key not in error.instance:
            yield SchemaProblem(path, f'needs the key "{key}"' if path else f"needs a [{key}] table")


def _explain_alternatives(error: Any) -> Iterator[SchemaProblem]:
    """Explain the alternative that fits best: the one whose error is deepest in the value."""
    path = _path(error)
    options = [option for option in error.context if option.schema.get("pattern") != VARIABLE["pattern"]]
    deepest = max(options, key=lambda option: len(option.absolute_path), default=None)
    if deepest is None:
        yield SchemaProblem(path, str(error.message)[:300])
    elif len(options) == 1 or len(deepest.absolute_path) > len(path):
        yield from explain(deepest)
    else:
        expected = [_expected_type(option) for option in options if option.validator == "type"]
        names = [name for name in dict.fromkeys(expected) if name != _TYPE_NAMES["null"]]
        if names:
            yield SchemaProblem(path, f"{_format_value(error.instance)} is not {' or '.join(names)}")
        else:
            yield from explain(deepest)


def _explain_type(error: Any) -> Iterator[SchemaProblem]:
    yield SchemaProblem(_path(error), f"{_format_value(error.instance)} is not {_expected_type(error)}")


def _explain_choice(error: Any) -> Iterator[SchemaProblem]:
    allowed = ", ".join(f'"{value}"' for value in error.validator_value)
    suggestion = did_you_mean(str(error.instance), map(str, error.validator_value))
    yield SchemaProblem(_path(error), f"{_format_value(error.instance)} is not one of {allowed}{suggestion}")


def _explain_constant(error: Any) -> Iterator[SchemaProblem]:
    text = f"{_format_value(error.instance)} is not supported; the only supported value is {_format_value(error.validator_value)}"
    yield SchemaProblem(_path(error), text)


def _explain_minimum(error: Any) -> Iterator[SchemaProblem]:
    yield SchemaProblem(_path(error), f"{error.instance} is less than the minimum of {error.validator_value}")


def _explain_exclusive_minimum(error: Any) -> Iterator[SchemaProblem]:
    yield SchemaProblem(_path(error), f"{error.instance} is not greater than {error.validator_value}")


def _explain_maximum(error: Any) -> Iterator[SchemaProblem]:
    yield SchemaProblem(_path(error), f"{error.instance} is more than the maximum of {error.validator_value}")


_EXPLANATIONS: dict[str, Callable[[Any], Iterator[SchemaProblem]]] = {
    "additionalProperties": _explain_unknown_keys,
    "required": _explain_missing_keys,
    "anyOf": _explain_alternatives,
    "oneOf": _explain_alternatives,
    "type": _explain_type,
    "enum": _explain_choice,
    "const": _explain_constant,
    "minimum": _explain_minimum,
    "exclusiveMinimum": _explain_exclusive_minimum,
    "maximum": _explain_maximum,
}


def _path(error: Any) -> KeyPath:
    return tuple(error.absolute_path)


def _expected_type(error: Any) -> str:
    types = error.validator_value
    return " or ".join(_TYPE_NAMES.get(name, name) for name in ([types] if isinstance(types, str) else types))


def _format_value(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "a list"
    return "a table" if isinstance(value, dict) else str(value)
