"""TAGGED collections, whose members are the datasets of some types in some collections.

A query expression, and one list of visits, exposures or UUIDs, restrict them; both are optional and combine. Desired and present
members are compared as sets, and only missing ones are associated. Unwanted members are reported, and removed only with --prune.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_serializer

from reconciler.counts import plural
from reconciler.engine.kind import Kind, KindTraits, Links, MemberText, Requirements
from reconciler.engine.model import (
    REPO,
    Action,
    Address,
    Change,
    Command,
    Condition,
    DifferenceKind,
    InputPath,
    JsonObject,
    Made,
    Members,
    Observed,
    Spec,
)
from reconciler.errors import ObserveError, StateError
from reconciler.files import visit_list
from reconciler.files.text import read_text
from reconciler.kinds.shared.exposure_members import describe_exposure_member
from reconciler.kinds.shared.names import check_expressions, explain_unknown_type, is_coming
from reconciler.kinds.shared.python_calls import can_be_typed, registry_call, tag_calls
from reconciler.patterns import Glob
from reconciler.systems.butler.queries import with_values

if TYPE_CHECKING:
    from reconciler.systems.butler.repository import DatasetRef
    from reconciler.systems.context import Context

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class TaggedSpec(Spec):
    """A TAGGED collection; the key is its name."""

    dataset_type: str | tuple[str, ...] = Field(
        description="Dataset type of the members, or a list of several.", examples=["raw"]
    )
    sources: tuple[str, ...] = Field(
        alias="from",
        min_length=1,
        description="Collections that contain the members; may have wildcards.",
        examples=[["LSSTComCam/raw/all"]],
    )
    where: str = Field(
        "", description="Butler query expression that the members satisfy.", examples=["instrument = 'LSSTComCam'"]
    )
    instrument: str | None = Field(None, description="Instrument of the listed visits or exposures.", examples=["LSSTComCam"])
    visits: InputPath | None = Field(
        None, description="File that lists the visits of the members, one number per line.", examples=["good_visits.txt"]
    )
    exposures: InputPath | None = Field(
        None, description="File that lists the exposures of the members, one number per line.", examples=["good_exposures.txt"]
    )
    ids: InputPath | None = Field(
        None, description="File that lists the UUIDs of the members, one per line.", examples=["members.txt"]
    )
    doc: str | None = Field(None, description="Documentation of the collection.", examples=["Raws of the good visits"])

    @property
    def dataset_types(self) -> tuple[str, ...]:
        """The dataset types of the members, also if the table names a single one."""
        return (self.dataset_type,) if isinstance(self.dataset_type, str) else self.dataset_type

    @property
    def listed_dimension(self) -> str:
        """The dimension whose values a file lists: visit or exposure; empty without such a list."""
        return "visit" if self.visits else "exposure" if self.exposures else ""

    def read_numbers(self) -> list[int]:
        """Read the listed visits or exposures, each once; call it only if `listed_dimension` is not empty.

        Raises
        ------
        reconciler.errors.StateError
            If the file can't be read or a line isn't a number.
        """
        return visit_list.read(self.visits or self.exposures or "")


class AssociateMembers(Action):
    """Associate datasets (by UUID) with a TAGGED collection, which is created if it doesn't exist."""

    verb: Literal["associate"] = "associate"
    spec: TaggedSpec
    ids: tuple[str, ...]

    @field_serializer("spec")
    def _serialize_spec(self, spec: TaggedSpec) -> dict[str, Any]:
        return spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)


class DisassociateMembers(Action):
    """Remove datasets (by UUID) from a TAGGED collection; its command calls the registry in Python, as no ``butler`` command can."""

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
        _check_lists(spec)
        return ()

    def observe(self, context: Context, desired: Mapping[str, TaggedSpec]) -> Mapping[str, Observed[TaggedSpec]]:
        check_expressions(context, desired)
        for spec in desired.values():
            _check_lists(spec)
        return {name: _observe_members(context, name, spec) for name, spec in desired.items()}

    def plan(self, change: Change[TaggedSpec]) -> Iterable[TaggedAction]:
        if not change.observed.members:
            return
        (members,) = change.observed.members
        spec, existing = change.desired, change.observed.spec
        if members.missing or (existing is None and not change.observed.is_blocked):
            ids = tuple(member["id"] for member in members.missing)
            reason = "no such collection" if existing is None else f"{plural(len(ids), 'member')} missing"
            yield AssociateMembers(address=change.address, spec=spec, ids=ids, reason=reason)
        if members.unwanted and change.prune and not spec.protect:
            yield DisassociateMembers(
                address=change.address,
                dataset_types=spec.dataset_types,
                ids=tuple(member["id"] for member in members.unwanted),
                reason=plural(len(members.unwanted), "unwanted member"),
                removes=tuple(member["id"] for member in members.unwanted),
            )
        if existing is not None and spec.doc is not None and existing.doc != spec.doc:
            yield DocumentTagged(address=change.address, doc=spec.doc, reason="documentation differs")

    def apply(self, context: Context, action: TaggedAction) -> Made | None:
        from reconciler.systems.butler import write_datasets, write_definitions

        name = action.address.name
        match action:
            case AssociateMembers():
                desired, _ = _find_desired(context, action.spec)
                ids = set(action.ids)
                chosen = [ref for dataset_id, ref in desired.items() if dataset_id in ids]
                write_definitions.register_collection(context.butler, name, "TAGGED", action.spec.doc or "")
                write_datasets.associate(
                    context.butler, name, chosen, lambda done: context.report_progress("members", done, len(chosen))
                )
                return {"tags": len(chosen)}
            case DisassociateMembers():
                present = _list_present(context, name, action.dataset_types)
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


