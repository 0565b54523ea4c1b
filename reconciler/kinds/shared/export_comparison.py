"""What an export file holds against what the repository holds: by UUID, validity range, definition and chain."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from reconciler.engine.model import Condition, Members, Seen
from reconciler.errors import StateError
from reconciler.files import export_file
from reconciler.files.export_file import ExportFile
from reconciler.kinds.raw import split_arrived
from reconciler.kinds.shared.delivery import arrivals
from reconciler.kinds.shared.storage_check import verified

if TYPE_CHECKING:
    from reconciler.kinds.import_ import ImportSpec
    from reconciler.systems.context import Live

FIXED_ELEMENTS = ("instrument", "detector", "physical_filter", "skymap", "tract", "patch")
"""Dimensions whose records say what a thing is: two repositories that differ in them do not mean the same thing."""
EARLIEST_UNIVERSE_WITH_OBSERVATIONS = 6
"""Before this version exposures and visits were recorded otherwise, and a record can't be taken as it is."""


def compare(live: Live, desired: Mapping[str, ImportSpec]) -> Mapping[str, Seen[ImportSpec]]:
    """Compare export files with the repository: counts first, members where those differ.

    Parameters
    ----------
    live : `reconciler.systems.context.Live`
        The live systems.
    desired : mapping
        Specs by name; the files share one query for each dataset type.

    Returns
    -------
    seen : mapping
        What is there of each, by name.

    Raises
    ------
    reconciler.errors.StateError
        If a file was written with a dimension universe that the repository does not have.
    """
    contents = {name: export_file.read(spec.export_file) for name, spec in desired.items()}
    for name, content in contents.items():
        _check_universe(live, desired[name], content)
    runs: dict[str, set[str]] = defaultdict(set)
    calibs: dict[str, set[str]] = defaultdict(set)
    for content in contents.values():
        for dataset in content.datasets.values():
            runs[dataset.dataset_type].add(dataset.run)
        for collection, _, id in content.certifications:
            calibs[content.datasets[id].dataset_type].add(collection)
    counts = Counter(d.dataset_type for content in contents.values() for d in content.datasets.values())
    there = {t: _there(live, t, sorted(names), counts[t]) for t, names in sorted(runs.items())}
    certified = {c for t, names in sorted(calibs.items()) for c in live.butler.certifications([t], sorted(names))}
    seen = {name: _see(live, spec, contents[name], there, certified) for name, spec in desired.items()}
    if None in there.values() and any(part.missing for found in seen.values() for part in found.members):
        # What lacks a certification or a tag may lack the dataset too, under a count that agrees.
        there = {t: live.butler.members(t, sorted(names)) for t, names in sorted(runs.items())}
        seen = {name: _see(live, spec, contents[name], there, certified) for name, spec in desired.items()}
    return seen


def _check_universe(live: Live, spec: ImportSpec, content: ExportFile) -> None:
    """Refuse what the Butler itself would take without complaint and then hold wrongly."""
    universe = live.butler.universe()
    namespace, version = content.universe_namespace, content.universe_version
    if namespace != (universe.namespace if universe else export_file.NAMESPACE):
        raise StateError(f'{spec.export_file}: written with the dimension universe "{namespace}", which is not the repository\'s')
    newest = universe.version if universe else version
    if not 1 <= version <= newest:
        raise StateError(
            f"{spec.export_file}: written with version {version} of the dimension universe; the repository has {newest}",
            ("export it anew from a repository of the same or an earlier version",),
        )
    if version < EARLIEST_UNIVERSE_WITH_OBSERVATIONS and {"exposure", "visit"} & set(content.dimensions):
        raise StateError(
            f"{spec.export_file}: holds exposures or visits as version {version} of the dimension universe wrote them",
            ("export it anew with a current stack",),
        )


