"""The journal as an operator reads it."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconciler.report.formatting import Line


def runs(events: Iterable[Mapping[str, Any]]) -> Iterator[Line]:
    """List the runs, the oldest first.

    Parameters
    ----------
    events : iterable of mapping
        The journal.

    Yields
    ------
    line : `reconciler.cli.console.Line`
        One for each run.
    """
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        run = found.setdefault(str(event["run"]), {"done": 0, "failed": 0})
        if event["event"] == "begin":
            run |= {"time": event["time"], "who": f"{event.get('user')}@{event.get('host')}", "state": event.get("state")}
        elif event["event"] == "action ended":
            run["failed" if event.get("outcome") == "failed" else "done"] += 1
        elif event["event"] == "end":
            run["end"] = "interrupted" if event.get("interrupted") else "ended"
    for name, run in found.items():
        counts = f"{run['done']} done, {run['failed']} failed"
        parts = [name, run.get("time", ""), run.get("who", ""), counts, run.get("end", "did not end"), run.get("state", "")]
        text = "   ".join(str(part) for part in parts)
        yield Line(text, "red" if run["failed"] else None)


def actions(events: Iterable[Mapping[str, Any]], run: str | None, address: str | None) -> Iterator[Line]:
    """List actions.

    Parameters
    ----------
    events : iterable of mapping
        The journal.
    run : `str` or `None`
        Of which run; of all for `None`.
    address : `str` or `None`
        Glob of addresses; all for `None`.

    Yields
    ------
    line : `reconciler.cli.console.Line`
        One for each action that ended, and for each that never did.
    """
    begun: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for event in events:
        where = str(event.get("address", ""))
        if run is not None and event["run"] != run:
            continue
        if address is not None and not fnmatch.fnmatchcase(where.replace('"', ""), address.replace('"', "")):
            continue
        key = (str(event["run"]), where, str(event.get("verb")))
        if event["event"] == "action begins":
            begun[key] = event
        elif event["event"] == "action ended":
            first = begun.pop(key, event)
            made = ", ".join(f"{value} {name}" for name, value in dict(event.get("made") or {}).items())
            text = f"{first['time']}   {event['run']}   {where}   {event.get('verb')}   {event.get('outcome')}"
            rest = "   ".join(filter(None, [str(first.get("reason") or ""), made, str(event.get("detail") or "")]))
            yield Line(f"{text}   {rest}", "red" if event.get("outcome") == "failed" else None)
    for event in begun.values():
        yield Line(
            f"{event['time']}   {event['run']}   {event['address']}   {event['verb']}   never ended   {event.get('reason')}",
            "red",
        )
