"""Variables put in, and braces expanded: the text of a state file becomes what it stands for."""

from __future__ import annotations

import datetime
import string
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reconciler.errors import StateError
from reconciler.state.braces import expand, meant
from reconciler.state.line_numbers import line_of

Scalar = str | int | float | bool


class Problems:
    """What is wrong with a file, collected to be told in the order of its lines.

    Parameters
    ----------
    path : `pathlib.Path`
        The file.
    lines : `dict`
        The line of each path of keys.
    """

    def __init__(self, path: Path, lines: dict[tuple[str | int, ...], int]) -> None:
        self.path = path
        self.lines = lines
        self.found: list[tuple[int, str]] = []

    def add(self, where: Sequence[str | int], text: str, key: str | None = None) -> None:
        """Note one.

        Parameters
        ----------
        where : sequence
            Keys, and positions in arrays.
        text : `str`
            What is wrong.
        key : `str`, optional
            The key there whose line is meant.
        """
        line = line_of(self.lines, tuple(where) if key is None else (*where, key)) or 1
        address = show(where)
        self.found.append((line, f"{self.path.name}:{line}: {address}{': ' if address else ''}{text}"))

    def stop(self) -> None:
        """Go no further if there are any.

        Raises
        ------
        reconciler.errors.StateError
            With all of them.
        """
        if self.found:
            told = list(dict.fromkeys(text for _, text in sorted(self.found, key=lambda item: item[0])))
            raise StateError(told)


def show(path: Sequence[str | int]) -> str:
    """Write a path as it would stand in TOML.

    Parameters
    ----------
    path : sequence
        Keys, and positions in arrays.

    Returns
    -------
    text : `str`
        ``chain."LSSTComCam/calib".children[2]``.
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = part.replace("_", "").replace("-", "")
            key = part if bare.isalnum() and bare.isascii() else f'"{part}"'
            text += f".{key}" if text else key
    return text


def variables(document: Mapping[str, Any], given: Mapping[str, Scalar], problems: Problems) -> dict[str, Scalar]:
    """Find the value of each variable.

    Parameters
    ----------
    document : mapping
        The file; its ``[vars]`` may refer to each other.
    given : mapping
        What overrides them.
    problems : `Problems`
        Where to note what is wrong.

    Returns
    -------
    variables : `dict`
        By name.
    """
    own = document.get("vars", {})
    if not isinstance(own, dict):
        problems.add(("vars",), "is a table of names and values")
        own = {}
    raw: dict[str, Scalar] = {}
    for name, value in own.items():
        if isinstance(value, Scalar):
            raw[name] = value
        else:
            problems.add(("vars", name), "a variable is a string, a number or a truth value")
    for name in given:
        if own and name not in own:
            problems.add(("vars",), f'no variable "{name}"{meant(name, own)}')
    raw.update(given)
    made: dict[str, Scalar] = {}

    def resolve(name: str, within: tuple[str, ...]) -> Scalar:
        if name in made:
            return made[name]
        if name in within:
            raise RecursionError
        value = raw[name]
        if isinstance(value, str):
            inner = {n: resolve(n, (*within, name)) for n in string.Template(value).get_identifiers() if n in raw}
            value = _substitute(value, inner, ("vars", name), problems, raw)
        made[name] = value
        return value

    for name in raw:
        try:
            resolve(name, ())
        except RecursionError:
            problems.add(("vars", name), "refers to itself")
            made[name] = ""
    return made


def _substitute(
    text: str, values: Mapping[str, Scalar], where: Sequence[str | int], problems: Problems, known: Iterable[str]
) -> Scalar:
    template = string.Template(text)
    if "$" not in text:
        return text
    if not template.is_valid():
        problems.add(where, f'"{text}": a lone $; write $$ for a dollar sign, ${{name}} for a variable')
        return text
    names = template.get_identifiers()
    unknown = [name for name in names if name not in values]
    for name in unknown:
        problems.add(where, f'unknown variable "{name}"{meant(name, known)}')
    if unknown:
        return text
    if len(names) == 1 and text in (f"${{{names[0]}}}", f"${names[0]}"):
        return values[names[0]]
    return template.substitute({name: str(value) for name, value in values.items()})


def fill(value: Any, where: tuple[str | int, ...], values: Mapping[str, Scalar], problems: Problems) -> Any:
    """Put variables into string leaves, expand keys of the tables of resources, and make dates text.

    Parameters
    ----------
    value : `object`
        The file, or a part of it.
    where : tuple
        Which part.
    values : mapping
        Variables.
    problems : `Problems`
        Where to note what is wrong; tables that expansion made take the line of theirs.

    Returns
    -------
    filled : `object`
        Anew.
    """
    if isinstance(value, dict):
        made: dict[str, Any] = {}
        for key, inner in value.items():
            if where == () and key == "vars":
                continue
            path = (*where, key)
            filled = fill(inner, path, values, problems)
            names = [key]
            if len(where) == 1:
                try:
                    names = expand(key)
                except ValueError as error:
                    problems.add(path, str(error))
            for name in names:
                if name in made:
                    problems.add(path, f'"{name}" stands in the file twice')
                made[name] = filled
                if name != key and (line := line_of(problems.lines, path)):
                    problems.lines.setdefault((*where, name), line)
        return made
    if isinstance(value, list):
        return [fill(inner, (*where, number), values, problems) for number, inner in enumerate(value)]
    if isinstance(value, str):
        return _substitute(value, values, where, problems, values)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value
