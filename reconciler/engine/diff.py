"""What differs between what is wanted and what was seen. The only module that knows DeepDiff.

Two canonical documents are compared, one section for each resource; sections that are equal are left out first, since DeepDiff
takes a hundred times as long as ``==``. Members of bulk resources are sets and come as such, already subtracted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.engine.model import Difference, Id, Seen, Spec

META = {"manage", "protect", "requires", "note"}
"""Keys that say how a resource is treated, not what it is."""


def diff(desired: Mapping[Id, Spec], seen: Mapping[Id, Seen[Any]]) -> dict[Id, tuple[Difference, ...]]:
    """Compare what is wanted with what was seen.

    Parameters
    ----------
    desired : mapping
        Specs by address.
    seen : mapping
        What was seen, by address; addresses not in it were not looked at.

    Returns
    -------
    differences : `dict`
        For each address that was looked at; empty where it is as wanted.
    """
    found: dict[Id, list[Difference]] = {id: [] for id in desired if id in seen}
    wanted_documents: dict[str, dict[str, Any]] = {}
    seen_documents: dict[str, dict[str, Any]] = {}
    addresses: dict[str, Id] = {}
    for id, differences in found.items():
        spec = seen[id].spec
        if spec is None:
            differences.append(Difference(id, None, sort="make", detail=_absent(seen[id])))
            continue
        if spec == desired[id]:
            continue
        wanted, there = canonical(desired[id]), canonical(spec)
        if wanted != there:
            addresses[str(id)] = id
            wanted_documents[str(id)], seen_documents[str(id)] = wanted, there
    for address, name in _changed_fields(seen_documents, wanted_documents):
        id = addresses[address]
        observed, desired_value = seen_documents[address].get(name), wanted_documents[address].get(name)
        found[id].append(Difference(id, name, observed, desired_value))
    for id, differences in found.items():
        differences += _members(id, seen[id])
        for condition in seen[id].conditions:
            detail = condition.text
            differences.append(Difference(id, condition.field, detail=detail, sort=condition.sort, members=condition.members))
    return {id: tuple(differences) for id, differences in found.items()}


def canonical(spec: Spec) -> dict[str, Any]:
    """Write a spec as a plain document.

    Parameters
    ----------
    spec : `reconciler.engine.model.Spec`
        Wanted or seen.

    Returns
    -------
    document : `dict`
        JSON values, named as in the state file.
    """
    return spec.model_dump(mode="json", by_alias=True, exclude=META)


def _absent(seen: Seen[Any]) -> str:
    return next((condition.text for condition in seen.conditions if condition.sort == "later"), "")


def _changed_fields(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not wanted:
        return []
    from deepdiff import DeepDiff

    # threshold_to_diff_deeper: without it a section that has little in common is reported as one change at its root.
    result = DeepDiff(there, wanted, view="tree", ignore_private_variables=False, threshold_to_diff_deeper=0)
    fields: dict[tuple[str, str], None] = {}
    for changes in result.values():
        for change in changes:
            path = change.path(output_format="list")
            fields[str(path[0]), str(path[1])] = None
    return list(fields)


def _members(id: Id, seen: Seen[Any]) -> list[Difference]:
    found = []
    for members in seen.members:
        if members.missing:
            found.append(Difference(id, members.field, members.present, members.wanted, "missing", "make", members.missing))
        if members.awaited:
            found.append(Difference(id, members.field, members.present, members.wanted, "awaited", "waiting", members.awaited))
        if members.changed:
            found.append(Difference(id, members.field, None, None, "there in another way", "blocked", members.changed))
        unwanted = tuple(facts for facts in members.extra if not facts.get("kept"))
        kept = tuple(facts for facts in members.extra if facts.get("kept"))
        if unwanted:
            found.append(Difference(id, members.field, None, None, "not wanted", "remove", unwanted))
        if kept:
            found.append(Difference(id, members.field, None, None, "not wanted; never removed by this tool", "unwell", kept))
    return found
