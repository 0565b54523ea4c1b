"""The ``butler`` subcommands that only the Science Pipelines have, run without a shell."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reconciler.errors import ApplyError, clean
from reconciler.systems.butler import command_progress
from reconciler.systems.butler.command_failures import FailureCollector, ItemFailure, list_loggers
from reconciler.systems.butler.command_progress import ProgressWatch
from reconciler.systems.butler.errors import concerns_all, explain, find_innermost_cause
from reconciler.systems.butler.insert_batching import batched_inserts
from reconciler.systems.postgresql import limited_waits

if TYPE_CHECKING:
    from click.testing import Result

    from reconciler.systems.butler.repository import Repository

MOST_MESSAGES = 5
"""Logged errors of a subcommand that are passed on."""


@dataclass(frozen=True)
class CommandReport:
    """How a subcommand ended that may leave some items undone.

    Parameters
    ----------
    failures : `tuple` [`ItemFailure`, ...]
        Files and exposures that it could not handle.
    duplicates : `tuple` [`tuple` [`str`, ...], ...]
        URIs of files with the same data ID, of which it could use one at most.
    stopped : `bool`
        Whether it was ended between two items because that was requested.
    error : `str`
        Why it broke off, so that items after the one concerned weren't handled; empty if it came to its end.
    hints : `tuple` [`str`, ...]
        Further lines on that.
    concerns_all : `bool`
        Whether it broke off because of something that concerns every item, such as a database that doesn't answer.
    """

    failures: tuple[ItemFailure, ...] = ()
    duplicates: tuple[tuple[str, ...], ...] = ()
    stopped: bool = False
    error: str = ""
    hints: tuple[str, ...] = ()
    concerns_all: bool = False


def run(arguments: Sequence[str]) -> None:
    """Run one ``butler`` subcommand in this (worker) process.

    Raises
    ------
    reconciler.errors.ApplyError
        If it fails; with the innermost cause, and with the errors that it logged.
    """
    ending = _invoke(arguments)
    if ending.result.exit_code != 0:
        message, hints = ending.explain(arguments[0])
        raise ApplyError(message, hints)


def run_partly(arguments: Sequence[str]) -> CommandReport:
    """Run one ``butler`` subcommand that handles many items in this (worker) process, and return what it left undone, and why.

    That it breaks off is no exception: the reason is the report's ``error``, unless its items have their own reasons.
    """
    ending = _invoke(arguments)
    report = CommandReport(tuple(ending.failures), tuple(ending.watch.duplicates), ending.watch.stopped)
    if ending.result.exit_code == 0 or report.stopped or (report.failures and not ending.watch.broke_off):
        return report
    message, hints = ending.explain(arguments[0])
    return replace(report, error=message, hints=hints, concerns_all=ending.error is None or concerns_all(ending.error))


def run_numbered(number: int, arguments: Sequence[str]) -> tuple[int, CommandReport]:
    """Run a subcommand as `run_partly` does, and return its number with the report: commands end in any order."""
    return number, run_partly(arguments)


@dataclass(frozen=True)
class _Ending:
    """How a subcommand ended, with the errors that it logged."""

    result: Result
    records: list[logging.LogRecord]
    failures: list[ItemFailure]
    watch: ProgressWatch

    @property
    def error(self) -> BaseException | None:
        """What ended it, if that is known."""
        error = next((record.exc_info[1] for record in reversed(self.records) if record.exc_info), None)
        if error is None and not isinstance(self.result.exception, SystemExit):
            return self.result.exception
        return error

    def explain(self, name: str) -> tuple[str, tuple[str, ...]]:
        """Return in one phrase why it failed, and hints."""
        logged = [clean(record.getMessage()) for record in self.records if not record.exc_info]
        if self.error is not None:
            message, hints = _explain_failure(self.error)
        else:
            message, hints = _find_last_words(self.result.output, logged, self.result.exit_code)
        said = [f"it logged: {text}" for text in logged[:MOST_MESSAGES] if text != message]
        rest = len(logged) - MOST_MESSAGES
        return f"butler {name}: {message}", (*hints, *said, *([f"and {rest:,} more errors"] if rest > 0 else []))


def _invoke(arguments: Sequence[str]) -> _Ending:
    from click.testing import CliRunner

    watch, collector, loggers = ProgressWatch(), FailureCollector(), list_loggers(arguments)
    with batched_inserts(), limited_waits(), _filtered(loggers, collector), _captured_errors() as records:
        levels = ["ERROR", f"{command_progress.LOGGER}=INFO", *(f"{name}=DEBUG" for name in loggers)]
        options = [word for level in levels for word in ("--log-level", level)]
        try:
            result = CliRunner().invoke(_make_group(watch), [*options, *arguments])
        finally:
            watch.remove()
    return _Ending(result, records, collector.failures, watch)


def _make_group(watch: ProgressWatch) -> Any:
    """Return the ``butler`` command without its option --progress, which would take the place of ours."""
    import click
    from lsst.daf.butler.cli.butler import ButlerCLI
    from lsst.daf.butler.cli.opt import log_level_option

    def butler(**options: Any) -> None:
        watch.install()

    make: Any = click.command
    return make(cls=ButlerCLI)(log_level_option()(butler))


def list_options(name: str) -> list[str]:
    """Return the options, such as ``--incremental``, that a ``butler`` subcommand has in this environment; none if it is absent.

    It imports the packages that the subcommand needs, so it is called in a worker.
    """
    import click
    from lsst.daf.butler.cli.butler import ButlerCLI

    group = ButlerCLI()  # the one that is ready-made keeps the subcommands of its first use
    with _captured_errors():
        command = group.get_command(click.Context(group), name)
    parameters = command.params if command is not None else []
    return [option for one in parameters for option in (*one.opts, *one.secondary_opts) if option.startswith("-")]


class _Capture(logging.Handler):
    """Keeps the records of errors."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextlib.contextmanager
