"""Markers: empty RUN collections whose documentation records what a facility did to a repository, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import Field

from reconciler import (
    REPO,
    Action,
    ApplyError,
    Change,
    Command,
    Condition,
    Context,
    DifferenceKind,
    Kind,
    KindTraits,
    Links,
    Observed,
    Spec,
)


class MarkerSpec(Spec):
    """A marker; the key is the name of its collection."""

    text: str = Field(description="What was done; it becomes the documentation of the collection.")


class SetMarker(Action):
    """Write a marker."""

    verb: Literal["mark"] = "mark"
    text: str


class MarkerKind(Kind[MarkerSpec, SetMarker]):
    """The kind of ``marker`` tables."""

    name = "marker"
    spec = MarkerSpec
    traits = KindTraits(summary="Markers of what a facility did.", order=95, affects_content=False)

    def links(self, name: str, spec: MarkerSpec) -> Links:
        """Offer the collection to chains."""
        return Links(provides=[f"collection:{name}"])

    def validate(self, name: str, spec: MarkerSpec) -> Iterable[str]:
        """Reject an empty text, which equals the absence of one."""
        if not spec.text.strip():
            yield "text: must not be empty"

    def observe(self, context: Context, desired: Mapping[str, MarkerSpec]) -> Mapping[str, Observed[MarkerSpec]]:
        """Read the documentation of all markers from the cached list of collections."""
        collections = context.butler.collections()
        observed = {}
        for name, spec in desired.items():
            if name not in collections:
                continue
            existing = collections[name]
            conditions: tuple[Condition, ...] = ()
            if existing.type != "RUN":
                text = f"the name is taken by a {existing.type} collection"
                conditions = (Condition(DifferenceKind.CONFLICT, text),)
            observed[name] = Observed(spec.model_copy(update={"text": existing.doc}), conditions=conditions)
        return observed

    def plan(self, change: Change[MarkerSpec]) -> Iterable[SetMarker]:
        """Write the marker if it is absent or has another text."""
        reason = "text differs" if change.exists else "no such marker"
        yield SetMarker(address=change.address, text=change.desired.text, reason=reason)

    def apply(self, context: Context, action: SetMarker) -> None:
        """Create the collection if it doesn't exist, and set its documentation; safe to repeat."""
        try:
            butler = context.butler.open(writeable=True)
            butler.collections.register(action.address.name)
            butler.registry.setCollectionDocumentation(action.address.name, action.text)
        except RuntimeError as error:
            raise ApplyError(f"{action.address} can't be written: {error}") from error

    def commands(self, action: SetMarker) -> Iterable[Command]:
        """Name the script that a facility uses."""
        yield Command("set-marker", REPO, action.address.name, action.text)


KIND = MarkerKind()
