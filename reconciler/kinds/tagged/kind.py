"""The kind of ``tagged`` tables, and its actions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import field_serializer

from reconciler.counts import plural
from reconciler.engine.commands import REPO, Command
from reconciler.engine.kind import Kind, KindTraits, Links, MemberText, Requirements
from reconciler.engine.model import Action, Address, Change, JsonObject, Made, Observed
from reconciler.engine.spec import Spec
from reconciler.kinds.shared.exposure_members import describe_exposure_member
from reconciler.kinds.shared.names import check_expressions
from reconciler.kinds.shared.python_calls import can_be_typed, registry_call, tag_calls
from reconciler.kinds.tagged.comparison import identify, list_present, observe_members
from reconciler.kinds.tagged.selection import find_desired
from reconciler.kinds.tagged.spec import TaggedSpec
from reconciler.patterns import Glob
from reconciler.systems.butler.queries import with_values

if TYPE_CHECKING:
    from reconciler.systems.context import Context


class AssociateMembers(Action):
    """Associate datasets (by UUID) with a TAGGED collection, which is created if it doesn't exist."""

    verb: Literal["associate"] = "associate"
    spec: TaggedSpec
    ids: tuple[str, ...]

    @field_serializer("spec")
    def _serialize_spec(self, spec: TaggedSpec) -> dict[str, Any]:
        return spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)


class DisassociateMembers(Action):
    """Remove datasets (by UUID) from a TAGGED collection; its command is Python, as no ``butler`` command does this."""

    verb: Literal["disassociate"] = "disassociate"
    dataset_types: tuple[str, ...]
    ids: tuple[str, ...]


class DocumentTagged(Action):
    """Set the documentation of a TAGGED collection."""

    verb: Literal["document"] = "document"
    doc: str


TaggedAction = AssociateMembers | DisassociateMembers | DocumentTagged


class TaggedKind(Kind[TaggedSpec, TaggedAction]):
    """The kind of ``tagged`` tables.

    Dataset types are no links: `observe` reports one that doesn't exist, or waits for one that another table defines.
    """

    name = "tagged"
    spec = TaggedSpec
    traits = KindTraits(summary="TAGGED collections with their members.", order=70, depends_on_content=True)

    def links(self, name: str, spec: TaggedSpec) -> Links:
        instruments = [f"instrument:{spec.instrument}"] if spec.instrument else []
        return Links(
            provides=[f"collection:{name}"],
            needs=[*(Glob(f"collection:{source}") for source in spec.sources), *instruments],
            after=[f"visits:{spec.instrument}"] if spec.visits else [],
        )

    def requirements(self, spec: TaggedSpec) -> Requirements:
        return Requirements(input_files=[path for path in (spec.visits, spec.exposures, spec.ids) if path])

    def validate(self, name: str, spec: TaggedSpec) -> Iterable[str]:
        if not spec.dataset_types:
            yield "dataset_type: names no dataset type"
        if len(set(spec.dataset_types)) < len(spec.dataset_types):
            yield "dataset_type: names a dataset type twice"
        lists = [field for field in ("visits", "exposures", "ids") if getattr(spec, field)]
        if len(lists) > 1:
            yield f"{' and '.join(lists)}: set only one of them"
        if spec.listed_dimension and not spec.instrument:
            yield f'{lists[0]}: needs "instrument" too'

    def check_inputs(self, spec: TaggedSpec, resources: Mapping[Address, Spec]) -> Iterable[str]:
        spec.check_list()
        return ()

    def observe(self, context: Context, desired: Mapping[str, TaggedSpec]) -> Mapping[str, Observed[TaggedSpec]]:
        check_expressions(context, desired)
        for spec in desired.values():
            spec.check_list()
        return {name: observe_members(context, name, spec) for name, spec in desired.items()}

    def plan(self, change: Change[TaggedSpec]) -> Iterable[TaggedAction]:
        if not change.observed.members:
            return
        (members,) = change.observed.members
        spec, existing = change.desired, change.observed.spec
        removed = members.unwanted if change.prune and not spec.protect else ()
        if removed:  # first, because a collection has one dataset of each data ID
            yield DisassociateMembers(
                address=change.address,
                dataset_types=spec.dataset_types,
                ids=tuple(member["id"] for member in removed),
                reason=plural(len(removed), "unwanted member"),
                removes=tuple(member["id"] for member in removed),
            )
        taken = {identify(member) for member in members.unwanted} if not removed else set()
        ids = tuple(member["id"] for member in members.missing if identify(member) not in taken)
        if ids or (existing is None and not change.observed.is_blocked):
            reason = "no such collection" if existing is None else f"{plural(len(ids), 'member')} missing"
            yield AssociateMembers(address=change.address, spec=spec, ids=ids, reason=reason)
        if existing is not None and spec.doc is not None and existing.doc != spec.doc:
            yield DocumentTagged(address=change.address, doc=spec.doc, reason="documentation differs")

    def apply(self, context: Context, action: TaggedAction) -> Made | None:
        from reconciler.systems.butler import write_datasets, write_definitions

        name = action.address.name
        match action:
            case AssociateMembers():
                desired, _ = find_desired(context, action.spec)
                ids = set(action.ids)
                chosen = [ref for dataset_id, ref in desired.items() if dataset_id in ids]
                write_definitions.register_collection(context.butler, name, "TAGGED", action.spec.doc or "")
                write_datasets.associate(
                    context.butler, name, chosen, lambda done: context.report_progress("members", done, len(chosen))
                )
                return {"tags": len(chosen)}
            case DisassociateMembers():
                present = list_present(context, name, action.dataset_types)
                ids = set(action.ids)
                chosen = [ref for dataset_id, ref in present.items() if dataset_id in ids]
                write_datasets.disassociate(context.butler, name, chosen)
                return {"tags removed": len(chosen)}
            case DocumentTagged():
                write_definitions.set_doc(context.butler, name, action.doc)
                return None

    def commands(self, action: TaggedAction) -> Iterable[Command]:
        name = action.address.name
        match action:
            case DocumentTagged():
                yield registry_call(f"setCollectionDocumentation({name!r}, {action.doc!r})")
            case DisassociateMembers():
                yield from tag_calls("disassociate", name, action.ids)
            case AssociateMembers():
                yield from _associate_commands(name, action)

    def describe(self, member: JsonObject) -> MemberText:
        if not {"exposure", "detector"} <= member.keys():
            return super().describe(member)
        text = describe_exposure_member(member)
        dataset_type = member.get("dataset_type", "raw")
        return text if dataset_type == "raw" else dataclasses.replace(text, group=f"{text.group}  {dataset_type}")


def _associate_commands(name: str, action: AssociateMembers) -> Iterable[Command]:
    """Yield the ``butler associate`` that selects as the table does; what it can't select is associated by UUID."""
    spec = action.spec
    if spec.ids or not can_be_typed([name, *spec.sources]):
        yield registry_call(f"registerCollection({name!r}, CollectionType.TAGGED, {spec.doc!r})")
        yield from tag_calls("associate", name, action.ids)
        return
    dataset_types = [word for dataset_type in spec.dataset_types for word in ("--dataset-type", dataset_type)]
    where = spec.where
    if spec.listed_dimension:
        where = with_values(spec.instrument or "", spec.listed_dimension, spec.read_numbers(), where)
    clause = ["--where", where] if where else []
    sources = ",".join(spec.sources)
    yield Command("butler", "associate", REPO, name, *dataset_types, "--collections", sources, *clause, "--limit", "0")
    if spec.doc:
        yield registry_call(f"setCollectionDocumentation({name!r}, {spec.doc!r})")
