"""What the history knows of the past of one state: its checks, and the differences that are gone."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.watch.state_report import Cause, Verdict


@dataclass(frozen=True)
class PastVerdict:
    """One check of a state; `causes` has its number of differences by cause."""

    checked: datetime.datetime
    verdict: Verdict
    causes: Mapping[str, int]
    error: str = ""


@dataclass(frozen=True)
class ResolvedDifference:
    """A difference that is gone, and why."""

    address: str
    text: str
    cause: Cause
    first_seen: datetime.datetime
    resolved: datetime.datetime
    resolution: str