def _observe_members(context: Context, name: str, spec: TaggedSpec) -> Observed[TaggedSpec]:
    collection = context.butler.collections().get(name)
    if collection is not None and collection.type != "TAGGED":
        text = f"the name is taken by a {collection.type} collection"
        return Observed(spec, conditions=(Condition(DifferenceKind.CONFLICT, text),))
    existing = None
    if collection is not None:
        existing = spec if spec.doc is None else spec.model_copy(update={"doc": collection.doc})
        members = _compare_by_counts(context, name, spec)
        if members is not None:
            return Observed(existing, (members,))
    desired, conditions = _find_desired(context, spec)
    present = _list_present(context, name, spec.dataset_types)
    members = Members.compare(
        "members",
        {dataset_id: _to_member(ref) for dataset_id, ref in desired.items()},
        present,
        unwanted=[_to_member(ref) for dataset_id, ref in present.items() if dataset_id not in desired],
    )
    return Observed(existing, (members,), tuple(conditions))


def _compare_by_counts(context: Context, name: str, spec: TaggedSpec) -> Members | None:
    """Compare many members by their numbers; None if they have to be listed, because there is a difference or they are few.

    If as many members are desired as are present, and each one that is present is desired, they are the same. --quick leaves out
    the last count.
    """
    count = sum(context.butler.count(dataset_type, [name]) for dataset_type in spec.dataset_types)
    if context.policy.deep or not context.policy.is_large(count) or _count_desired(context, spec) != count:
        return None
    if not _have_each_listed(context, name, spec):
        return None
    if context.policy.compares_by_count(count):
        return Members.counted("members", count)
    return Members("members", count, count) if _count_from_sources(context, name, spec) == count else None


def _have_each_listed(context: Context, name: str, spec: TaggedSpec) -> bool:
    """Return True if the members of each type have exactly the listed visits or exposures, or none are listed."""
    if not spec.listed_dimension:
        return True
    for dataset_type in spec.dataset_types:
        dimension, numbers, _ = _resolve_listed(context, spec, context.butler.dataset_types()[dataset_type].dimensions)
        listed = {(spec.instrument, number) for number in numbers}
        if context.butler.data_ids(dataset_type, [name], ["instrument", dimension]) != listed:
            return False
    return True


def _count_from_sources(context: Context, name: str, spec: TaggedSpec) -> int | None:
    """Count the members that are in the sources and match the query expression; return None if they have to be listed."""
    count = 0
    for dataset_type in spec.dataset_types:
        found = context.butler.count_tagged(dataset_type, name, spec.sources, spec.where)
        if found is None:
            return None
        count += found
    return count


def _list_present(context: Context, name: str, dataset_types: Iterable[str]) -> dict[str, DatasetRef]:
    """Return the members of a collection by UUID."""
    present: dict[str, DatasetRef] = {}
    for dataset_type in dataset_types:
        present |= context.butler.members(dataset_type, [name])
    return present


def _to_member(ref: DatasetRef) -> JsonObject:
    """Return UUID, dataset type and data ID of a dataset, and its night if the exposure or visit number contains it."""
    member: dict[str, Any] = {"id": str(ref.id), "dataset_type": ref.datasetType.name, **dict(ref.dataId.required)}
    number = member.get("exposure", member.get("visit"))
    if isinstance(number, int) and 20_000_000 <= number // 100_000 <= 21_000_000:
        member["day_obs"] = number // 100_000
    return member


@contextlib.contextmanager
def _named_expression(where: str) -> Iterator[None]:
    """Name the query expression in the message of an error, since the Butler doesn't."""
    try:
        yield
    except ObserveError as error:
        raise ObserveError(f"where = {where!r}: {error}", error.hints) from error


