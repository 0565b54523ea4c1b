"""Compare export files with the repository: by UUID, validity range, definition and chain.

Datasets are listed by type, except where a proof shows that those of all files are as when they were listed.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.engine.journal import digest
from reconciler.engine.model import Address, Comparison, Condition, DifferenceKind, JsonObject, Members
from reconciler.engine.proof import find_earliest_listing
from reconciler.files import export_file
from reconciler.files.export_file import ExportFile
from reconciler.kinds.shared.data_id_check import split_resolvable
from reconciler.kinds.shared.datastore_records import compare_paths
from reconciler.kinds.shared.delivery import split_delivered
from reconciler.kinds.shared.export_definitions import check_universe, find_definition_conflicts, find_record_differences
from reconciler.kinds.shared.proven_datasets import ProvenDatasets, digest_inputs
from reconciler.kinds.shared.storage_check import check_stored_files

if TYPE_CHECKING:
    from reconciler.systems.butler.datasets import Certification
    from reconciler.systems.butler.repository import DatasetRef
    from reconciler.systems.context import Context

Existing = Mapping[str, "Mapping[str, DatasetRef] | Known"]
"""The datasets of each dataset type by UUID, or how else it is known that all desired ones are present."""

Paths = Mapping[str, Mapping[str, "str | None"]]
"""The path of each dataset by UUID, None without a record, by dataset type; of the types whose records are compared."""


@dataclass(frozen=True)
class Known:
    """How it is known that all desired datasets of a type are present, without a list of them.

    Parameters
    ----------
    compared : `Comparison`
        By their number, or by a proof.
    listed : `datetime.datetime` or `None`
        That of the proof; see `reconciler.engine.proof.Proof`.
    """

    compared: Comparison
    listed: datetime.datetime | None = None


@dataclass(frozen=True)
class ExportSource:
    """An export file and its datasets at this facility.

    Parameters
    ----------
    path : `str`
        The export file.
    locate : `Callable`
        Returns where a file is at this facility, given its path in the export file.
    delivered_by : `tuple` [`str`, ...]
        Patterns of the Rucio datasets that deliver the files.
    verify : `str`
        Which files to check on storage, as in `VERIFY`.
    table_digest : `str`
        Digest of its table in the state file.
    """

    path: str
    locate: Callable[[str], str]
    delivered_by: tuple[str, ...] = ()
    verify: str = "none"
    table_digest: str = ""


@dataclass(frozen=True)
class ExportParts:
    """The parts of an export file, compared with the repository; ``chains`` has none that another table of the state defines.

    ``records`` are the dimension records of a file without datasets; otherwise they come with the datasets, and are not compared.
    """

    datasets: Members
    certifications: Members
    collections: Members
    chains: Members
    dataset_types: Members
    tags: Members
    records: Members
    conditions: tuple[Condition, ...] = ()

    @classmethod
    def from_members(cls, members: Iterable[Members]) -> ExportParts:
        """Return the parts without conditions, given the members of an observed resource; dimension records may be absent."""
        parts = {part.field: part for part in members}
        return cls(
            parts["datasets"],
            parts["certifications"],
            parts["collections"],
            parts["chains"],
            parts["dataset types"],
            parts["tags"],
            parts.get("dimension records", Members("dimension records", 0, 0)),
        )

    @property
    def members(self) -> tuple[Members, ...]:
        """The parts, in the order in which reports show them."""
        definitions = self.collections, self.chains, self.dataset_types
        records = (self.records,) if self.records.desired else ()
        return self.datasets, self.certifications, *definitions, self.tags, *records

    @property
    def exists(self) -> bool:
        """Whether a part of the content is in the repository, as distinct from its definitions, which other files may have too.

        The content is the datasets with their certifications and tags. A file without datasets exists with its first definition,
        and an empty one always.
        """
        content = (self.datasets, self.certifications, self.tags)
        parts = content if self.datasets.desired else self.members
        return any(part.present for part in parts) or not any(part.desired for part in parts)

    @property
    def untouched(self) -> bool:
        """Whether no dataset, certification or collection of the export file, other than a chain, is in the repository."""
        return not (self.datasets.present or self.certifications.present or self.collections.present)


def compare_exports(context: Context, sources: Mapping[str, ExportSource]) -> dict[str, ExportParts]:
    """Compare export files with the repository, each under the same name as its source.

    They share one query for each dataset type. If all datasets of a type were listed and are there, a proof of that is recorded
    where `ProvenDatasets.record` keeps one.
    Of sources with ``delivered_by``, Rucio is asked for the files that it has delivered; of those with ``verify``, files are
    checked on storage.

    Raises
    ------
    reconciler.errors.ObserveError
        If the repository, Rucio or the storage can't be queried.
    reconciler.errors.StateError
        If a file can't be read, or `check_universe` refuses it; or if files are to be checked on Parsl, and that isn't installed
        or configured.
    """
    contents = {name: export_file.read(source.path) for name, source in sources.items()}
    for name, content in contents.items():
        check_universe(context, sources[name].path, content)
    runs: dict[str, set[str]] = defaultdict(set)
    calibrations: dict[str, set[str]] = defaultdict(set)
    for content in contents.values():
        for dataset in content.datasets.values():
            runs[dataset.dataset_type].add(dataset.run)
        for collection, _, dataset_id in content.certifications:
            calibrations[content.datasets[dataset_id].dataset_type].add(collection)
    pools = {t: _prepare_pool(context, t, sorted(runs[t]), sources, contents) for t in sorted(runs)}
    existing: Existing = {t: pool.list_unless_known() for t, pool in pools.items()}
    paths = _list_paths(context, pools, existing)
    certified = {
        certification
        for dataset_type, names in sorted(calibrations.items())
        for certification in context.butler.certifications([dataset_type], sorted(names))
    }
    compared = {n: _compare(context, source, contents[n], existing, certified, paths) for n, source in sources.items()}
    if any(isinstance(found, Known) for found in existing.values()) and any(
        part.missing for parts in compared.values() for part in parts.members
    ):
        # What lacks a certification or a tag may lack the dataset too, under a count that agrees.
        existing = {t: context.butler.members(t, sorted(runs[t])) for t in sorted(runs)}
        compared = {n: _compare(context, source, contents[n], existing, certified, paths) for n, source in sources.items()}
    for dataset_type, pool in pools.items():
        found = existing[dataset_type]
        if not isinstance(found, Known) and pool.desired <= found.keys():
            pool.datasets.record(len(pool.desired), len(found))
    return compared


@dataclass(frozen=True)
class _Pool:
    """The datasets of one type in the RUN collections of all export files that contain that type."""

    context: Context
    desired: frozenset[str]
    datasets: ProvenDatasets

    def list_unless_known(self) -> Mapping[str, DatasetRef] | Known:
        """List the datasets, or return how else it is known that they are the desired ones."""
        dataset_type, runs, count = self.datasets.dataset_type, self.datasets.runs, len(self.desired)
        if self.context.policy.compares_by_count(count) and self.context.butler.count(dataset_type, runs) == count:
            return Known(Comparison.COUNT)
        if proof := self.datasets.find_proof(count):
            return Known(Comparison.PROOF, proof.listed)
        return self.context.butler.members(dataset_type, runs)


def _prepare_pool(
    context: Context, dataset_type: str, runs: list[str], sources: Mapping[str, ExportSource], contents: Mapping[str, ExportFile]
) -> _Pool:
    ids = {
        name: {dataset_id for dataset_id, dataset in content.datasets.items() if dataset.dataset_type == dataset_type}
        for name, content in contents.items()
    }
    names = [name for name in sorted(ids) if ids[name]]
    specs = digest([[name, sources[name].table_digest] for name in names])
    inputs = digest_inputs([sources[name].path for name in names])
    address = f"{dataset_type} of {', '.join(str(Address('import', name)) for name in names)}"
    datasets = ProvenDatasets.prepare(context, address, specs, inputs, dataset_type, runs)
    return _Pool(context, frozenset[str]().union(*ids.values()), datasets)


def _compare(
    context: Context,
    source: ExportSource,
    content: ExportFile,
    existing: Existing,
    certified: set[Certification],
    paths: Paths,
) -> ExportParts:
    """Compare one export file with the repository."""
    datasets, conflicts = _compare_datasets(context, content, source, existing, paths)
    datasets, unknown = split_resolvable(context, datasets, source.path)
    datasets, waiting = split_delivered(context, source.delivered_by, datasets)
    collections, dataset_types = context.butler.collections(), context.butler.dataset_types()
    plain: dict[Hashable, JsonObject] = {
        name: {"collection": name, "type": c.type} for name, c in content.collections.items() if c.type != "CHAINED"
    }
    conditions = (
        *find_definition_conflicts(context, content),
        *conflicts,
        *unknown,
        *waiting,
        *_find_early_chains(context, content),
        *find_record_differences(context, content),
        *_check_storage(context, source, content),
    )
    return ExportParts(
        datasets,
        _compare_certifications(content, certified),
        Members.compare("collections", plain, collections),
        _compare_chains(context, content),
        Members.compare("dataset types", {name: {"name": name} for name in content.dataset_types}, dataset_types),
        _compare_tags(context, content),
        _compare_records(context, content),
        conditions,
    )


def _compare_datasets(
    context: Context, content: ExportFile, source: ExportSource, existing: Existing, paths: Paths
) -> tuple[Members, tuple[Condition, ...]]:
    """Compare datasets by UUID, and find data IDs that belong to another UUID."""
    refs = {t: found for t, found in existing.items() if not isinstance(found, Known)}
    types = {dataset.dataset_type for dataset in content.datasets.values()}
    known = {t: found for t, found in existing.items() if isinstance(found, Known) and t in types}
    compared, listed = _summarize_known(known.values())
    if known and known.keys() == types:
        count = len(content.datasets)
        return Members("datasets", count, count, compared=compared, listed=listed), ()
    owners: dict[Hashable, str] = {}
    for dataset_type, found in refs.items():
        for dataset_id, ref in found.items():
            owners[dataset_type, ref.run, frozenset(ref.dataId.required.items())] = dataset_id
    desired: dict[Hashable, JsonObject] = {}
    conflicts: list[JsonObject] = []
    for dataset_id, dataset in content.datasets.items():
        member = {"id": dataset_id, "dataset_type": dataset.dataset_type, "run": dataset.run, **dataset.data_id}
        owner = owners.get((dataset.dataset_type, dataset.run, frozenset(dataset.data_id.items())))
        if owner is not None and owner != dataset_id:
            conflicts.append({**member, "existing_id": owner})
        desired[dataset_id] = {**member, "path": source.locate(dataset.path)}
    present = {dataset_id for found in refs.values() for dataset_id in found}
    present |= {dataset_id for dataset_id, dataset in content.datasets.items() if dataset.dataset_type in known}
    changed = _find_wrong_records(context, desired, paths)
    members = Members.compare("datasets", desired, present, changed=changed)
    members = dataclasses.replace(members, compared=compared, listed=listed)
    if not conflicts:
        return members, ()
    text = f"data IDs that exist with another UUID: {len(conflicts):,}; is it another version of the export?"
    return members, (Condition(DifferenceKind.CONFLICT, text, tuple(conflicts)),)


def _summarize_known(known: Iterable[Known]) -> tuple[Comparison, datetime.datetime | None]:
    """Return the least thorough way in which datasets of several types were compared, and the earliest time of the proofs."""
    ways = list(known)
    if any(found.compared is Comparison.COUNT for found in ways):
        return Comparison.COUNT, None
    return (Comparison.PROOF, find_earliest_listing(found.listed for found in ways)) if ways else (Comparison.MEMBERS, None)


def _list_paths(context: Context, pools: Mapping[str, _Pool], existing: Existing) -> Paths:
    """Return the recorded path of each dataset by UUID, by the dataset types whose records are compared, with one query."""
    chosen = {
        dataset_type: {dataset_id: found[dataset_id] for dataset_id in pools[dataset_type].desired & found.keys()}
        for dataset_type, found in existing.items()
        if not isinstance(found, Known) and context.policy.compares_records(len(pools[dataset_type].desired))
    }
    paths = context.butler.recorded_paths(ref for refs in chosen.values() for ref in refs.values())
    return {dataset_type: {dataset_id: paths.get(dataset_id) for dataset_id in refs} for dataset_type, refs in chosen.items()}


def _find_wrong_records(context: Context, desired: Mapping[Hashable, JsonObject], paths: Paths) -> Iterator[JsonObject]:
    """Find the datasets whose records in the datastore are missing or wrong."""
    for dataset_type in sorted({member["dataset_type"] for member in desired.values()} & paths.keys()):
        own = {dataset_id: member for dataset_id, member in desired.items() if member["dataset_type"] == dataset_type}
        recorded: dict[Hashable, str | None] = {
            dataset_id: path for dataset_id, path in paths[dataset_type].items() if dataset_id in own
        }
        yield from compare_paths(recorded, own, context.butler.comparable_path)


def _compare_certifications(content: ExportFile, certified: set[Certification]) -> Members:
    from reconciler.systems.butler.export_values import nanoseconds

    desired: dict[Hashable, JsonObject] = {}
    for collection, span, dataset_id in content.certifications:
        begin, end = nanoseconds(span.begin, span.end)
        dataset = content.datasets[dataset_id]
        desired[collection, dataset.dataset_type, dataset_id, begin, end] = {
            "collection": collection, "dataset_type": dataset.dataset_type, **dataset.data_id,
            "id": dataset_id, "begin": begin, "end": end,
        }  # fmt: skip
    return Members.compare("certifications", desired, certified)


def _compare_chains(context: Context, content: ExportFile) -> Members:
    """Compare the chains that no other table of the state defines."""
    collections = context.butler.collections()
    chains = {
        name: collection
        for name, collection in content.collections.items()
        if collection.type == "CHAINED" and f"collection:{name}" not in context.owners
    }
    differing = [
        {"collection": name, "in_repository": list(collections[name].children), "in_file": list(chain.children)}
        for name, chain in chains.items()
        if name in collections and collections[name].children != chain.children
    ]
    return Members.compare("chains", {name: {"collection": name} for name in chains}, collections, changed=differing)


def _find_early_chains(context: Context, content: ExportFile) -> Iterator[Condition]:
    """Find missing chains that can't be made yet, because another table makes one of their children later."""
    collections = context.butler.collections()
    for name, chain in content.collections.items():
        if chain.type != "CHAINED" or name in collections or f"collection:{name}" in context.owners:
            continue
        early = [child for child in chain.children if child not in collections and f"collection:{child}" in context.owners]
        if early:
            makers = ", ".join(dict.fromkeys(context.owners[f"collection:{child}"] for child in early))
            text = f"chain {name} can be made after {makers}: {', '.join(early)} in it doesn't exist yet; run apply again then"
            yield Condition(DifferenceKind.BLOCKED, text, ({"collection": name},), "chains")


