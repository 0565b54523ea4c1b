"""Where the values of variables come from besides the state file, and which of them wins.

From the strongest to the weakest: ``--var``, ``--var-file``, ``RECONCILE_VAR_<name>`` and ``RECONCILE_VAR_FILE`` of the
environment, the file of a site, and ``[vars]`` of the state. An environment and a site serve several states, so names that a
state doesn't have are ignored there, where the command line must name variables that exist.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import StateError
from reconciler.files.text import read_text
from reconciler.state.line_numbers import find_lines
from reconciler.state.toml import parse
from reconciler.state.variables import Problems, Scalar

PREFIX = "RECONCILE_VAR_"
VAR_FILE = "RECONCILE_VAR_FILE"
"""Names a var-file, so no variable called FILE can be set by the environment."""
SITES = "sites"
"""Folder next to a state with one file of variables for each site."""


class SourcedValue(NamedTuple):
    """The value of a variable, and where it comes from."""

    value: Scalar
    origin: str


@dataclass(frozen=True)
class Overrides:
    """The values of variables that a caller sets, and where others come from.

    Parameters
    ----------
    values : mapping
        Values that win over all others; each must be a variable of the state.
    origins : mapping
        Where each of them comes from.
    environment : mapping
        Environment variables to use; only those that `select_environment` selects matter.
    site : `str` or `None`
        Name of a site, whose file is ``sites/NAME.toml`` next to the state.
    """

    values: Mapping[str, Scalar] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    site: str | None = None

    def resolve(self, state: Path, declared: Collection[str]) -> dict[str, SourcedValue]:
        """Return the values for a state: the caller's own, which win, then those of the environment, its var-file, and the site.

        Of the others than the caller's own only ``declared`` names are taken, the variables of the state; all if it has none.

        Raises
        ------
        reconciler.errors.StateError
            If a file can't be read, or isn't one of variables.
        """
        found: dict[str, SourcedValue] = {}
        if self.site is not None:
            file = site_file(state, self.site)
            found |= {name: SourcedValue(value, f"site {self.site}, {file}") for name, value in read_variables(file).items()}
        if path := self.environment.get(VAR_FILE):
            origin = f"{VAR_FILE}, {path}"
            found |= {name: SourcedValue(value, origin) for name, value in read_variables(Path(path)).items()}
        for name, text in select_environment(self.environment).items():
            if name != VAR_FILE:
                found[name.removeprefix(PREFIX)] = SourcedValue(parse_value(text), name)
        if declared:
            found = {name: sourced for name, sourced in found.items() if name in declared}
        return found | {name: SourcedValue(value, self.origins.get(name, "the caller")) for name, value in self.values.items()}


Variables = Mapping[str, Scalar] | Overrides
"""What a caller may pass for variables: values alone, or with an environment and a site."""


def select_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return those of some environment variables that set variables of a state."""
    return {name: value for name, value in environment.items() if name.startswith(PREFIX)}


def site_file(state: Path, site: str) -> Path:
    """Return the file of a site, next to a state.

    Raises
    ------
    reconciler.errors.StateError
        If the name of the site contains anything but letters, digits and ``_.-``.
    """
    if not re.fullmatch(r"\w[\w.-]*", site):
        raise StateError(
            f'site "{site}": a name has only letters, digits and _.-; its file is {SITES}/NAME.toml next to the state'
        )
    return state.parent / SITES / f"{site}.toml"


def parse_value(text: str) -> Scalar:
    """Convert the text of a value on the command line or in the environment: true, false, a whole number, or a string.

    A number of more than 1,000 digits is a string, too.
    """
    if text in ("true", "false"):
        return text == "true"
    return int(text) if re.fullmatch(r"-?\d{1,1000}", text) else text


def read_variables(path: Path) -> dict[str, Scalar]:
    """Read a var-file: TOML with names and values of variables, and no tables.

    Raises
    ------
    reconciler.errors.StateError
        If the file can't be read, isn't TOML, or contains anything but strings, numbers and booleans.
    """
    text = read_text(path)
    document = parse(text, path)
    problems = Problems(path, find_lines(text))
    for name, value in document.items():
        if not isinstance(value, Scalar):
            problems.add((name,), "must be a string, a number, true or false")
    problems.raise_if_any()
    return document
