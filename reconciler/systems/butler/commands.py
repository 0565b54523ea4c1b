"""The ``butler`` subcommands that only the Science Pipelines have, run without a shell."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

from reconciler.errors import ApplyError
from reconciler.systems.butler.errors import explain
from reconciler.systems.butler.insert_batching import batched_inserts


def run(arguments: Sequence[str]) -> None:
    """Run one ``butler`` subcommand in this (worker) process; raise ApplyError if it fails."""
    from click.testing import CliRunner
    from lsst.daf.butler.cli.butler import cli

    with batched_inserts():
        result = CliRunner().invoke(cli, ["--log-level", "ERROR", *arguments])
    if result.exit_code == 0:
        return
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        message, hints = explain(result.exception)
        raise ApplyError(f"butler {arguments[0]}: {message}", hints)
    lines = [line for line in result.output.strip().splitlines() if line.strip()]
    text = lines[-1] if lines else f"exit code {result.exit_code}"
    hint = "this subcommand comes with the Science Pipelines; is the stack set up in this shell?"
    raise ApplyError(f"butler {arguments[0]}: {text}", (hint,) if "No such command" in text else ())


def missing_subcommands(names: Sequence[str]) -> list[str]:
    """Return the subcommands that ``butler`` lacks in this environment."""
    if not names:
        return []
    from lsst.daf.butler.cli.butler import cli

    if _subcommands_of_plugins(cli.getPluginList()).issuperset(names):
        return []
    known = cli._getCommands()  # imports every package that has a subcommand, which can take longer than the whole diff
    return [name for name in names if name not in known]


def _subcommands_of_plugins(files: Iterable[Any]) -> set[str]:
    """Read the names of subcommands from the plugin files that list them; a file that can't be read adds none."""
    import yaml

    found: set[str] = set()
    for file in files:
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
            found |= set(yaml.safe_load(file.read())["cmd"]["commands"])
    return found


def missing_classes(names: Sequence[str]) -> list[str]:
    """Return the classes that can't be imported; ``storage_class:NAME`` stands for the Python type of a storage class."""
    from lsst.daf.butler import StorageClassFactory
    from lsst.utils import doImport

    missing = []
    for name in names:
        try:
            if name.startswith("storage_class:"):
                StorageClassFactory().getStorageClass(name.partition(":")[2]).pytype  # noqa: B018
            else:
                doImport(name)
        except (ImportError, KeyError, TypeError, ValueError):
            missing.append(name)
    return missing
