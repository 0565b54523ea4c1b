"""Compare the members of a TAGGED collection with those that its table selects: by counts that prove it, or one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from reconciler.counts import plural
from reconciler.engine.model import Condition, DifferenceKind, JsonObject, Members, Observed
from reconciler.kinds.shared.taken_names import find_taken_name
from reconciler.kinds.tagged.selection import count_desired, count_of_all_detectors, find_desired, resolve_listed
from reconciler.kinds.tagged.spec import TaggedSpec

if TYPE_CHECKING:
    from reconciler.systems.butler.repository import DatasetRef
    from reconciler.systems.context import Context


def observe_members(context: Context, name: str, spec: TaggedSpec) -> Observed[TaggedSpec]:
    """Compare the members of a TAGGED collection with those that its table selects."""
    collection = context.butler.collections().get(name)
    if taken := find_taken_name(context, name, "TAGGED"):
        return Observed(spec, conditions=taken, taken=True)
    existing = None
    if collection is not None:
        existing = spec if spec.doc is None else spec.model_copy(update={"doc": collection.doc})
        members = _compare_by_counts(context, name, spec)
        if members is not None:
            return Observed(existing, (members,))
    desired, conditions = find_desired(context, spec)
    present = list_present(context, name, spec.dataset_types)
    members = Members.compare(
        "members",
        {dataset_id: _to_member(ref) for dataset_id, ref in desired.items()},
        present,
        unwanted=[_to_member(ref) for dataset_id, ref in present.items() if dataset_id not in desired],
    )
    return Observed(existing, (members,), (*conditions, *_report_taken(members)))


def identify(member: JsonObject) -> frozenset[tuple[str, Any]]:
    """Return what only one member of a TAGGED collection can have: its dataset type and data ID."""
    return frozenset((key, value) for key, value in member.items() if key not in ("id", "day_obs"))


def _report_taken(members: Members) -> Iterator[Condition]:
    """Report missing members in whose place another dataset with their data ID is, which --prune removes."""
    taken = {identify(member) for member in members.unwanted}
    waiting = tuple(member for member in members.missing if identify(member) in taken) if taken else ()
    if waiting:
        text = f"{plural(len(waiting), 'member')} can't be added while another dataset with the same data ID is one"
        yield Condition(DifferenceKind.DEGRADED, text, waiting, "members", listed=False)


def _compare_by_counts(context: Context, name: str, spec: TaggedSpec) -> Members | None:
    """Compare many members by their numbers; None if they have to be listed, because there is a difference or they are few.

    If as many members are desired as are present, and each one that is present is desired, they are the same. --quick leaves out
    the last count.
    """
    count = sum(context.butler.count(dataset_type, [name]) for dataset_type in spec.dataset_types)
    if context.policy.deep or not context.policy.is_large(count):
        return None
    if context.policy.compares_by_count(count):
        agree = count_desired(context, spec) == count and _have_each_listed(context, name, spec)
        return Members.counted("members", count) if agree else None
    if count_of_all_detectors(context, spec) != count and count_desired(context, spec) != count:
        return None
    agree = _have_each_listed(context, name, spec) and _count_from_sources(context, name, spec) == count
    return Members("members", count, count) if agree else None


def _have_each_listed(context: Context, name: str, spec: TaggedSpec) -> bool:
    """Return True if the members of each type have exactly the listed visits or exposures, or none are listed."""
    if not spec.listed_dimension:
        return True
    for dataset_type in spec.dataset_types:
        dimension, numbers, _ = resolve_listed(context, spec, context.butler.dataset_types()[dataset_type].dimensions)
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


def list_present(context: Context, name: str, dataset_types: Iterable[str]) -> dict[str, DatasetRef]:
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
