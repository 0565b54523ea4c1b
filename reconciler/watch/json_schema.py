"""JSON Schemas of what ``drift``, ``status`` and ``ledger`` print with ``--format json``, made from the classes that they print.

Only tests and ``make schemas`` import this: building models would take a status longer than everything else.
"""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from reconciler.watch.check_result import FoundDifference
from reconciler.watch.json import FORMAT
from reconciler.watch.latest import LatestVerdict, OpenDifference
from reconciler.watch.ledger import Ledger, LedgerRow, Mismatch, Repair
from reconciler.watch.state_report import AcknowledgedBy, Cause, Resolved, Verdict

DRAFT = "https://json-schema.org/draft/2020-12/schema"
CLOSED = ConfigDict(extra="forbid")


def _model_of(cls: type, parts: dict[type, type[BaseModel]] | None = None, **more: Any) -> type[BaseModel]:
    """Return the model of a dataclass that `reconciler.watch.json.to_plain` writes, with some more fields."""
    hints = get_type_hints(cls)
    known = parts or {}
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        arguments = getattr(hint, "__args__", ())
        if arguments and arguments[0] in known:
            hint = list[known[arguments[0]]]  # type: ignore[valid-type]
        fields[field.name] = (hint, ...)
    summary = (cls.__doc__ or "").partition("\n\n")[0]
    return create_model(cls.__name__, __config__=CLOSED, __doc__=summary, **{**fields, **more})


LedgerDocument = _model_of(
    Ledger,
    {part: _model_of(part) for part in (LedgerRow, Mismatch, Repair)},
    agrees=(bool, Field(description="Whether the three answers agree.")),
    in_rucio=(int, ...),
    in_butler=(int, ...),
    on_storage=(int, ...),
    checked=(int, ...),
)
DifferenceDocument = _model_of(
    FoundDifference,
    cause=(Cause, ...),
    overdue=(bool, ...),
    first_seen=(datetime.datetime, ...),
    last_seen=(datetime.datetime, ...),
    age_seconds=(float, ...),
    times_seen=(int, ...),
    changed=(bool, ...),
    explanation=(str, ...),
    acknowledged_by=(_model_of(AcknowledgedBy) | None, ...),
    per_hour=(float | None, ...),
    expected_at=(datetime.datetime | None, ...),
)


class CheckDocument(BaseModel):
    """One check of one state."""

    model_config = CLOSED

    state: str
    name: str
    repository: str
    verdict: Verdict
    exit_code: Literal[0, 1, 2]
    checked: datetime.datetime
    seconds: float
    resources: int
    deep: bool
    changed: bool = Field(description="Whether anything is new since the check before.")
    error: str | None
    problems: list[str]
    differences: list[DifferenceDocument]  # type: ignore[valid-type]
    resolved: list[_model_of(Resolved)]  # type: ignore[valid-type]
    ledgers: list[LedgerDocument]  # type: ignore[valid-type]


def drift_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the output of ``reconcile drift``."""
    return _describe("DriftReport", "What `reconcile drift --format json` prints.", "states", CheckDocument)


def status_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the output of ``reconcile status``."""
    verdict = _model_of(LatestVerdict, {OpenDifference: _model_of(OpenDifference)})
    return _describe("StatusReport", "What `reconcile status --format json` prints.", "states", verdict)


def ledger_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the output of ``reconcile ledger``."""
    return _describe("LedgerReport", "What `reconcile ledger --format json` prints.", "ledgers", LedgerDocument)


def _describe(name: str, summary: str, key: str, item: type[BaseModel]) -> dict[str, Any]:
    text = "Increased when what a program may rely on changes."
    fields: dict[str, Any] = {"format": (Literal[FORMAT], Field(description=text)), key: (list[item], ...)}  # type: ignore[valid-type]
    model = create_model(name, __config__=CLOSED, __doc__=summary, **fields)
    return {"$schema": DRAFT, **model.model_json_schema(mode="serialization")}
