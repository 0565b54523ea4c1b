"""Keep a Butler repository and its Rucio datasets in the state that a TOML file describes.

`open_session` is where a program begins; `Kind` and `Spec` are where the author of a kind begins. All that is public is in
``__all__``. A name is imported when it is first used, so ``import reconciler`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from reconciler.version import __version__

if TYPE_CHECKING:
    from reconciler.engine.commands import REPO, Command, Comment
    from reconciler.engine.kind import Kind, KindTraits, Links, MemberText, Requirements
    from reconciler.engine.listener import Listener
    from reconciler.engine.model import (
        Action,
        Address,
        Change,
        Comparison,
        Condition,
        Cost,
        Difference,
        DifferenceKind,
        Members,
        Observed,
        Outcome,
        Status,
    )
    from reconciler.engine.plan import Entry, Plan
    from reconciler.engine.result import ApplyResult
    from reconciler.engine.spec import InputPath, NotObserved, Spec
    from reconciler.errors import (
        ApplyError,
        ConflictError,
        Interrupted,
        LockHeld,
        LockLost,
        MissingFile,
        ObserveError,
        PartlyApplied,
        PlanError,
        PluginError,
        ReconcileError,
        RegistryNeedsRecovery,
        RemovalRefused,
        RepositoryReadOnly,
        StateError,
        WorkerDied,
        WriteRefused,
    )
    from reconciler.opening import open_session
    from reconciler.report.formats import ReportFormat
    from reconciler.report.json import DiffReport
    from reconciler.session import Session
    from reconciler.state.schema import state_schema
    from reconciler.systems.context import Context

__all__ = [
    "REPO",
    "Action",
    "Address",
    "ApplyError",
    "ApplyResult",
    "Change",
    "Command",
    "Comment",
    "Comparison",
    "Condition",
    "ConflictError",
    "Context",
    "Cost",
    "DiffReport",
    "Difference",
    "DifferenceKind",
    "Entry",
    "InputPath",
    "Interrupted",
    "Kind",
    "KindTraits",
    "Links",
    "Listener",
    "LockHeld",
    "LockLost",
    "MemberText",
    "Members",
    "MissingFile",
    "NotObserved",
    "ObserveError",
    "Observed",
    "Outcome",
    "PartlyApplied",
    "Plan",
    "PlanError",
    "PluginError",
    "ReconcileError",
    "RegistryNeedsRecovery",
    "RemovalRefused",
    "ReportFormat",
    "RepositoryReadOnly",
    "Requirements",
    "Session",
    "Spec",
    "StateError",
    "Status",
    "WorkerDied",
    "WriteRefused",
    "__version__",
    "open_session",
    "state_schema",
]

_MODULES = {
    "reconciler.engine.commands": ("REPO", "Command", "Comment"),
    "reconciler.engine.kind": ("Kind", "KindTraits", "Links", "MemberText", "Requirements"),
    "reconciler.engine.listener": ("Listener",),
    "reconciler.engine.model": (
        *("Action", "Address", "Change", "Comparison", "Condition", "Cost", "Difference", "DifferenceKind", "Members"),
        *("Observed", "Outcome", "Status"),
    ),
    "reconciler.engine.plan": ("Entry", "Plan"),
    "reconciler.engine.result": ("ApplyResult",),
    "reconciler.engine.spec": ("InputPath", "NotObserved", "Spec"),
    "reconciler.errors": (
        *(
            "ApplyError",
            "ConflictError",
            "Interrupted",
            "LockHeld",
            "LockLost",
            "MissingFile",
            "ObserveError",
            "PartlyApplied",
            "PlanError",
            "PluginError",
        ),
        *(
            "ReconcileError",
            "RegistryNeedsRecovery",
            "RemovalRefused",
            "RepositoryReadOnly",
            "StateError",
            "WorkerDied",
            "WriteRefused",
        ),
    ),
    "reconciler.opening": ("open_session",),
    "reconciler.report.formats": ("ReportFormat",),
    "reconciler.report.json": ("DiffReport",),
    "reconciler.session": ("Session",),
    "reconciler.state.schema": ("state_schema",),
    "reconciler.systems.context": ("Context",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:  # type checkers would take any name for an attribute of a module that has this function

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
