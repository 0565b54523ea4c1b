"""Compare the desired with the observed state. The only module that imports DeepDiff.

Two canonical documents are compared, with one section for each resource; equal sections are left out first, since DeepDiff takes
a hundred times as long as ``==``. Members of bulk resources are sets, and arrive here already subtracted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.engine.model import Address, Difference, DifferenceKind, Observed
from reconciler.engine.spec import Spec

META = {"manage", "protect", "requires", "note", "new_after", "deadline"}
"""Keys for how a resource is treated, not what it is."""


def diff(desired: Mapping[Address, Spec], observed: Mapping[Address, Observed[Any]]) -> dict[Address, tuple[Difference, ...]]:
    """Return the differences of each desired address that was observed: an empty tuple where it is as desired."""
    changed = _find_changed_fields(desired, observed)
    found: dict[Address, tuple[Difference, ...]] = {}
    for address in desired:
        if address not in observed:
            continue
        its = observed[address]
        absent = [Difference(address, None, kind=DifferenceKind.MAKE, detail=_absence(its))] if its.spec is None else []
        conditions = [
            Difference(address, c.field, detail=c.text, kind=c.kind, members=c.members, listed=c.listed, lacking=c.lacking)
            for c in its.conditions
        ]
        found[address] = (*absent, *changed.get(address, ()), *_compare_members(address, its), *conditions)
    return found


def canonical(spec: Spec) -> dict[str, Any]:
    """Return what a spec defines as JSON values, named as in the state file; the keys that all kinds have are left out."""
    return spec.model_dump(mode="json", by_alias=True, exclude=META)


def _absence(observed: Observed[Any]) -> str:
    return next((condition.text for condition in observed.conditions if condition.kind is DifferenceKind.LATER), "")


def _find_changed_fields(
    desired: Mapping[Address, Spec], observed: Mapping[Address, Observed[Any]]
) -> dict[Address, list[Difference]]:
    before: dict[str, dict[str, Any]] = {}
    after: dict[str, dict[str, Any]] = {}
    addresses: dict[str, Address] = {}
    for address, spec in desired.items():
        existing = observed[address].spec if address in observed else None
        desired_spec = observed[address].resolved or spec if address in observed else spec
        if existing is None or existing == desired_spec:
            continue
        documents = canonical(existing), canonical(desired_spec)
        if documents[0] != documents[1]:
            addresses[str(address)] = address
            before[str(address)], after[str(address)] = documents
    found: dict[Address, list[Difference]] = {}
    for text, name in _changed_paths(before, after):
        difference = Difference(addresses[text], name, before[text].get(name), after[text].get(name))
        found.setdefault(addresses[text], []).append(difference)
    return found


def _changed_paths(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the address and the key of each change."""
    if not after:
        return []
    from deepdiff import DeepDiff

    # threshold_to_diff_deeper: without it a section that has little in common is reported as one change at its root.
    result = DeepDiff(before, after, view="tree", ignore_private_variables=False, threshold_to_diff_deeper=0)
    fields: dict[tuple[str, str], None] = {}
    for changes in result.values():
        for change in changes:
            path = change.path(output_format="list")
            fields[str(path[0]), str(path[1])] = None
    return list(fields)


def _compare_members(address: Address, observed: Observed[Any]) -> Iterator[Difference]:
    for part in observed.members:
        counts = (address, part.field, part.present, part.desired)
        if part.missing:
            yield Difference(*counts, "missing", DifferenceKind.MAKE, part.missing)
        if part.awaited:
            yield Difference(*counts, "not delivered yet", DifferenceKind.WAITING, part.awaited, awaited=True)
        if part.changed:
            text = "present with different properties (never overwritten)"
            yield Difference(address, part.field, None, None, text, DifferenceKind.BLOCKED, part.changed, uncounted=True)
        if part.unwanted:
            yield Difference(address, part.field, None, None, "unwanted", DifferenceKind.REMOVE, part.unwanted, uncounted=True)
        if part.unmanaged:
            text = "not in the state; reconcile never removes them"
            yield Difference(address, part.field, None, None, text, DifferenceKind.DEGRADED, part.unmanaged, uncounted=True)
