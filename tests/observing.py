"""Run ``butler`` subcommands of the stand-in observatory as an operator does, and read what they log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Outcome:
    """How a subcommand ended.

    Parameters
    ----------
    code : `int`
        Exit code.
    messages : `list` [`str`]
        Warnings and errors that it logged.
    error : `BaseException` or `None`
        Exception that ended it, which ``ButlerCommand`` logged.
    """

    code: int
    messages: list[str]
    error: BaseException | None

    @property
    def text(self) -> str:
        return "\n".join(self.messages)

    @property
    def cause(self) -> BaseException | None:
        """The exception at the end of the chain of causes."""
        error = self.error
        while error is not None and error.__cause__ is not None:
            error = error.__cause__
        return error


class _Keeper(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def butler(*words: object) -> Outcome:
    """Run a subcommand in this process."""
    from click.testing import CliRunner
    from lsst.daf.butler.cli.butler import cli
    from lsst.daf.butler.cli.cliLog import CliLog

    getattr(type(cli)._getCommands, "cache_clear", int)()  # another test may have offered other subcommands
    root, keeper = logging.getLogger(), _Keeper()
    before = list(root.handlers)
    root.addHandler(keeper)
    try:
        result = CliRunner().invoke(cli, ["--log-level", "WARNING", *map(str, words)])
    finally:
        CliLog.resetLog()
        root.handlers = before
    if result.exit_code == 2:
        raise AssertionError(result.output)
    error = next((record.exc_info[1] for record in reversed(keeper.records) if record.exc_info), None)
    return Outcome(result.exit_code, [record.getMessage() for record in keeper.records], error)


@contextmanager
def played_release(name: str) -> Iterator[None]:
    """Let the stand-in play a release of obs_base in this process and those that it starts.

    A test is skipped if the installed lsst-daf-butler is older than the release; the other way round works.
    """
    from lsst.daf.butler.cli.butler import _importPlugin
    from standin.release import RELEASES, installed_release

    if list(RELEASES).index(name) > list(RELEASES).index(installed_release().name):
        pytest.skip(f"obs_base {name} needs a newer lsst-daf-butler")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STANDIN_RELEASE", name)
        _importPlugin.cache_clear()
        try:
            yield
        finally:
            _importPlugin.cache_clear()


def count_raws(repo: Any, collection: str = "LSSTComCam/raw/all") -> int:
    """Return the number of raws in a collection of a repository; 0 if it doesn't exist."""
    from lsst.daf.butler import Butler, MissingCollectionError, MissingDatasetTypeError

    try:
        with Butler.from_config(str(repo)).query() as query:
            return int(query.datasets("raw", [collection], find_first=False).count())
    except (MissingCollectionError, MissingDatasetTypeError):
        return 0


def edit_index(folder: Path, change: Any) -> None:
    """Change the content of an index file with a function."""
    import json

    path = folder / "_index.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def read_records(repo: Path, element: str) -> list[Any]:
    """Return the dimension records of an element in a repository, ordered by their data IDs."""
    from lsst.daf.butler import Butler

    found = Butler.from_config(str(repo)).registry.queryDimensionRecords(element, instrument="LSSTComCam")
    return sorted(found, key=lambda record: tuple(record.dataId.mapping.values()))