def _see(
    live: Live,
    spec: ImportSpec,
    content: ExportFile,
    there: Mapping[str, Mapping[str, Any] | None],
    certified: set[Any],
) -> Seen[ImportSpec]:
    """Compare one export file with the repository."""
    from reconciler.systems.butler.export_values import nanoseconds

    collections, types = live.butler.collections(), live.butler.dataset_types()
    conditions: list[Condition] = []
    plain = {name: c for name, c in content.collections.items() if c.type != "CHAINED"}
    for name, c in content.collections.items():
        if name in collections and collections[name].type != c.type:
            conditions.append(
                Condition("conflict", f"{name} is a {collections[name].type} collection here, {c.type} in the file")
            )
    for name, definition in content.dataset_types.items():
        if name in types:
            same = (
                types[name].dimensions == live.butler.required(definition.dimensions)
                and types[name].storage_class == definition.storage_class
                and types[name].is_calibration == definition.is_calibration
            )
            if not same:
                conditions.append(Condition("conflict", f"dataset type {name} is defined otherwise here than in the file"))
    datasets, conflicts = _datasets(content, spec, there)
    if conflicts:
        text = f"{len(conflicts):,} data IDs are there under another UUID; is it another version of the export?"
        conditions.append(Condition("conflict", text, tuple(conflicts)))
    come = arrivals(live, spec.delivered_by if datasets.missing else (), [facts["path"] for facts in datasets.missing])
    datasets = split_arrived(datasets, come)
    if come.condition is not None and datasets.awaited:
        conditions.append(come.condition)
    ranges: dict[Hashable, dict[str, Any]] = {}
    for collection, span, id in content.certifications:
        begin, end = nanoseconds(span.begin, span.end)
        dataset_type = content.datasets[id].dataset_type
        ranges[collection, dataset_type, id, begin, end] = {
            "collection": collection, "dataset_type": dataset_type, "id": id, "begin": begin, "end": end,
        }  # fmt: skip
    certifications = Members.compare("certifications", ranges, {tuple(c) for c in certified})
    in_tags = {(t, id) for t, id in content.tags if id in live.butler.members(content.datasets[id].dataset_type, [t])}
    tags = Members.compare("tags", {(t, id): {"collection": t, "id": id} for t, id in content.tags}, in_tags)
    chains = {n: c for n, c in content.collections.items() if c.type == "CHAINED" and f"collection:{n}" not in live.owners}
    differing = [
        {"collection": n, "there": list(collections[n].children), "in_file": list(c.children)}
        for n, c in chains.items()
        if n in collections and collections[n].children != c.children
    ]
    members = (
        datasets,
        certifications,
        Members.compare("collections", {n: {"collection": n, "type": c.type} for n, c in plain.items()}, collections),
        Members.compare("chains", {n: {"collection": n} for n in chains}, collections, changed=differing),
        Members.compare("dataset types", {n: {"name": n} for n in content.dataset_types}, types),
        tags,
    )
    conditions += _records(live, content)
    if spec.verify != "none":
        refs = _refs(live, content)
        conditions += verified(live, spec.verify, [refs], len(refs))
    untouched = not datasets.present and not certifications.present and not members[2].present
    return Seen(None if untouched and content.datasets else spec, members, tuple(conditions), {"untouched": untouched})


def _refs(live: Live, content: ExportFile) -> list[Any]:
    """List those datasets of an export file that are there."""
    runs: dict[str, set[str]] = defaultdict(set)
    for dataset in content.datasets.values():
        runs[dataset.dataset_type].add(dataset.run)
    there = {id: ref for t, names in runs.items() for id, ref in live.butler.members(t, sorted(names)).items()}
    return [there[id] for id in content.datasets if id in there]


def _there(live: Live, dataset_type: str, runs: list[str], wanted: int) -> Mapping[str, Any] | None:
    """List the datasets of a type; `None` where there are as many as all export files together want, and nobody looked which."""
    if live.counts(wanted) and live.butler.count(dataset_type, runs) == wanted:
        return None
    return live.butler.members(dataset_type, runs)


def _datasets(
    content: ExportFile, spec: ImportSpec, there: Mapping[str, Mapping[str, Any] | None]
) -> tuple[Members, list[dict[str, Any]]]:
    """Compare datasets by UUID, and find data IDs that another UUID has taken."""
    counted = {dataset_type for dataset_type, refs in there.items() if refs is None}
    if all(dataset.dataset_type in counted for dataset in content.datasets.values()) and counted:
        return Members.counted("datasets", len(content.datasets)), []
    taken: dict[Hashable, str] = {}
    for dataset_type, refs in there.items():
        for id, ref in (refs or {}).items():
            taken[dataset_type, ref.run, frozenset(ref.dataId.required.items())] = id
    wanted: dict[Hashable, dict[str, Any]] = {}
    conflicts = []
    for id, dataset in content.datasets.items():
        facts = {"id": id, "dataset_type": dataset.dataset_type, "run": dataset.run, **dataset.data_id}
        other = taken.get((dataset.dataset_type, dataset.run, frozenset(dataset.data_id.items())))
        if other is not None and other != id:
            conflicts.append({**facts, "there": other})
        wanted[id] = {**facts, "path": spec.path(dataset.path)}
    present = {id for refs in there.values() for id in refs or ()}
    present |= {id for id, dataset in content.datasets.items() if dataset.dataset_type in counted}
    members = Members.compare("datasets", wanted, present)
    return dataclasses.replace(members, compared="count" if counted else "members"), conflicts


def _records(live: Live, content: ExportFile) -> list[Condition]:
    """Find records that the Butler would silently keep though the file says otherwise."""
    from reconciler.systems.butler.export_values import record_values

    differing: list[dict[str, Any]] = []
    for element, rows in content.dimensions.items():
        if element not in FIXED_ELEMENTS:
            continue
        here = {frozenset(r.dataId.required.items()): r for r in live.butler.records(element)}
        for row in rows if here else ():
            record = live.butler.make_record(element, record_values(row))
            there = here.get(frozenset(record.dataId.required.items()))
            if there is not None and there != record:
                differing.append({"element": element, **dict(record.dataId.required)})
    if not differing:
        return []
    names = ", ".join(sorted({facts["element"] for facts in differing}))
    return [
        Condition(
            "unwell", f"{len(differing):,} records of {names} differ from the file's; the repository's are kept", tuple(differing)
        )
    ]
