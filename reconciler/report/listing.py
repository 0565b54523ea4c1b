"""The resources of states as a list: one line for each, for grep and awk, and as JSON."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from reconciler.engine.model import Address, DesiredState
from reconciler.report.entry_status import COLOURS, EntryStatus
from reconciler.report.formatting import Line

NOT_CHECKED = "-"
"""Stands for the status of a resource that was not checked."""


class ListedResource(BaseModel):
    """One resource."""

    model_config = ConfigDict(extra="forbid")

    status: EntryStatus | None = Field(description="Null if the live systems were not asked.")
    kind: str
    name: str = Field(description="Empty for a kind of which there is one.")
    address: str
    file: str
    line: int


class ListedState(BaseModel):
    """The resources of one state."""

    model_config = ConfigDict(extra="forbid")

    state: str = Field(description="Path of the state file.")
    resources: list[ListedResource] = Field(description="In the order of the file.")


class ListReport(BaseModel):
    """What ``reconcile list --format json`` prints."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    states: list[ListedState]


def list_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the list."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ListReport.model_json_schema()}


def list_state(state: DesiredState, chosen: Collection[Address], statuses: Mapping[Address, EntryStatus]) -> ListedState:
    """Return the chosen resources of a state, each with its status if that is known."""
    resources = [
        ListedResource(
            status=statuses.get(address),
            kind=address.kind,
            name=address.name,
            address=str(address),
            file=str(state.path),
            line=state.lines.get(address, 1),
        )
        for address in state.resources
        if address in chosen
    ]
    return ListedState(state=str(state.path), resources=resources)


def format_list(report: ListReport) -> Iterator[Line]:
    """Yield one line for each resource: status, kind, address, file and line, in aligned columns."""
    resources = [resource for state in report.states for resource in state.resources]
    kind_width = max((len(resource.kind) for resource in resources), default=0)
    address_width = max((len(resource.address) for resource in resources), default=0)
    for resource in resources:
        colour = COLOURS.get(resource.status) if resource.status is not None else None
        columns = (
            f"{resource.status or NOT_CHECKED:<8}",
            f"{resource.kind:<{kind_width}}",
            f"{resource.address:<{address_width}}",
            f"{resource.file}:{resource.line}",
        )
        yield Line("  ".join(columns), colour)
