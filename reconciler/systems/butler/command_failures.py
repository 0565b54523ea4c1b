"""What a ``butler`` subcommand logs about single files and exposures that it could not handle, while it goes on with the others.

obs_base's RawIngestTask logs the exception with the file or the exposure that it concerns as arguments of the log record; why a
file couldn't be read is logged at level DEBUG only. The arguments are used, never the text.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from reconciler.systems.butler.errors import explain, find_innermost_cause, is_outage

TASK = "ingest"
"""Name of the task that ingests raws, which is that of its logger below the name of its package."""
TASK_OPTION = "--ingest-task"


@dataclass(frozen=True)
class ItemFailure:
    """Something that a subcommand could not handle.

    Parameters
    ----------
    reason : `str`
        The innermost cause.
    files : `tuple` [`str`, ...]
        URIs of the files concerned, if they are known.
    exposure : `str`
        The ``obs_id`` of the exposure concerned, if its record could not be written.
    is_conflict : `bool`
        Whether something else exists under the same key, such as an exposure record with other values.
    is_outage : `bool`
        Whether the database couldn't be reached, so that it isn't about the item at all.
    """

    reason: str
    files: tuple[str, ...] = ()
    exposure: str = ""
    is_conflict: bool = False
    is_outage: bool = False


def list_loggers(arguments: Sequence[str]) -> list[str]:
    """Return the loggers of the tasks that a subcommand may use: what they log below level ERROR is read, and printed nowhere."""
    tasks = [task for option, task in itertools.pairwise(arguments) if option == TASK_OPTION]
    return [f"{name}.{TASK}" for name in dict.fromkeys(["lsst", *(task.partition(".")[0] for task in tasks)])]


class FailureCollector(logging.Filter):
    """Collects failures from log records; as the filter of a logger it lets only errors pass."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[ItemFailure] = []
        self._reasons: dict[str, str] = {}
        """Why files can't be read, by URI."""
        self._lists_files = False
        """Whether the next records name the files of the last failure."""

    def filter(self, record: logging.LogRecord) -> bool:
        self.add(record)
        return record.levelno >= logging.ERROR

    def add(self, record: logging.LogRecord) -> None:
        """Read one record, in the order in which they were logged."""
        from lsst.resources import ResourcePath

        arguments = record.args if isinstance(record.args, tuple) else ()
        error = next((one for one in arguments if isinstance(one, Exception)), None)
        files = tuple(str(one) for one in arguments if isinstance(one, ResourcePath))
        if error is not None:
            self._add_error(error, files, [one for one in arguments if isinstance(one, str)])
        elif record.levelno < logging.WARNING or not files:
            self._lists_files = False
        elif len(arguments) > 1:
            self._reasons |= dict.fromkeys(files, record.getMessage())
        elif self._lists_files:
            self.failures[-1] = replace(self.failures[-1], files=self.failures[-1].files + files)
        else:
            self.failures.append(ItemFailure(self._reasons.get(files[0], record.getMessage().removeprefix("- ")), files))

    def _add_error(self, error: Exception, files: tuple[str, ...], names: list[str]) -> None:
        from lsst.daf.butler.registry import ConflictingDefinitionError

        cause = find_innermost_cause(error)
        reason, _ = explain(cause)
        self._lists_files = not files and not names
        if files:
            self._reasons |= dict.fromkeys(files, reason)
            return
        conflict = isinstance(error, ConflictingDefinitionError) or isinstance(cause, ConflictingDefinitionError)
        self.failures.append(ItemFailure(reason, (), names[-1] if names else "", conflict, is_outage(error)))
