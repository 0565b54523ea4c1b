"""The files of the site. Each replaces its predecessor in one step, and has the permissions that the umask allows."""

from __future__ import annotations

import contextlib
import datetime
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from reconciler.watch.latest import LatestVerdict, read_latest
from reconciler.watch.ledger import LedgerRow
from reconciler.watch.locations import HistoryError, HistoryLocation
from reconciler.watch.page.data import IndexRow, page_name, view_latest, view_row, view_state
from reconciler.watch.page.render import PageError, render_index, render_state
from reconciler.watch.state_report import StateReport
from reconciler.watch.timeline import PastVerdict, ResolvedDifference

MOST_CHECKS = 1000
MOST_RESOLVED = 50
INDEX = "index.html"
STALE_WRITER = 3600.0
"""Seconds after which an unfinished file was left by a writer that was killed."""


class Site:
    """A folder with an index of all states and a page for each.

    Parameters
    ----------
    folder : `pathlib.Path`
        The folder; it is created with its parents if necessary.
    location : `HistoryLocation`
        The history, for timelines and for states that this run doesn't check.
    """

    def __init__(self, folder: Path, location: HistoryLocation) -> None:
        self.folder, self.location = folder, location
        self.rows: dict[str, IndexRow] = {}

    def write_state(self, report: StateReport, ledgers: Mapping[str, Sequence[LedgerRow]] | None = None) -> Path:
        """Write the page of one state, return its path, and keep its row for `write_index`.

        The history is created if it is absent; if it can't be read, the page has the reason.

        Parameters
        ----------
        report : `StateReport`
            The report of its check.
        ledgers : `Mapping` [`str`, `Sequence` [`LedgerRow`]], optional
            Rows by the address of the resource that Rucio delivers.

        Raises
        ------
        PageError
            If it can't be written.
        """
        state = report.check.state
        past, resolved, problem = self._read_past(state)
        page = view_state(report, past, resolved, ledgers, problem)
        path = self._write(page_name(state), render_state(page, report.checked))
        self.rows[state] = view_row(report, path.name)
        return path

    def write_index(self, now: datetime.datetime) -> Path:
        """Write the index of all states that this run checked or that the history knows, and return its path.

        If the history can't be read, the index lists only the states of this run, with the reason.

        Raises
        ------
        PageError
            If it can't be written.
        """
        rows, problems = dict(self.rows), []
        try:
            for latest in read_latest(self.location, now=now):
                rows.setdefault(latest.state, view_latest(latest, now, self._find_page(latest)))
        except HistoryError as error:
            problems.append(f"Only the states of this run are listed: {error}")
        ordered = sorted(rows.items(), key=lambda item: (item[1].name, item[0]))
        return self._write(INDEX, render_index([row for _, row in ordered], now, problems))

    def _read_past(self, state: str) -> tuple[list[PastVerdict], list[ResolvedDifference], str]:
        from reconciler.watch.history import open_history

        try:
            history = open_history(self.location)
            return history.read_past(state, MOST_CHECKS), history.read_resolved(state, MOST_RESOLVED), ""
        except HistoryError as error:
            return [], [], str(error)

    def _find_page(self, latest: LatestVerdict) -> str:
        name = page_name(latest.state)
        return name if (self.folder / name).exists() else ""

    def _write(self, name: str, text: str) -> Path:
        path = self.folder / name
        unfinished = self.folder / f".{name}.{secrets.token_hex(4)}.tmp"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_stale(name)
            with open(unfinished, "x", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(unfinished, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
            place = error.filename or path
            raise PageError(f"the page {path} can't be written: {error.strerror}: {place}") from error
        return path

    def _remove_stale(self, name: str) -> None:
        """Remove what writers of this page that were killed have left."""
        now = datetime.datetime.now().timestamp()
        for left in self.folder.glob(f".{name}.*.tmp"):
            with contextlib.suppress(OSError):
                if now - left.stat().st_mtime > STALE_WRITER:
                    left.unlink()