def _compare_records(context: Context, content: ExportFile) -> Members:
    """Compare the dimension records of a file that has nothing else to import by their data IDs."""
    from reconciler.systems.butler.export_values import record_values

    desired: dict[Hashable, JsonObject] = {}
    present: set[Hashable] = set()
    for element, rows in {} if content.datasets else content.dimensions.items():
        present |= {(element, frozenset(record.dataId.required.items())) for record in context.butler.records(element)}
        for number, row in enumerate(rows):
            if context.butler.universe() is None:  # before there is a repository, nothing can make a record
                desired[element, number] = {"element": element, **row}
                continue
            data_id = context.butler.make_record(element, record_values(row)).dataId.required
            desired[element, frozenset(data_id.items())] = {"element": element, **dict(data_id)}
    return Members.compare("dimension records", desired, present)


def _compare_tags(context: Context, content: ExportFile) -> Members:
    desired: dict[Hashable, JsonObject] = {
        (collection, dataset_id): {
            "collection": collection, "dataset_type": content.datasets[dataset_id].dataset_type,
            **content.datasets[dataset_id].data_id, "id": dataset_id,
        }
        for collection, dataset_id in content.tags
    }  # fmt: skip
    present = {
        (collection, dataset_id)
        for collection, dataset_id in content.tags
        if dataset_id in context.butler.members(content.datasets[dataset_id].dataset_type, [collection])
    }
    return Members.compare("tags", desired, present)


def _check_storage(context: Context, source: ExportSource, content: ExportFile) -> tuple[Condition, ...]:
    """Check the files of those datasets of an export file that exist."""
    if source.verify == "none":
        return ()
    runs: dict[str, set[str]] = defaultdict(set)
    for dataset in content.datasets.values():
        runs[dataset.dataset_type].add(dataset.run)
    existing: dict[str, Any] = {}
    for dataset_type, names in runs.items():
        existing |= context.butler.members(dataset_type, sorted(names))
    refs = [existing[dataset_id] for dataset_id in content.datasets if dataset_id in existing]
    return check_stored_files(context, source.verify, [refs], len(refs), source.delivered_by)
