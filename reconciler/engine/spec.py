"""The keys of a table of the state file, and the types of keys that several kinds share: durations and paths.

Of ours it imports only names of environment variables, and pydantic does the validation.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema

from reconciler.index_variables import REPOSITORY_INDEXES


def _parse_duration(value: object) -> object:
    """Convert a duration such as 90s, 30m, 2h or 7d to seconds."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", value)
    if match is None:
        raise ValueError(f'"{value}" is not a duration; write 90s, 30m, 2h or 7d')
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


Duration = Annotated[float, Field(ge=0), BeforeValidator(_parse_duration), WithJsonSchema({"type": "string"})]
"""A duration in a state file, written as 90s, 30m, 2h or 7d; the value is in seconds."""


class Spec(BaseModel):
    """The keys of a table of the state file; each kind adds its own."""

    # A state has few of the kinds; the validators of the others are never built.
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    manage: Literal["full", "create", "observe"] = Field(
        "full",
        description="full: create and repair it; create: create it if absent, never change it; observe: only report differences.",
        examples=["observe"],
    )
    protect: bool = Field(False, description="Never remove any of its members, not even with --prune.", examples=[True])
    requires: tuple[str, ...] = Field((), description="Addresses that must be in sync first.", examples=[["visits.LSSTComCam"]])
    note: str | None = Field(
        None, description="Remark for colleagues; shown with -v.", examples=["agreed with the campaign lead on 2026-03-02"]
    )
    new_after: Duration | None = Field(
        None,
        description="How long what is new at its source, such as a new night, doesn't count as drift for reconcile drift; "
        "24h by default.",
        examples=["24h", "3d"],
    )
    deadline: Duration | None = Field(
        None,
        description="How long Rucio may take to deliver before reconcile drift counts it as drift; without it, any time.",
        examples=["12h", "7d"],
    )


def resolve_from_state_folder(path: str, info: ValidationInfo) -> str:
    """Return a path that a state names, with the folder of the state file in front and normalized.

    URIs and absolute paths are unchanged, and so is every path if the context of the validation has no ``base``.

    Raises
    ------
    ValueError
        If its first component is ``~``, which a shell replaces by the home folder.
    """
    if path.partition("/")[0] == "~":
        raise ValueError(f'"{path}" begins with ~, which only a shell replaces; write the whole path, or use a variable')
    base: Path | None = (info.context or {}).get("base")
    if base is None or "://" in path or os.path.isabs(path):
        return path
    return os.path.normpath(base / path)


class NotObserved:
    """Annotates a key of a spec that determines how something is made and leaves no trace in what exists."""


def find_unobserved_keys(spec: Spec) -> tuple[str, ...]:
    """Return the keys that a table sets, even to their default, and that can't be observed, by their names in the state file."""
    return tuple(
        field.alias or name
        for name, field in type(spec).model_fields.items()
        if name in spec.model_fields_set and any(isinstance(mark, NotObserved) for mark in field.metadata)
    )


InputPath = Annotated[str, AfterValidator(resolve_from_state_folder)]
"""A file or a folder that a state names: a relative path starts from the folder of the state file."""


def resolve_unless_label(place: str, info: ValidationInfo) -> str:
    """Return the location of a repository as `resolve_from_state_folder` does, but a name that may be a label as it is.

    Only a name without a slash may be one, and only if the environment names a repository index.
    """
    may_be_label = "/" not in place and any(os.environ.get(name) for name in REPOSITORY_INDEXES)
    return place if may_be_label else resolve_from_state_folder(place, info)


RepositoryLocation = Annotated[str, AfterValidator(resolve_unless_label)]
"""The location of a repository: a relative path as `InputPath`, or a name that may be a label of the Butler's index."""

S = TypeVar("S", bound=Spec)
