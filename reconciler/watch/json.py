"""Reports of a watch as JSON."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Iterable
from typing import Any

from reconciler.watch.latest import LatestVerdict
from reconciler.watch.ledger import Ledger
from reconciler.watch.state_report import StateReport

FORMAT = 1
"""Increased when what a program may rely on changes; see ``schemas/``."""


def as_document(key: str, items: Iterable[Any]) -> dict[str, Any]:
    """Return what a command prints: the number of the format, and a list of items under a key."""
    return {"format": FORMAT, key: list(items)}


def report_as_json(report: StateReport) -> dict[str, Any]:
    """Return the report of one check as JSON values."""
    check = report.check
    return {
        "state": check.state,
        "name": check.name,
        "repository": check.repository,
        "verdict": report.verdict.value,
        "exit_code": report.exit_code,
        "checked": to_plain(report.checked),
        "seconds": round(check.seconds, 3),
        "resources": len(check.addresses),
        "deep": check.deep,
        "changed": report.changed,
        "error": check.error or None,
        "problems": list(report.problems),
        "differences": [
            {
                **to_plain(finding.difference),
                "cause": finding.cause.value,
                "overdue": finding.overdue,
                "first_seen": to_plain(finding.first_seen),
                "last_seen": to_plain(finding.last_seen),
                "age_seconds": finding.age.total_seconds(),
                "times_seen": finding.times_seen,
                "changed": finding.changed,
                "explanation": finding.explanation,
                "acknowledged_by": to_plain(finding.acknowledged_by),
                "per_hour": finding.per_hour,
                "expected_at": to_plain(finding.expected_at),
            }
            for finding in report.findings
        ],
        "resolved": [to_plain(gone) for gone in report.resolved],
        "ledgers": [ledger_as_json(ledger) for ledger in check.ledgers],
    }


def latest_as_json(latest: LatestVerdict) -> dict[str, Any]:
    """Return the latest verdict of a state as JSON values."""
    return dict(to_plain(latest))


def ledger_as_json(ledger: Ledger) -> dict[str, Any]:
    """Return a ledger as JSON values."""
    totals = {name: getattr(ledger, name) for name in ("agrees", "in_rucio", "in_butler", "on_storage", "checked")}
    return {**to_plain(ledger), **totals}


def to_plain(value: Any) -> Any:
    """Return dataclasses, enums and times as JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): to_plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
