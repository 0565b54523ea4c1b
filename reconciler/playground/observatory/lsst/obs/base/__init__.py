"""The parts of obs_base that export files, storage classes and the options of commands name."""

from __future__ import annotations

from typing import Any

__all__ = ["DefineVisitsTask", "RawIngestTask"]


def __getattr__(name: str) -> Any:
    # Only on demand: the formatters below this package must not load what reads metadata.
    if name == "RawIngestTask":
        from standin.ingest import RawIngestTask

        return RawIngestTask
    if name == "DefineVisitsTask":
        from standin.visits import DefineVisitsTask

        return DefineVisitsTask
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