def _find_desired(context: Context, spec: TaggedSpec) -> tuple[dict[str, DatasetRef], list[Condition]]:
    """Return the datasets that should be members by UUID, and conditions for listed ones that don't exist yet.

    Raises
    ------
    reconciler.errors.ObserveError
        If the query expression is invalid.
    """
    ids = _read_ids(spec.ids) if spec.ids else None
    refs: dict[str, DatasetRef] = {}
    conditions: list[Condition] = []
    known = context.butler.dataset_types()
    for dataset_type in spec.dataset_types:
        if dataset_type not in known:
            kind = DifferenceKind.WAITING if is_coming(context, dataset_type) else DifferenceKind.BLOCKED
            conditions.append(Condition(kind, explain_unknown_type(context, dataset_type)))
            continue
        if spec.listed_dimension:
            found, missing = _find_listed(context, spec, dataset_type)
            conditions += missing
        else:
            with _named_expression(spec.where):
                found = context.butler.members_where(dataset_type, spec.sources, spec.where)
        refs |= {str(ref.id): ref for ref in found if ids is None or str(ref.id) in ids}
    if ids is not None and len(ids) > len(refs):
        text = f"{len(ids) - len(refs):,} of {len(ids):,} listed datasets are not in {', '.join(spec.sources)}"
        conditions.append(Condition(DifferenceKind.WAITING, text))
    return refs, conditions


def _check_lists(spec: TaggedSpec) -> None:
    """Read the list of a table, which is not used before its datasets exist.

    Raises
    ------
    reconciler.errors.StateError
        If it can't be read or a line of it is wrong.
    """
    if spec.listed_dimension:
        spec.read_numbers()
    if spec.ids:
        _read_ids(spec.ids)


def _read_ids(path: str) -> set[str]:
    ids = set()
    for number, line in enumerate(read_text(Path(path)).splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if not UUID.fullmatch(text):
            raise StateError(f'{path}:{number}: "{text[:40]}" is not a UUID')
        ids.add(text.lower())
    return ids


def _count_desired(context: Context, spec: TaggedSpec) -> int | None:
    """Count the datasets that should be members; return None if they have to be listed."""
    if spec.ids or (spec.listed_dimension and spec.where):
        return None
    count = 0
    for dataset_type in spec.dataset_types:
        if spec.listed_dimension:
            definition = context.butler.dataset_types().get(dataset_type)
            if definition is None:
                return None
            dimension, numbers, undefined = _resolve_listed(context, spec, definition.dimensions)
            if undefined or dimension not in definition.dimensions:
                return None
            count += context.butler.count_in(dataset_type, spec.sources, dimension, numbers, spec.instrument or "")
        else:
            with _named_expression(spec.where):
                count += context.butler.count(dataset_type, spec.sources, spec.where)
    return count


def _find_listed(context: Context, spec: TaggedSpec, dataset_type: str) -> tuple[list[DatasetRef], list[Condition]]:
    """Return the datasets of the listed visits or exposures, and a condition for those that have none."""
    definition = context.butler.dataset_types()[dataset_type]
    dimension, numbers, undefined = _resolve_listed(context, spec, definition.dimensions)
    missing: set[Hashable] = set(undefined)
    found = context.butler.refs_in(dataset_type, spec.sources, dimension, numbers, spec.instrument or "")
    if spec.where:
        with _named_expression(spec.where):
            selected = context.butler.data_ids(dataset_type, spec.sources, definition.dimensions, spec.where)
        found = [ref for ref in found if tuple(ref.dataId[name] for name in definition.dimensions) in selected]
    else:
        missing |= set(numbers) - {ref.dataId[dimension] for ref in found}
    if not missing:
        return found, []
    listed = (
        f"1 listed {spec.listed_dimension} has" if len(missing) == 1 else f"{len(missing):,} listed {spec.listed_dimension}s have"
    )
    text = f"{listed} no {dataset_type} in {', '.join(spec.sources)} yet"
    members = tuple({dimension: number} for number in sorted(missing, key=str))
    return found, [Condition(DifferenceKind.WAITING, text, members)]


def _resolve_listed(context: Context, spec: TaggedSpec, dimensions: Collection[str]) -> tuple[str, list[int], set[int]]:
    """Return the dimension by which to query, its values, and the listed visits that are not defined.

    Visits are mapped to exposures for dataset types with exposures: on a SQLite database that was never analyzed, a query of
    raws by visit takes a hundred times as long.
    """
    numbers = sorted(set(spec.read_numbers()))
    if spec.listed_dimension != "visit" or "exposure" not in dimensions:
        return spec.listed_dimension, numbers, set()
    exposures = _find_exposures(context, spec.instrument or "")
    chosen = {exposure for visit in numbers for exposure in exposures.get(visit, ())}
    return "exposure", sorted(chosen), {visit for visit in numbers if visit not in exposures}


def _find_exposures(context: Context, instrument: str) -> Mapping[int, Sequence[int]]:
    """Return the exposures of each defined visit."""
    exposures: dict[int, list[int]] = defaultdict(list)
    for record in context.butler.records("visit_definition", instrument=instrument):
        exposures[record.visit].append(record.exposure)
    return exposures


KIND = TaggedKind()
