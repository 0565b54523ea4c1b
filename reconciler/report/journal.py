"""The journal as text: one line for each run, or one for each action."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.report.formatting import Line, count_of


@dataclass
class _RunSummary:
    begun: str = ""
    user: str = ""
    state: str = ""
    done: int = 0
    failed: int = 0
    end: str = "did not end"

    def add(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "begin":
            self.begun, self.state = str(event["time"]), str(event.get("state"))
            self.user = f"{event.get('user')}@{event.get('host')}"
        elif event["event"] == "action ended":
            if event.get("outcome") == "failed":
                self.failed += 1
            else:
                self.done += 1
        elif event["event"] == "end":
            self.end = "interrupted" if event.get("interrupted") else "ended"


def list_runs(events: Iterable[Mapping[str, Any]]) -> Iterator[Line]:
    """Yield one line for each run in the journal, oldest first."""
    summaries: dict[str, _RunSummary] = {}
    for event in events:
        summaries.setdefault(str(event["run"]), _RunSummary()).add(event)
    for name, run in summaries.items():
        parts = (name, run.begun, run.user, f"{run.done} done, {run.failed} failed", run.end, run.state)
        yield Line("   ".join(parts), "red" if run.failed else None)


def list_actions(events: Iterable[Mapping[str, Any]], run: str | None, address: str | None) -> Iterator[Line]:
    """Yield one line for each action of a run (all if `None`) on addresses that match a glob (all if `None`).

    Actions that began and never ended come last.
    """
    begun: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for event in events:
        if not _matches(event, run, address):
            continue
        where = str(event.get("address", ""))
        key = (str(event["run"]), where, str(event.get("verb")))
        if event["event"] == "action begins":
            begun[key] = event
        elif event["event"] == "action ended":
            first = begun.pop(key, event)
            made = ", ".join(
                count_of(value, name) if isinstance(value, int) else f"{value} {name}"
                for name, value in dict(event.get("made") or {}).items()
            )
            facts = [first["time"], event["run"], where, event.get("verb"), event.get("outcome")]
            text = _join(*facts, first.get("reason"), made, event.get("detail"))
            yield Line(text, "red" if event.get("outcome") == "failed" else None)
    for (_, where, verb), event in begun.items():
        yield Line(_join(event["time"], event["run"], where, verb, "never ended", event.get("reason")), "red")


def _join(*parts: object) -> str:
    """Join the columns of a line, without the empty ones."""
    return "   ".join(str(part) for part in parts if part)


def _matches(event: Mapping[str, Any], run: str | None, address: str | None) -> bool:
    if run is not None and event["run"] != run:
        return False
    # Quotes are left out, so that a glob needs no quotes inside the shell's.
    where = str(event.get("address", "")).replace('"', "")
    return address is None or fnmatch.fnmatchcase(where, address.replace('"', ""))
