"""Loading of state files: TOML, variables, JSON Schema, Specs, and checks between tables.

The problems of a file are collected and raised as one error, in the order of their lines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.engine.kind import Kind
from reconciler.engine.model import Address, DesiredState
from reconciler.engine.spec import Spec
from reconciler.errors import PluginError, did_you_mean
from reconciler.files.text import read_text
from reconciler.redaction import find_uri_credential
from reconciler.state.line_numbers import KeyPath, find_line, find_lines
from reconciler.state.schema import find_kind, find_kinds, state_schema
from reconciler.state.settings import Header, RucioSettings
from reconciler.state.toml import parse
from reconciler.state.variable_sources import Overrides, Variables
from reconciler.state.variables import Problems, resolve_variables, substitute

CREDENTIAL_IN_URI = (
    "the URI contains a credential; credentials belong in the environment, ~/.pgpass, ~/.lsst/db-auth.yaml, ~/.aws/credentials "
    "or rucio.cfg"
)


@dataclass(frozen=True)
class StateFile(DesiredState):
    """The content of one state file: the resources that it declares and how to reach the live systems.

    Parameters
    ----------
    rucio : `reconciler.state.settings.RucioSettings` or `None`
        Its ``[rucio]`` table.
    origins : `Mapping` [`str`, `str`]
        Where the value of each variable comes from.
    """

    rucio: RucioSettings | None = None
    origins: Mapping[str, str] = field(default_factory=dict)


def load(path: Path, variables: Variables | None = None) -> StateFile:
    """Load and validate a state file, without using any live system.

    Parameters
    ----------
    path : `pathlib.Path`
        The file.
    variables : mapping or `reconciler.state.variable_sources.Overrides`, optional
        Values that override those of its ``[vars]`` table; an `Overrides` also names the environment and the site to use.

    Returns
    -------
    state : `StateFile`
        The validated content.

    Raises
    ------
    reconciler.errors.StateError
        If the file can't be read or is invalid. All problems of one stage (TOML, schema, tables, references between tables) are
        reported at once.
    """
    text = read_text(path)
    document = parse(text, path)
    lines = find_lines(text)
    problems = Problems(path, lines)
    own = document.get("vars", {})
    overrides = variables if isinstance(variables, Overrides) else Overrides(variables or {})
    given = overrides.resolve(path, own if isinstance(own, dict) else {})
    values = resolve_variables(document, {name: sourced.value for name, sourced in given.items()}, problems)
    substituted = substitute(document, (), values, problems)
    _refuse_credentials({"vars": values, **substituted}, problems)
    _refuse_null_characters(substituted, problems)
    kinds = _find_kinds(substituted, problems)
    _validate_schema(substituted, problems)
    problems.raise_if_any()
    resources, resource_lines = _make_specs(substituted, kinds, path.absolute().parent, problems)
    header = Header.model_validate(substituted["reconcile"])
    rucio = RucioSettings.model_validate(substituted["rucio"]) if "rucio" in substituted else None
    if rucio is not None and rucio.config:
        rucio = rucio.model_copy(update={"config": str(path.absolute().parent / rucio.config)})
        if rucio.config and Path(rucio.config).is_dir():
            problems.add(("rucio", "config"), f"{rucio.config}: is a folder, not a file")
    _check_references(resources, kinds, rucio, problems)
    problems.raise_if_any()
    digest = hashlib.sha256(repr((text, sorted(values.items()))).encode()).hexdigest()
    return StateFile(
        path=path,
        resources=resources,
        kinds=kinds,
        lines=resource_lines,
        title=header.title,
        ticket=header.ticket,
        variables=values,
        digest=digest,
        rucio=rucio,
        origins={
            name: given[name].origin if name in given else f"[vars], {path.name}:{find_line(lines, ('vars', name)) or 1}"
            for name in values
        },
    )


def _find_kinds(document: dict[str, Any], problems: Problems) -> Mapping[str, Kind[Any, Any]]:
    """Return the kinds that the tables need; a table whose package doesn't work is reported and removed."""
    for table in list(document):
        try:
            find_kind(table)
        except PluginError as error:
            problems.add((table,), f"{error}; {'; '.join(error.hints)}")
            del document[table]
    return find_kinds(document)


