"""The ``butler`` subcommands that only the Science Pipelines have, run in a worker process.

A worker imports the Butler once and then takes one chunk after another; it dies with the process that started it, so that
nothing writes to a repository whose lock is gone. No command goes through a shell.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from reconciler.errors import ApplyError
from reconciler.live.faults import explain


class WorkerDied(ApplyError):
    """The process that ran a command ended before the command did; its chunk was rolled back and may be done again."""


def run(arguments: Sequence[str], pool: Executor) -> str:
    """Run one ``butler`` subcommand.

    Parameters
    ----------
    arguments : sequence of `str`
        The subcommand and its arguments.
    pool : `concurrent.futures.Executor`
        Where.

    Returns
    -------
    output : `str`
        What it printed.

    Raises
    ------
    reconciler.errors.ApplyError
        If it failed.
    WorkerDied
        If its worker did.
    """
    try:
        failed, output, hints = pool.submit(_run, list(arguments)).result()
    except BrokenProcessPool as error:
        raise WorkerDied(f"butler {arguments[0]}: the worker process died", ("was it out of memory?",)) from error
    if failed:
        raise ApplyError(f"butler {arguments[0]}: {output}", hints)
    return output


def workers(jobs: int) -> ProcessPoolExecutor:
    """Make processes to run commands in.

    Parameters
    ----------
    jobs : `int`
        How many.

    Returns
    -------
    pool : `concurrent.futures.ProcessPoolExecutor`
        To be closed by the caller.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lsst.daf.butler.cli.butler"])  # the import is the dearest part of a worker
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_prepare)


def _prepare() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the run between chunks, not a chunk
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _run(arguments: list[str]) -> tuple[bool, str, tuple[str, ...]]:
    """Run a subcommand in this process; errors come back as text, for not every exception can be sent."""
    from click.testing import CliRunner
    from lsst.daf.butler.cli.butler import cli

    result = CliRunner().invoke(cli, ["--log-level", "ERROR", *arguments])
    if result.exit_code == 0:
        return False, result.output, ()
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        message, hints = explain(result.exception)
        return True, message, hints
    lines = [line for line in result.output.strip().splitlines() if line.strip()]
    text = lines[-1] if lines else f"exit code {result.exit_code}"
    hint = "it comes with the Science Pipelines; is the stack set up in this shell?"
    return True, text, (hint,) if "No such command" in text else ()


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
    from lsst.daf.butler.cli.butler import cli

    known = cli._getCommands()
    return [name for name in names if name not in known]


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
