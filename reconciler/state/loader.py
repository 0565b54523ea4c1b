"""From TOML to Specs, and everything that is wrong told at once, with its line."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli

from reconciler.engine.model import Id, Spec
from reconciler.engine.registry import discover
from reconciler.errors import StateError
from reconciler.files.text import read_text
from reconciler.state import variables as filling
from reconciler.state.braces import meant
from reconciler.state.line_numbers import line_of, locate
from reconciler.state.settings import Header, RucioSettings
from reconciler.state.variables import Problems, Scalar


@dataclass(frozen=True)
class State:
    """What one file wants.

    Parameters
    ----------
    path : `pathlib.Path`
        The file.
    header : `reconciler.state.settings.Header`
        What it is.
    resources : mapping
        Specs by address, in the order of the file.
    lines : mapping
        The line of each address.
    rucio : `reconciler.state.settings.RucioSettings` or `None`
        How Rucio is reached.
    variables : mapping
        As used.
    digest : `str`
        SHA-256 of the file and the variables.
    """

    path: Path
    header: Header
    resources: Mapping[Id, Spec]
    lines: Mapping[Id, int]
    rucio: RucioSettings | None
    variables: Mapping[str, Scalar] = field(default_factory=dict)
    digest: str = ""

    @property
    def name(self) -> str:
        """What the state is called: the file's name less its suffix."""
        return self.path.stem

    def where(self, id: Id) -> str:
        """Say where a resource stands in the file.

        Parameters
        ----------
        id : `Id`
            Its address.

        Returns
        -------
        place : `str`
            ``ccms1.toml:88``.
        """
        return f"{self.path.name}:{self.lines.get(id, 1)}"


def load(path: Path, variables: Mapping[str, Scalar] | None = None) -> State:
    """Read a state file.

    Parameters
    ----------
    path : `pathlib.Path`
        The file.
    variables : mapping, optional
        What overrides its ``[vars]``.

    Returns
    -------
    state : `State`
        What it wants.

    Raises
    ------
    reconciler.errors.StateError
        If anything in it is wrong.
    """
    text = read_text(path)
    document = parse(text, path)
    lines = locate(text)
    problems = Problems(path, lines)
    values = filling.variables(document, variables or {}, problems)
    filled = filling.fill(document, (), values, problems)
    filled["vars"] = document.get("vars", {}) if isinstance(document.get("vars"), dict) else {}
    _validate(filled, problems)
    problems.stop()
    resources, found = _specs(filled, path.parent, problems)
    header = Header.model_validate(filled["reconcile"])
    rucio = RucioSettings.model_validate(filled["rucio"]) if "rucio" in filled else None
    if rucio is not None and rucio.config:
        rucio = rucio.model_copy(update={"config": str(path.parent / rucio.config)})
    _check(resources, rucio, problems)
    problems.stop()
    digest = hashlib.sha256(repr((text, sorted(values.items()))).encode()).hexdigest()
    return State(path, header, resources, found, rucio, values, digest)


def parse(text: str, path: Path) -> dict[str, Any]:
    """Parse TOML.

    Parameters
    ----------
    text : `str`
        The text.
    path : `pathlib.Path`
        Where it is from, for messages.

    Returns
    -------
    document : `dict`
        Its content.

    Raises
    ------
    reconciler.errors.StateError
        If it is not TOML; twice the same table or key is not.
    """
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        line = text.count("\n", 0, error.pos) + 1
        what = error.msg if line <= text.count("\n") + 1 else str(error)
        hint = ""
        if "Cannot declare" in what or "Cannot overwrite" in what:
            hint = "; the same address stands in the file twice"
        raise StateError(f"{path.name}:{line}: not TOML: {what}{hint}") from error
    except RecursionError as error:
        raise StateError(f"{path.name}: not TOML that can be read: nested too deeply") from error


def read_variables(path: Path) -> dict[str, Scalar]:
    """Read a var-file: a flat table of names and values.

    Parameters
    ----------
    path : `pathlib.Path`
        The file.

    Returns
    -------
    variables : `dict`
        Its values.

    Raises
    ------
    reconciler.errors.StateError
        If it is not a flat table.
    """
    text = read_text(path)
    document = parse(text, path)
    lines = locate(text)
    wrong = [name for name, value in document.items() if not isinstance(value, Scalar)]
    if wrong:
        raise StateError(
            [f"{path.name}:{line_of(lines, (name,)) or 1}: {name}: a var-file is a flat table of values" for name in wrong]
        )
    return document


def _validate(document: dict[str, Any], problems: Problems) -> None:
    from jsonschema import Draft202012Validator

    from reconciler.state import schema_errors
    from reconciler.state.schema import state_schema

    for error in Draft202012Validator(state_schema(frozenset(document))).iter_errors(_distinct(document)):
        for path, text, key in schema_errors.explain(error):
            problems.add(path, text, key)


def _distinct(document: Mapping[str, Any]) -> dict[str, Any]:
    """Leave one of the tables that brace expansion made of each, so that it is looked at, and complained about, once."""
    kept: dict[str, Any] = {}
    for key, tables in document.items():
        first = {id(table): name for name, table in reversed(tables.items())} if isinstance(tables, dict) else {}
        chosen = set(first.values())
        kept[key] = {n: t for n, t in tables.items() if n in chosen or not isinstance(t, dict)} if first else tables
    return kept


def _specs(document: Mapping[str, Any], base: Path, problems: Problems) -> tuple[dict[Id, Spec], dict[Id, int]]:
    from pydantic import ValidationError

    resources: dict[Id, Spec] = {}
    found: dict[Id, int] = {}
    for kind in discover().values():
        if kind.name not in document:
            continue
        tables = {"": document[kind.name]} if kind.single else document[kind.name]
        for name, table in tables.items():
            path = (kind.name, name) if name else (kind.name,)
            try:
                spec = kind.spec.model_validate(table, context={"base": base})
            except ValidationError as error:
                for item in error.errors():
                    message = str(item["msg"]).removeprefix("Value error, ")
                    problems.add((*path, *item["loc"]), message)
                continue
            id = Id(kind.name, name)
            for message in kind.check(name, spec):
                problems.add(path, message)
            resources[id] = spec
            found[id] = line_of(problems.lines, path) or 1
    ordered = sorted(resources, key=lambda id: found[id])
    return {id: resources[id] for id in ordered}, found


def _check(resources: Mapping[Id, Spec], rucio: RucioSettings | None, problems: Problems) -> None:
    """Check what concerns several tables."""
    kinds = discover()
    addresses = {str(id): id for id in resources}
    has_repository = Id("repository", "") in resources
    for id, spec in resources.items():
        path = (id.kind, id.name) if id.name else (id.kind,)
        for address in spec.requires:
            if address not in addresses:
                problems.add((*path, "requires"), f"no table {address}{meant(address, addresses)}")
        if getattr(spec, "delivered_by", ()) and rucio is not None and rucio.rse is None:
            problems.add(path, "delivered_by needs rse in [rucio]: which RSE is here")
        systems = kinds[id.kind].systems(spec)
        if "butler" in systems and not has_repository:
            problems.add(path, "needs a [repository] table")
        if "rucio" in systems and rucio is None:
            problems.add(path, "needs a [rucio] table")