def _validate_schema(document: dict[str, Any], problems: Problems) -> None:
    from jsonschema import Draft202012Validator

    from reconciler.state.schema_errors import explain

    for error in Draft202012Validator(state_schema(frozenset(document))).iter_errors(_drop_repeated_tables(document)):
        for problem in explain(error):
            problems.add(problem.path, problem.text, problem.key)


def _refuse_credentials(value: Any, problems: Problems, where: KeyPath = ()) -> None:
    """Add a problem for each URI with a password, a token or a signature: state files are shared, and journals quote them."""
    if isinstance(value, str):
        if find_uri_credential(value):
            problems.add(where, CREDENTIAL_IN_URI)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            _refuse_credentials(inner, problems, (*where, key))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            _refuse_credentials(inner, problems, (*where, position))


def _refuse_null_characters(value: Any, problems: Problems, where: KeyPath = ()) -> None:
    """Add a problem for each key or text with a null character: no path, name or database can contain one."""
    if isinstance(value, str):
        if "\0" in value:
            problems.add(where, "contains a null character (\\u0000)")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            _refuse_null_characters(key, problems, where)
            _refuse_null_characters(inner, problems, (*where, key))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            _refuse_null_characters(inner, problems, (*where, position))


def _drop_repeated_tables(document: Mapping[str, Any]) -> dict[str, Any]:
    """Keep only one of the equal tables that brace expansion makes of one key, so that each problem is found once."""
    kept: dict[str, Any] = {}
    for key, tables in document.items():
        first = {id(table): name for name, table in reversed(tables.items())} if isinstance(tables, dict) else {}
        chosen = set(first.values())
        kept[key] = {n: t for n, t in tables.items() if n in chosen or not isinstance(t, dict)} if first else tables
    return kept


def _make_specs(
    document: Mapping[str, Any], kinds: Mapping[str, Kind[Any, Any]], base: Path, problems: Problems
) -> tuple[dict[Address, Spec], dict[Address, int]]:
    """Make the Spec of each table; return them and their line numbers in the order of the file."""
    from pydantic import ValidationError

    specs: dict[Address, Spec] = {}
    lines: dict[Address, int] = {}
    for kind in kinds.values():
        if kind.name not in document:
            continue
        tables = {"": document[kind.name]} if kind.traits.singleton else document[kind.name]
        for name, table in tables.items():
            path = (kind.name, name) if name else (kind.name,)
            try:
                spec = kind.spec.model_validate(table, context={"base": base})
            except ValidationError as error:
                for item in error.errors():
                    # The message of a validator that raises ValueError has a prefix that means nothing to an operator.
                    message = item["ctx"]["error"] if item["type"] == "value_error" else item["msg"]
                    problems.add((*path, *item["loc"]), str(message))
                continue
            address = Address(kind.name, name)
            for message in kind.validate(name, spec):
                problems.add(path, message)
            specs[address] = spec
            lines[address] = find_line(problems.lines, path) or 1
    ordered = sorted(specs, key=lambda address: lines[address])
    return {address: specs[address] for address in ordered}, lines


def _check_references(
    resources: Mapping[Address, Spec], kinds: Mapping[str, Kind[Any, Any]], rucio: RucioSettings | None, problems: Problems
) -> None:
    """Check what tables need from other tables."""
    texts = {str(address) for address in resources}
    opened = {kinds[address.kind].traits.opens for address in resources} | ({"rucio"} if rucio is not None else set())
    openers = {kind.traits.opens: kind.name for kind in kinds.values() if kind.traits.opens} | {"rucio": "rucio"}
    for address, spec in resources.items():
        path = (address.kind, address.name) if address.name else (address.kind,)
        for required in spec.requires:
            if required not in texts:
                problems.add((*path, "requires"), f"no resource {required} in this file{did_you_mean(required, texts)}")
        if getattr(spec, "delivered_by", ()) and rucio is not None and rucio.rse is None:
            problems.add(path, "delivered_by needs rse in [rucio], the RSE of this facility")
        for system in sorted(kinds[address.kind].requirements(spec).systems):
            if system not in opened:
                problems.add(path, f"needs a [{openers[system]}] table")
