"""Imports: the part of an export file that the repository lacks, and nothing else.

Running ``butler import`` a second time fails, but not before it has reset every chain in the file. So the file is compared with
the repository, and only what is missing is imported. An absent chain is created; one that differs is reported, unless a table of
its own defines it.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field, SkipValidation

from reconciler.counts import plural
from reconciler.engine.commands import REPO, Command, Comment
from reconciler.engine.kind import Kind, KindTraits, Links, MemberText, Requirements
from reconciler.engine.model import Action, Change, Cost, DifferenceKind, JsonObject, Made, Observed
from reconciler.engine.spec import InputPath, Spec
from reconciler.errors import ApplyError
from reconciler.files import export_file
from reconciler.files.export_file import ExportFile
from reconciler.kinds.shared.data_id_check import has_unresolvable
from reconciler.kinds.shared.delivered_files import Deliveries, list_expected
from reconciler.kinds.shared.delivery import DELIVERED_BY, delivery_tokens, systems_for
from reconciler.kinds.shared.dids import DidPattern
from reconciler.kinds.shared.export_comparison import ExportParts, ExportSource, compare_exports
from reconciler.kinds.shared.proven_datasets import digest_spec
from reconciler.kinds.shared.storage_check import VERIFY
from reconciler.kinds.shared.transfer import TRANSFER, Transfer, check_transfer
from reconciler.kinds.shared.validity import describe_range
from reconciler.patterns import Glob

if TYPE_CHECKING:
    from reconciler.systems.butler.repository import DatasetRef
    from reconciler.systems.context import Context


class ImportSpec(Spec):
    """An export file to import; the key is any name."""

    export_file: InputPath = Field(
        description="Export file, as written by `butler export`.", examples=["ccms1/DM-48520/export.yaml"]
    )
    root: InputPath = Field(
        description="Folder of the relative paths in the export file; a relative one starts from the folder of this file.",
        examples=["${data}/ancillary"],
    )
    transfer: Transfer = TRANSFER
    delivered_by: tuple[DidPattern, ...] = DELIVERED_BY
    verify: str = VERIFY
    replace: dict[str, str] = Field(
        default_factory=dict,
        description="Replacements for the beginnings of paths in the export file: old beginning = new beginning.",
        examples=[{"/repo/main/": "${data}/"}],
    )


class CertifiedRange(NamedTuple):
    """A dataset (by UUID) that is valid in a CALIBRATION collection from begin to end, in TAI nanoseconds."""

    collection: str
    dataset_id: str
    begin: int
    end: int


class TaggedDataset(NamedTuple):
    """A dataset (by UUID) that is a member of a TAGGED collection."""

    collection: str
    dataset_id: str


class ImportDatasets(Action):
    """Import a part of an export file.

    Parameters
    ----------
    export_file, root, replace, transfer
        As in `ImportSpec`.
    dataset_types, collections, chains : `tuple` [`str`, ...]
        Names of the definitions to create.
    datasets : `tuple` [`str`, ...]
        UUIDs of the datasets to ingest.
    certifications : `tuple` [`CertifiedRange`, ...]
        Validity ranges to certify.
    tags : `tuple` [`TaggedDataset`, ...]
        Memberships of TAGGED collections to add.
    records : `int`
        Number of dimension records to insert, of a file without datasets.
    whole : `bool`
        Whether no dataset, certification or collection of the file exists, nothing is awaited, no chain of it exists or is
        defined by another table, and each can be made now, so that ``butler import`` may be shown: it imports all of the file,
        and resets its chains.
    """

    verb: Literal["import"] = "import"
    export_file: str
    root: str
    replace: dict[str, str]
    transfer: Transfer
    dataset_types: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    certifications: SkipValidation[tuple[CertifiedRange, ...]] = ()
    tags: SkipValidation[tuple[TaggedDataset, ...]] = ()
    records: int = 0
    whole: bool = False

    @property
    def contents(self) -> dict[str, int]:
        """The number of things to import by noun; empty if there is nothing to do."""
        parts = {
            "dataset types": self.dataset_types,
            "collections": self.collections,
            "chains": self.chains,
            "datasets": self.datasets,
            "certifications": self.certifications,
            "tags": self.tags,
        }
        counts = {noun: len(part) for noun, part in parts.items() if part}
        return {**counts, "dimension records": self.records} if self.records else counts


@dataclass(frozen=True)
class ObservedImport(Observed[ImportSpec]):
    """What was observed; ``resets_chains`` is True if ``butler import`` would reset a chain that is to stay as it is."""

    resets_chains: bool = False


@dataclass(frozen=True)
class FormatterNames:
    """The formatters in an export file, which is read only when they are iterated."""

    export_file: str

    def __iter__(self) -> Iterator[str]:
        datasets = export_file.read(self.export_file).datasets.values()
        return iter(sorted({dataset.formatter for dataset in datasets if dataset.formatter}))


@dataclass(frozen=True)
class TypesWithoutFormatter:
    """The dataset types of which an export file names no formatter for some datasets; read as `FormatterNames` are."""

    export_file: str

    def __iter__(self) -> Iterator[str]:
        datasets = export_file.read(self.export_file).datasets.values()
        return iter(sorted({dataset.dataset_type for dataset in datasets if not dataset.formatter}))


class ImportKind(Kind[ImportSpec, ImportDatasets]):
    """The kind of ``import`` tables; several export files may contain the same collection.

    Nothing of a file is imported while a part of it is in conflict, or a missing data ID can't be resolved, nor before the first
    of its files is delivered; then the delivered part is. The export file is read by `links`, so it is no requirement, nor is
    butler import, which isn't run. The formatters that it names are, or the default ones of its dataset types, and Rucio if that
    delivers the files.
    """

    name = "import"
    spec = ImportSpec
    traits = KindTraits(summary="Export files to import.", order=45)

    def links(self, name: str, spec: ImportSpec) -> Links:
        content = export_file.read(spec.export_file)
        children = [child for collection in content.collections.values() for child in collection.children]
        visits = [Glob("visits:*")] if {"visit", "exposure"} & set(content.dimensions) else []
        return Links(
            contributes=[
                *(f"collection:{collection}" for collection in content.collections),
                *(f"dataset_type:{dataset_type}" for dataset_type in content.dataset_types),
            ],
            needs=[f"collection:{child}" for child in children if child not in content.collections],
            after=[Glob("instrument:*"), *visits, *delivery_tokens(spec.delivered_by)],
        )

    def validate(self, name: str, spec: ImportSpec) -> Iterable[str]:
        return check_transfer(spec.transfer, spec.delivered_by)

    def requirements(self, spec: ImportSpec) -> Requirements:
        return Requirements(
            systems=systems_for(spec.delivered_by),
            classes=FormatterNames(spec.export_file),
            default_formatters=TypesWithoutFormatter(spec.export_file),
        )

    def observe(self, context: Context, desired: Mapping[str, ImportSpec]) -> Mapping[str, Observed[ImportSpec]]:
        observed = {}
        for name, parts in compare_exports(context, {name: _to_source(spec) for name, spec in desired.items()}).items():
            spec = desired[name]
            observed[name] = ObservedImport(
                spec if parts.exists else None, parts.members, parts.conditions, resets_chains=_resets_chains(spec, parts)
            )
        return observed

    def plan(self, change: Change[ImportSpec]) -> Iterable[ImportDatasets]:
        parts = ExportParts.from_members(change.observed.members)
        datasets = tuple(member["id"] for member in parts.datasets.missing)
        awaited = {member["id"] for member in parts.datasets.awaited}
        conflicts = any(condition.kind is DifferenceKind.CONFLICT for condition in change.observed.conditions)
        nothing_is_here = awaited and not datasets and not parts.datasets.present
        if conflicts or has_unresolvable(change.observed) or nothing_is_here:
            return
        early = {
            member["collection"]
            for condition in change.observed.conditions
            if condition.kind is DifferenceKind.BLOCKED and condition.field == "chains"
            for member in condition.members
        }
        spec = change.desired
        resets_chains = isinstance(change.observed, ObservedImport) and change.observed.resets_chains
        action = ImportDatasets(
            address=change.address,
            export_file=spec.export_file,
            root=spec.root,
            replace=spec.replace,
            transfer=spec.transfer,
            dataset_types=tuple(member["name"] for member in parts.dataset_types.missing),
            collections=tuple(member["collection"] for member in parts.collections.missing),
            chains=tuple(member["collection"] for member in parts.chains.missing if member["collection"] not in early),
            datasets=datasets,
            certifications=tuple(
                CertifiedRange(member["collection"], member["id"], member["begin"], member["end"])
                for member in parts.certifications.missing
                if member["id"] not in awaited
            ),
            tags=tuple(
                TaggedDataset(member["collection"], member["id"]) for member in parts.tags.missing if member["id"] not in awaited
            ),
            records=len(parts.records.missing),
            whole=parts.untouched and not awaited and not resets_chains and not early,
            cost=Cost(len(datasets)),
        )
        if action.contents:
            reason = "lacks " + ", ".join(
                f"{count:,} {noun.removesuffix('s') if count == 1 else noun}" for noun, count in action.contents.items()
            )
            yield action.model_copy(update={"reason": reason})

    def apply(self, context: Context, action: ImportDatasets) -> Made:
        from reconciler.systems.butler import write_datasets, write_definitions

        content = export_file.read(action.export_file)
        _check_unchanged(content, action)
        for name in action.dataset_types:
            definition = content.dataset_types[name]
            write_definitions.register_dataset_type(
                context.butler,
                name,
                definition.dimensions,
                definition.storage_class,
                is_calibration=definition.is_calibration,
            )
        for name in action.collections:
            collection = content.collections[name]
            write_definitions.register_collection(context.butler, name, collection.type, collection.doc)
        if action.datasets or action.records:
            write_definitions.insert_records(context.butler, content.dimensions)
        rows = [
            {
                "id": dataset_id,
                "dataset_type": content.datasets[dataset_id].dataset_type,
                "run": content.datasets[dataset_id].run,
                "data_id": content.datasets[dataset_id].data_id,
                "path": locate_file(content.datasets[dataset_id].path, root=action.root, replace=action.replace),
                "formatter": content.datasets[dataset_id].formatter,
            }
            for dataset_id in action.datasets
        ]
        write_datasets.ingest(context, rows, root=action.root, transfer=action.transfer, what="datasets")
        context.forget()
        _certify_and_tag(context, content, action)
        for name in action.chains:
            chain = content.collections[name]
            write_definitions.define_chain(context.butler, name, chain.children, chain.doc)
        return action.contents

    def commands(self, action: ImportDatasets) -> Iterable[Command | Comment]:
        if action.whole and not action.replace:
            yield Command(
                "butler", "import", REPO, action.root,
                "--export-file", action.export_file, "--transfer", action.transfer,
            )  # fmt: skip
        else:
            limit = (
                "replace the beginnings of paths"
                if action.replace
                else "import a part of a file, and would reset the chains in it, if any"
            )
            yield Comment(f"{action.address}: {action.reason}; butler import can't {limit}; reconcile apply does")

    def list_deliveries(self, context: Context, name: str, spec: ImportSpec) -> Deliveries:
        """Return the file of each dataset of the export file, whether or not Rucio or the Butler has it, and no others."""
        content = export_file.read(spec.export_file)
        locate = _to_source(spec).locate
        paths: dict[Hashable, str] = {dataset_id: locate(dataset.path) for dataset_id, dataset in content.datasets.items()}
        found = _find_datasets(context, content, content.datasets)
        refs: dict[Hashable, DatasetRef] = {dataset_id: ref for dataset_id, ref in found.items()}  # noqa: C416  # for mypy
        return list_expected(context, spec.delivered_by, paths, refs)

    def describe(self, member: JsonObject) -> MemberText:
        if not {"begin", "end"} <= member.keys():
            return super().describe(member)
        shown = {key: value for key, value in member.items() if key not in ("begin", "end")}
        return super().describe({**shown, "validity": describe_range(member["begin"], member["end"])})


def locate_file(path: str, *, root: str, replace: Mapping[str, str]) -> str:
    """Return where a file is at this facility, given its path in the export file.

    Each key of ``replace`` that the path begins with is replaced, one after the other; then ``root`` precedes a relative path.
    """
    for old, new in replace.items():
        if path.startswith(old):
            path = new + path[len(old) :]
    return path if "://" in path or path.startswith("/") else f"{root.rstrip('/')}/{path}"


def _resets_chains(spec: ImportSpec, parts: ExportParts) -> bool:
    """Return True if ``butler import`` would reset a chain that exists, or that another table of the state defines."""
    chains = [c for c in export_file.read(spec.export_file).collections.values() if c.type == "CHAINED"]
    return bool(parts.chains.present or len(chains) > parts.chains.desired)


def _to_source(spec: ImportSpec) -> ExportSource:
    locate = functools.partial(locate_file, root=spec.root, replace=spec.replace)
    return ExportSource(spec.export_file, locate, spec.delivered_by, spec.verify, digest_spec(spec))


def _check_unchanged(content: ExportFile, action: ImportDatasets) -> None:
    """Check that an export file still contains what is to be imported.

    Raises
    ------
    reconciler.errors.ApplyError
        If it doesn't.
    """
    used = {*action.datasets, *(c.dataset_id for c in action.certifications), *(tag.dataset_id for tag in action.tags)}
    known = (
        used <= content.datasets.keys()
        and content.dataset_types.keys() >= set(action.dataset_types)
        and content.collections.keys() >= {*action.collections, *action.chains}
    )
    if not known:
        raise ApplyError(f"{action.export_file}: it was changed while this ran", ("run apply again",))


def _certify_and_tag(context: Context, content: ExportFile, action: ImportDatasets) -> None:
    """Certify and tag, collection by collection."""
    from reconciler.systems.butler import write_datasets

    certified_ids = {certification.dataset_id for certification in action.certifications}
    refs = _find_datasets(context, content, certified_ids | {tag.dataset_id for tag in action.tags})
    gone = sorted((certified_ids | {tag.dataset_id for tag in action.tags}) - refs.keys())
    if gone:
        raise ApplyError(
            f"{plural(len(gone), 'dataset')} to certify or tag, such as {gone[0]}, went away meanwhile", ("run apply again",)
        )
    certified: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
    for collection, dataset_id, begin, end in action.certifications:
        certified[collection].append((dataset_id, begin, end))
    for collection, ranges in certified.items():
        write_datasets.certify(context.butler, ranges, refs, collection)
    tagged: dict[str, list[DatasetRef]] = defaultdict(list)
    for collection, dataset_id in action.tags:
        tagged[collection].append(refs[dataset_id])
    for collection, members in tagged.items():
        write_datasets.associate(context.butler, collection, members, lambda done: None)


def _find_datasets(context: Context, content: ExportFile, dataset_ids: Iterable[str]) -> dict[str, DatasetRef]:
    """Return all datasets of the types and RUN collections of some datasets, by UUID."""
    runs: dict[str, set[str]] = defaultdict(set)
    for dataset_id in dataset_ids:
        runs[content.datasets[dataset_id].dataset_type].add(content.datasets[dataset_id].run)
    refs: dict[str, DatasetRef] = {}
    for dataset_type, names in runs.items():
        refs |= context.butler.members(dataset_type, sorted(names))
    return refs


KIND = ImportKind()
