"""The ``butler`` subcommands that only the Science Pipelines have. No command goes through a shell."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

from reconciler.errors import ApplyError
from reconciler.systems.butler.errors import explain
from reconciler.systems.butler.insert_batching import batched_inserts


def run(arguments: Sequence[str]) -> None:
    """Run one ``butler`` subcommand in this process, which is a worker's.

    Parameters
    ----------
    arguments : sequence of `str`
        The subcommand and its arguments.

    Raises
    ------
    reconciler.errors.ApplyError
        If it failed.
    """
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
    hint = "it comes with the Science Pipelines; is the stack set up in this shell?"
    raise ApplyError(f"butler {arguments[0]}: {text}", (hint,) if "No such command" in text else ())


def missing_subcommands(names: Sequence[str]) -> list[str]:
    """Tell which subcommands ``butler`` does not have here.

    Parameters
    ----------
    names : sequence of `str`
        Subcommands.

    Returns
    -------
    missing : `list` [`str`]
        Those it lacks.
    """
    if not names:
        return []
    from lsst.daf.butler.cli.butler import cli

    named = _named_by_plugins(cli.getPluginList())
    if named.issuperset(names):
        return []
    known = cli._getCommands()  # imports every package that has any, which takes longer than many a look
    return [name for name in names if name not in known]


def _named_by_plugins(files: Iterable[Any]) -> set[str]:
    """Read the names of subcommands off the files that name them; one that can't be read names none."""
    import yaml

    found: set[str] = set()
    for file in files:
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
            found |= set(yaml.safe_load(file.read())["cmd"]["commands"])
    return found


def missing_classes(names: Sequence[str]) -> list[str]:
    """Tell which classes can't be imported here.

    Parameters
    ----------
    names : sequence of `str`
        Full names of classes, or ``storage_class:NAME`` for the Python type of a storage class.

    Returns
    -------
    missing : `list` [`str`]
        Those that can't.
    """
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
