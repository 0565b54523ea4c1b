"""The addresses of a state file, found without its kinds: importing those takes longer than a shell completion may."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli

from reconciler.state.variables import Problems, Scalar, resolve_variables, substitute

NO_RESOURCES = ("reconcile", "vars", "rucio")


def list_plain_addresses(path: Path, overrides: Mapping[str, Scalar] | None = None) -> list[str]:
    """Return the addresses of a state file without quotes, with braces expanded; none if it isn't TOML or can't be read.

    Parameters
    ----------
    path : `pathlib.Path`
        The file; whether it is valid is not checked.
    overrides : `Mapping`, optional
        Values that override those of its ``[vars]``.
    """
    try:
        document = tomli.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    problems = Problems(path, {})
    values = resolve_variables(document, overrides or {}, problems)
    keys = {kind: _keep_keys(table) for kind, table in document.items()}
    found = substitute(keys, (), values, problems)
    addresses = []
    for kind, tables in found.items():
        if kind in NO_RESOURCES:
            continue
        if isinstance(tables, dict) and tables and all(isinstance(table, dict) for table in tables.values()):
            addresses += [f"{kind}.{name}" for name in tables]
        else:
            addresses.append(kind)
    return addresses


def _keep_keys(table: Any) -> Any:
    """Return a table without the content of the tables in it, whose variables need not be substituted."""
    if not isinstance(table, dict):
        return table
    return {name: {} if isinstance(inner, dict) else inner for name, inner in table.items()}
