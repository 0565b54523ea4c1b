"""Substitution of variables and expansion of braces: the steps between the parsed TOML and the validation of its tables."""

from __future__ import annotations

import datetime
import string
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reconciler.errors import StateError, did_you_mean
from reconciler.state.braces import expand_braces, find_unexpanded_braces
from reconciler.state.line_numbers import KeyPath, find_line

Scalar = str | int | float | bool
"""The value of a variable."""


class Problems:
    """Collects the problems of a file, so that all of them are reported at once.

    Parameters
    ----------
    path : `pathlib.Path`
        The file.
    lines : `dict`
        Line numbers from `reconciler.state.line_numbers.find_lines`.
    """

    def __init__(self, path: Path, lines: dict[KeyPath, int]) -> None:
        self.path = path
        self.lines = lines
        self.found: list[tuple[int, str, str]] = []

    def add(self, where: Sequence[str | int], text: str, key: str | None = None) -> None:
        """Add a problem of the table or value at ``where``, with the line of ``key`` in it if that is given."""
        line = find_line(self.lines, tuple(where) if key is None else (*where, key)) or 1
        address = format_path(where)
        self.found.append((line, address, text))

    def raise_if_any(self) -> None:
        """Raise a `reconciler.errors.StateError` with all problems in the order of their lines, if there are any."""
        if self.found:
            raise StateError(self.report())

    def report(self) -> list[str]:
        """Return a line for each problem; the same problem of all resources that one key stands for is one line."""
        equal: dict[tuple[int, str], dict[str, None]] = defaultdict(dict)
        for line, address, text in sorted(self.found, key=lambda item: item[0]):
            equal[line, text].setdefault(address)
        texts = []
        for (line, text), addresses in equal.items():
            first, *others = addresses
            count = f" and {len(others):,} more" if others else ""
            texts.append(f"{self.path.name}:{line}: {first}{count}{': ' if first else ''}{text}")
        return texts


def format_path(path: Sequence[str | int]) -> str:
    """Format a path of keys and array positions as in TOML: ``chain."LSSTComCam/calib".children[2]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = part.replace("_", "").replace("-", "")
            key = part if bare.isalnum() and bare.isascii() else f'"{part}"'
            text += f".{key}" if text else key
    return text


def resolve_variables(document: Mapping[str, Any], overrides: Mapping[str, Scalar], problems: Problems) -> dict[str, Scalar]:
    """Return the values of ``[vars]`` and of the overrides, which win, with references to other variables resolved."""
    own = document.get("vars", {})
    if not isinstance(own, dict):
        problems.add(("vars",), "must be a table of names and values")
        own = {}
    raw: dict[str, Scalar] = {}
    for name, value in own.items():
        if isinstance(value, Scalar):
            raw[name] = value
        else:
            problems.add(("vars", name), "must be a string, a number, true or false")
    for name in overrides:
        if own and name not in own:
            problems.add(("vars",), f'--var or --var-file sets unknown variable "{name}"{did_you_mean(name, own)}')
    raw.update(overrides)
    resolved: dict[str, Scalar] = {}

    def resolve(name: str, referring: tuple[str, ...]) -> Scalar:
        if name in resolved:
            return resolved[name]
        if name in referring:
            raise RecursionError
        value = raw[name]
        if isinstance(value, str):
            used = {n: resolve(n, (*referring, name)) for n in string.Template(value).get_identifiers() if n in raw}
            value = _substitute_text(value, used, ("vars", name), problems, raw)
        resolved[name] = value
        return value

    for name in raw:
        try:
            resolve(name, ())
        except RecursionError:
            problems.add(("vars", name), "refers to itself")
            resolved[name] = ""
    return resolved


def _substitute_text(
    text: str, values: Mapping[str, Scalar], where: Sequence[str | int], problems: Problems, known: Iterable[str]
) -> Scalar:
    """Substitute the variables of a string; a string that is one variable and nothing else takes the variable's type."""
    if "$" not in text:
        return text
    template = string.Template(text)
    if not template.is_valid():
        problems.add(where, f'invalid "$" in "{text}"; write ${{name}} for a variable, $$ for a dollar sign')
        return text
    names = template.get_identifiers()
    unknown = [name for name in names if name not in values]
    for name in unknown:
        problems.add(where, f'unknown variable "{name}"{did_you_mean(name, known)}')
    if unknown:
        return text
    if len(names) == 1 and text in (f"${{{names[0]}}}", f"${names[0]}"):
        return values[names[0]]
    return template.substitute({name: str(value) for name, value in values.items()})


def substitute(value: Any, where: KeyPath, values: Mapping[str, Scalar], problems: Problems) -> Any:
    """Return a copy of a document, or of the part of it at ``where``, that is ready for validation.

    Variables in strings and in keys are substituted, the braces of resource names expanded before that, and dates and times
    converted to strings, because JSON Schema has no type for them. ``[vars]`` is left out. Resources that come from one key get
    the line of that key.
    """
    if isinstance(value, dict):
        return _substitute_table(value, where, values, problems)
    if isinstance(value, list):
        return [substitute(item, (*where, position), values, problems) for position, item in enumerate(value)]
    if isinstance(value, str):
        return _substitute_text(value, values, where, problems, values)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value


def _substitute_table(
    table: Mapping[str, Any], where: KeyPath, values: Mapping[str, Scalar], problems: Problems
) -> dict[str, Any]:
    substituted: dict[str, Any] = {}
    for key, item in table.items():
        if where == () and key == "vars":
            continue
        path = (*where, key)
        value = substitute(item, path, values, problems)
        names = _expand_key(path, problems) if len(where) == 1 else [key]  # only keys at this depth are names of resources
        if where:
            names = [str(_substitute_text(name, values, path, problems, values)) for name in names]
        for name in names:
            if name in substituted:
                problems.add(path, f'"{name}" is defined twice in this file')
            substituted[name] = value
            if name != key and (line := find_line(problems.lines, path)):
                problems.lines.setdefault((*where, name), line)
    return substituted


def _expand_key(path: KeyPath, problems: Problems) -> list[str]:
    key = str(path[-1])
    try:
        names = expand_braces(key)
    except ValueError as error:
        problems.add(path, str(error))
        return [key]
    if wrong := find_unexpanded_braces(names):
        problems.add(path, f'"{wrong}" expands to nothing; write {{1..3}} for numbers, {{a,b}} for words')
    return names