def _filtered(loggers: Sequence[str], filter: logging.Filter) -> Iterator[None]:
    """Let a filter read what some loggers log."""
    filtered = [logging.getLogger(name) for name in loggers]
    for logger in filtered:
        logger.addFilter(filter)
    try:
        yield
    finally:
        for logger in filtered:
            logger.removeFilter(filter)


@contextlib.contextmanager
def _captured_errors() -> Iterator[list[logging.LogRecord]]:
    """Let a subcommand set up its logging afresh, and collect the errors that it logs.

    ``ButlerCommand`` logs the exception that ended it and exits with 1; and what a first command sets up in a process keeps
    writing to that command's output, which is closed when the next one runs.
    """
    from lsst.daf.butler.cli.cliLog import CliLog

    root, capture = logging.getLogger(), _Capture()
    before = list(root.handlers)
    root.addHandler(capture)
    try:
        yield capture.records
    finally:
        CliLog.resetLog()
        root.handlers = before


def _explain_failure(error: BaseException) -> tuple[str, tuple[str, ...]]:
    """Return what ended a subcommand: its innermost cause, and then what the pipelines made of it."""
    cause = find_innermost_cause(error)
    message, hints = explain(cause)
    outer, _ = explain(error)
    return message, (hints if outer == message else (*hints, f"it ended with: {outer}"))


def _find_last_words(output: str, logged: Sequence[str], code: int) -> tuple[str, tuple[str, ...]]:
    """Return the best there is if no exception is known."""
    lines = [line for line in output.strip().splitlines() if line.strip()]
    text = lines[-1] if lines else logged[-1] if logged else f"it ended with exit code {code} and no message"
    hint = "this subcommand comes with the Science Pipelines; is the stack set up in this shell?"
    return text, (hint,) if "No such command" in text else ()


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
    """Return the classes that can't be imported, whatever their packages raise."""
    from lsst.utils import doImport

    missing = []
    for name in names:
        try:
            doImport(name)
        except Exception:
            missing.append(name)
    return missing


def missing_formatters(repository: Repository, dataset_types: Sequence[str], storage_classes: Mapping[str, str]) -> list[str]:
    """Return the dataset types whose default formatter can't be imported, whatever its package raises.

    Parameters
    ----------
    repository : `Repository`
        A repository that exists.
    dataset_types : `Sequence` [`str`]
        Names of dataset types.
    storage_classes : `Mapping` [`str`, `str`]
        Storage classes of those that may not exist yet.
    """
    missing = []
    for name in dataset_types:
        existing = repository.dataset_types().get(name)
        try:
            _import_formatters(repository, name, existing.storage_class if existing else storage_classes.get(name, ""))
        except Exception:
            missing.append(name)
    return missing


def _import_formatters(repository: Repository, dataset_type: str, storage_class: str) -> None:
    """Import the classes with which the datastores of a repository read a dataset type."""
    from lsst.daf.butler import StorageClassFactory

    stores: list[Any] = [getattr(repository.open(), "_datastore", None)]  # a Butler has no public attribute for its datastore
    for store in stores:
        stores += getattr(store, "datastores", ())
        factory: Any = getattr(store, "formatterFactory", None)
        known = StorageClassFactory()
        entities = [dataset_type, *([known.getStorageClass(storage_class)] if storage_class in known else [])]
        for entity in entities if factory is not None else ():
            with contextlib.suppress(KeyError):  # there is none of that name
                factory.getFormatterClass(entity)
                break
