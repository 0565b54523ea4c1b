"""What a JSON Schema finds wrong with a state file, in the words of an operator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.state.braces import meant


def explain(error: Any) -> Iterator[tuple[list[str | int], str, str | None]]:
    """Turn an error into words.

    Parameters
    ----------
    error : `jsonschema.ValidationError`
        What is wrong.

    Yields
    ------
    path : `list`
        Of the table or key.
    text : `str`
        What is wrong with it, and what was probably meant.
    key : `str` or `None`
        The key in it that is wrong.
    """
    path = list(error.absolute_path)
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        what = "key" if path else "table"
        for key in error.instance:
            if key not in known:
                yield path or [key], f'unknown {what} "{key}"{meant(key, known)}', key
    elif error.validator == "required":
        for key in error.validator_value:
            if key not in error.instance:
                yield path, f'needs "{key}"' if path else f"needs a [{key}] table", None
    elif error.validator in ("anyOf", "oneOf"):
        options = [inner for inner in error.context if not _is_variable(inner)]
        deepest = max(options, key=lambda inner: len(inner.absolute_path), default=None)
        if deepest is not None and len(options) > 1 and len(deepest.absolute_path) == len(path):
            wanted = [_wanted(inner) for inner in options if inner.validator == "type"]
            words = list(dict.fromkeys(word for word in wanted if word != "nothing"))
            yield path, f"{_show(error.instance)} is not {' or '.join(words)}" if words else deepest.message, None
        elif deepest is not None:
            yield from explain(deepest)
        else:
            yield path, error.message, None
    elif error.validator == "type":
        yield path, f"{_show(error.instance)} is not {_wanted(error)}", None
    elif error.validator == "enum":
        allowed = ", ".join(f'"{value}"' for value in error.validator_value)
        guess = meant(str(error.instance), map(str, error.validator_value))
        yield path, f"{_show(error.instance)} is not one of {allowed}{guess}", None
    elif error.validator == "const":
        yield path, f"{_show(error.instance)} is not {error.validator_value!r}, the version this program knows", None
    elif error.validator in ("minimum", "exclusiveMinimum"):
        yield path, f"{error.instance} is less than the minimum of {error.validator_value}", None
    else:
        yield path, str(error.message)[:300], None


def _is_variable(error: Any) -> bool:
    return bool(error.schema.get("title") == "a variable")


def _wanted(error: Any) -> str:
    words = {
        "string": "a text",
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "array": "a list",
        "object": "a table",
        "null": "nothing",
    }
    wanted = error.validator_value
    return " or ".join(words.get(w, w) for w in ([wanted] if isinstance(wanted, str) else wanted))


def _show(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "a list"
    return "a table" if isinstance(value, dict) else str(value)
