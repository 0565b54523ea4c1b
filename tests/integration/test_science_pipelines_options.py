"""The stand-in has the options of the real commands, and the program passes no others.

The options of the real commands are data, `tests/cases/science_pipelines_options.toml`, which names the versions that were read.
"""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from conftest import ROOT

import reconciler

DATA = tomllib.loads((ROOT / "tests" / "cases" / "science_pipelines_options.toml").read_text())["releases"]
COMMANDS = sorted({name for release in DATA.values() for name in release["commands"]})
KINDS = Path(reconciler.__file__).parent / "kinds"
PROBED = {
    "ingest-raws": {"--skip-existing", "--no-skip-existing", "--search-indexes", "--no-search-indexes"},
    "define-visits": {"--skip-conflicting", "--prefilter", "--check-detector-regions"},
}
"""Options that a supported release lacks: the program must look whether the installed one has them."""


def describe(command: click.Command) -> tuple[list[str], list[str]]:
    """Return the arguments and options of a command as the data has them."""
    arguments, options = [], []
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            arguments.append((parameter.name or "").upper() + (" ..." if parameter.nargs == -1 else ""))
        elif isinstance(parameter, click.Option):
            long = max(parameter.opts, key=len)
            names = [long, *sorted({*parameter.opts, *parameter.secondary_opts} - {long})]
            text = "/".join(names) + ("" if parameter.is_flag else " VALUE")
            options.append(text + (" ..." if parameter.multiple else ""))
    return arguments, sorted(options)


def names_of(options: list[str]) -> set[str]:
    return {name for option in options for name in option.split()[0].split("/")}


def passed_options(folder: Path, command: str) -> dict[str, str]:
    """Find the options in the modules that name a command, each with its place; those of other commands there are included."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text())
        texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        if any(node.value == command for node in texts):
            options = (node for node in texts if node.value.startswith("--") and node.value[2:].replace("-", "").isalpha())
            found.update({node.value: f"{path.name}:{node.lineno}" for node in options})
    return found


def test_the_releases_are_named_with_the_commits_of_both_packages() -> None:
    assert set(DATA) == {"w.2025.20", "w.2026.26"}
    assert all(len(release[package]) == 12 for release in DATA.values() for package in ("obs_base", "pipe_tasks"))


def test_the_stand_in_plays_the_releases_of_the_data() -> None:
    from standin.release import RELEASES

    assert set(RELEASES) == set(DATA)


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("name", COMMANDS)
def test_the_stand_in_has_the_options_of_the_real_command(name: str, release: str) -> None:
    from standin import commands

    real = DATA[release]["commands"][name]
    assert describe(getattr(commands, name.replace("-", "_"))) == (real["arguments"], sorted(real["options"]))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_program_passes_only_options_that_the_real_command_has(name: str) -> None:
    passed = passed_options(KINDS, name)
    known = [names_of(release["commands"][name]["options"]) for release in DATA.values()]
    assert not {option: place for option, place in passed.items() if option not in set.union(*known)}
    of_each = set.intersection(*known) | PROBED.get(name, set())
    assert not {option: place for option, place in passed.items() if option not in of_each}, "a supported release lacks them"


def test_an_option_that_no_release_has_is_found(tmp_path: Path) -> None:
    (tmp_path / "raw.py").write_text('def f(files):\n    return ["ingest-raws", "--be-quick", *files]\n')
    assert passed_options(tmp_path, "ingest-raws") == {"--be-quick": "raw.py:2"}
    assert passed_options(tmp_path, "define-visits") == {}


def test_the_program_passes_options_at_all() -> None:
    found: dict[str, Any] = {name: passed_options(KINDS, name) for name in COMMANDS}
    assert all(found.values()), found
