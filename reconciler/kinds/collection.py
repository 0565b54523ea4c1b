"""Collections that no other table makes: a RUN, TAGGED or CALIBRATION collection, perhaps with its documentation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from reconciler.engine.commands import Command
from reconciler.engine.kind import Kind, KindTraits, Links
from reconciler.engine.model import Action, Change, Condition, DifferenceKind, Observed
from reconciler.engine.spec import Spec
from reconciler.kinds.shared.python_calls import registry_call

if TYPE_CHECKING:
    from reconciler.systems.context import Context


class CollectionSpec(Spec):
    """A collection; the key is its name."""

    type: Literal["RUN", "TAGGED", "CALIBRATION"] = Field(
        description="Type of the collection; for a CHAINED collection use a chain table.", examples=["CALIBRATION"]
    )
    doc: str | None = Field(
        None,
        description="Documentation string of the collection; not compared if it is left out.",
        examples=["Nightly validation of the calibrations"],
    )


class RegisterCollection(Action):
    """Make a collection."""

    is_single_call = True

    verb: Literal["register"] = "register"
    type: Literal["RUN", "TAGGED", "CALIBRATION"]
    doc: str | None


class DocumentCollection(Action):
    """Set the documentation of a collection."""

    is_single_call = True

    verb: Literal["document"] = "document"
    doc: str


class CollectionKind(Kind[CollectionSpec, RegisterCollection | DocumentCollection]):
    """The kind of ``collection`` tables."""

    name = "collection"
    spec = CollectionSpec
    traits = KindTraits(summary="RUN, TAGGED and CALIBRATION collections.", order=60)

    def links(self, name: str, spec: CollectionSpec) -> Links:
        return Links(provides=[f"collection:{name}"])

    def observe(self, context: Context, desired: Mapping[str, CollectionSpec]) -> Mapping[str, Observed[CollectionSpec]]:
        collections = context.butler.collections()
        observed = {}
        for name, spec in desired.items():
            if name not in collections:
                continue
            existing = collections[name]
            conditions: tuple[Condition, ...] = ()
            if existing.type != spec.type:
                text = f"the name is taken by a {existing.type} collection, and the type of a collection can't be changed"
                conditions = (Condition(DifferenceKind.CONFLICT, text),)
            doc = spec.doc if spec.doc is None else existing.doc
            observed[name] = Observed(spec.model_copy(update={"type": existing.type, "doc": doc}), conditions=conditions)
        return observed

    def plan(self, change: Change[CollectionSpec]) -> Iterable[RegisterCollection | DocumentCollection]:
        desired, existing = change.desired, change.observed.spec
        if existing is None:
            yield RegisterCollection(address=change.address, type=desired.type, doc=desired.doc, reason="no such collection")
        elif existing.type == desired.type and desired.doc is not None:
            yield DocumentCollection(address=change.address, doc=desired.doc, reason="documentation differs")

    def apply(self, context: Context, action: RegisterCollection | DocumentCollection) -> None:
        from reconciler.systems.butler.write_definitions import register_collection, set_doc

        match action:
            case RegisterCollection():
                register_collection(context.butler, action.address.name, action.type, action.doc or "")
            case DocumentCollection():
                set_doc(context.butler, action.address.name, action.doc)

    def commands(self, action: RegisterCollection | DocumentCollection) -> Iterable[Command]:
        name = action.address.name
        match action:
            case RegisterCollection():
                yield registry_call(f"registerCollection({name!r}, CollectionType.{action.type}, {action.doc!r})")
            case DocumentCollection():
                yield registry_call(f"setCollectionDocumentation({name!r}, {action.doc!r})")


KIND = CollectionKind()
