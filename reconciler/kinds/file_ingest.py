"""Files to ingest from a table, such as reference catalogs: each row names one file and its data ID.

Files are compared by data ID, because an ingest gives them random UUIDs. A data ID that exists with another file is reported and
never overwritten: only a person knows which of the two is right.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, SkipValidation

from reconciler.counts import plural
from reconciler.engine.commands import REPO, Command, Comment
from reconciler.engine.kind import Kind, KindTraits, Links, Requirements
from reconciler.engine.model import Action, Address, Change, Condition, Cost, JsonObject, Made, Members, Observed
from reconciler.engine.spec import InputPath, NotObserved, Spec
from reconciler.errors import StateError
from reconciler.files import table
from reconciler.files.table_check import check_table, find_table_problems, find_value_problems, required_columns
from reconciler.kinds.dataset_type import DatasetTypeSpec
from reconciler.kinds.shared.data_id_check import has_unresolvable, split_resolvable
from reconciler.kinds.shared.datastore_records import NO_RECORD, find_wrong_records
from reconciler.kinds.shared.delivered_files import Deliveries, list_expected
from reconciler.kinds.shared.delivery import DELIVERED_BY, delivery_tokens, split_delivered, systems_for
from reconciler.kinds.shared.dids import DidPattern
from reconciler.kinds.shared.proven_datasets import ProvenDatasets, digest_inputs, digest_spec
from reconciler.kinds.shared.storage_check import VERIFY, check_stored_files
from reconciler.kinds.shared.taken_names import find_taken_name
from reconciler.kinds.shared.transfer import TRANSFER, Transfer, check_transfer

if TYPE_CHECKING:
    from reconciler.systems.butler.repository import DatasetRef
    from reconciler.systems.context import Context


class FileIngestSpec(Spec):
    """Files of a table; the key is the name of their RUN collection."""

    dataset_type: str = Field(description="Dataset type of the files.", examples=["the_monster_20240904"])
    table: InputPath = Field(
        description="Table in ECSV, CSV or FITS: the first column is the path of a file, the others are its data ID.",
        examples=["the_monster_20240904.ecsv"],
    )
    prefix: InputPath = Field(
        "",
        validate_default=True,
        description="Folder of the relative paths in the table; by default, and if it is relative, from the folder of this file.",
        examples=["${data}/raw/refcats/the_monster_20240904/"],
    )
    transfer: Transfer = TRANSFER
    formatter: Annotated[str | None, NotObserved()] = Field(
        None,
        description="Class that reads the files. By default the formatter of the dataset type's storage class.",
        examples=["lsst.obs.base.formatters.fitsGeneric.FitsGenericFormatter"],
    )
    delivered_by: tuple[DidPattern, ...] = DELIVERED_BY
    verify: str = VERIFY


class IngestFiles(Action):
    """Ingest files of a table into a RUN collection.

    Parameters
    ----------
    dataset_type, table, prefix, transfer, formatter
        As in `FileIngestSpec`.
    files : `tuple` [`JsonObject`, ...]
        The data ID of each file, and its ``path``.
    whole : `bool`
        Whether these are all files of the table, so that ``butler ingest-files`` does the same.
    """

    verb: Literal["ingest"] = "ingest"
    dataset_type: str
    table: str
    prefix: str
    transfer: Transfer
    formatter: str | None = None
    files: SkipValidation[tuple[JsonObject, ...]]
    whole: bool = False


class FileIngestKind(Kind[FileIngestSpec, IngestFiles]):
    """The kind of ``file_ingest`` tables.

    It is absent while its RUN collection is, which a table without rows makes, too; an empty one exists and lacks its files.
    Where records are compared, a dataset without a record is a changed member, and so is one with another file; if ``transfer``
    isn't direct, another file is seen only if it is that of another row, or if two datasets share it. Files that Rucio hasn't
    delivered are awaited, and those whose data IDs can't be resolved are reported. A name that another type of collection has
    is a conflict.
    """

    name = "file_ingest"
    spec = FileIngestSpec
    traits = KindTraits(summary="Files to ingest from tables.", order=55)

    def links(self, name: str, spec: FileIngestSpec) -> Links:
        return Links(
            provides=[f"collection:{name}"],
            needs=[f"dataset_type:{spec.dataset_type}"],
            after=delivery_tokens(spec.delivered_by),
        )

    def validate(self, name: str, spec: FileIngestSpec) -> Iterable[str]:
        return check_transfer(spec.transfer, spec.delivered_by)

    def requirements(self, spec: FileIngestSpec) -> Requirements:
        return Requirements(
            systems=systems_for(spec.delivered_by),
            input_files=[spec.table],
            classes=[spec.formatter] if spec.formatter else [],
            default_formatters=[] if spec.formatter else [spec.dataset_type],
        )

    def check_inputs(self, spec: FileIngestSpec, resources: Mapping[Address, Spec]) -> Iterable[str]:
        """Check a table in CSV or ECSV; one in FITS, or in a format that isn't supported, is read when it is observed."""
        definition = resources.get(Address("dataset_type", spec.dataset_type))
        dimensions = required_columns(definition.dimensions) if isinstance(definition, DatasetTypeSpec) else None
        return find_table_problems(spec.table, dimensions, spec.dataset_type)

    def observe(self, context: Context, desired: Mapping[str, FileIngestSpec]) -> Mapping[str, Observed[FileIngestSpec]]:
        return {name: _observe_files(context, name, spec) for name, spec in desired.items()}

    def plan(self, change: Change[FileIngestSpec]) -> Iterable[IngestFiles]:
        if not change.observed.members:
            return  # the name is taken
        (members,) = change.observed.members
        unresolvable = has_unresolvable(change.observed)
        if not members.missing and (members.awaited or change.exists or unresolvable):
            return
        spec, count = change.desired, len(members.missing)
        yield IngestFiles(
            address=change.address,
            dataset_type=spec.dataset_type,
            table=spec.table,
            prefix=spec.prefix,
            transfer=spec.transfer,
            formatter=spec.formatter,
            files=members.missing,
            whole=not (members.present or members.unmanaged or members.awaited or unresolvable),
            reason=f"{plural(count, 'file')} not ingested" if count else "no such collection",
            cost=Cost(count),
        )

    def apply(self, context: Context, action: IngestFiles) -> Made:
        from reconciler.systems.butler import write_datasets, write_definitions

        write_definitions.register_collection(context.butler, action.address.name, "RUN")
        rows = [
            {
                "dataset_type": action.dataset_type,
                "run": action.address.name,
                "data_id": {dimension: value for dimension, value in file.items() if dimension != "path"},
                "path": file["path"],
                "formatter": action.formatter,
            }
            for file in action.files
        ]
        write_datasets.ingest(context, rows, root="", transfer=action.transfer, what="files")
        return {"datasets": len(rows)}

    def commands(self, action: IngestFiles) -> Iterable[Command | Comment]:
        prefix = ["--prefix", action.prefix] if action.prefix else []
        formatter = ["--formatter", action.formatter] if action.formatter else []
        if not action.whole:
            text = f"butler ingest-files can't ingest only {plural(len(action.files), 'row')} of a table; reconcile apply does"
            yield Comment(f"{action.address}: {text}")
            return
        yield Command(
            "butler", "ingest-files", REPO, action.dataset_type, action.address.name,
            *prefix, "--transfer", action.transfer, *formatter, action.table,
        )  # fmt: skip

    def list_deliveries(self, context: Context, name: str, spec: FileIngestSpec) -> Deliveries:
        """Return all files of the table, whether or not Rucio or the Butler has them, and no others."""
        definition = context.butler.dataset_types().get(spec.dataset_type)
        rows = table.read(spec.table)
        dimensions = definition.dimensions if definition is not None else tuple(sorted(table.columns(rows)))
        desired = _find_desired_files(spec, rows, dimensions)
        refs = _list_present(context, name, spec, dimensions)
        return list_expected(context, spec.delivered_by, {key: file["path"] for key, file in desired.items()}, refs)


def _list_present(context: Context, name: str, spec: FileIngestSpec, dimensions: Sequence[str]) -> dict[Hashable, DatasetRef]:
    """List the ingested datasets by data ID."""
    members = context.butler.members(spec.dataset_type, [name])
    return {tuple(ref.dataId[dimension] for dimension in dimensions): ref for ref in members.values()}


def _observe_files(context: Context, name: str, spec: FileIngestSpec) -> Observed[FileIngestSpec]:
    collection = context.butler.collections().get(name)
    if taken := find_taken_name(context, name, "RUN"):
        return Observed(spec, conditions=taken, taken=True)
    members = _compare_with_table(context, name, spec)
    members, unknown = split_resolvable(context, members, spec.table)
    members, waiting = split_delivered(context, spec.delivered_by, members)
    return Observed(None if collection is None else spec, (members,), unknown + waiting + _check_storage(context, name, spec))


def _compare_with_table(context: Context, name: str, spec: FileIngestSpec) -> Members:
    """Compare the ingested files with those of the table: by a proof, by counts if that is enough, or by data ID."""
    definition = context.butler.dataset_types().get(spec.dataset_type)
    if definition is None:
        return _compare_files(context, name, spec, _find_coming_dimensions(context, spec))
    present = context.butler.count(spec.dataset_type, [name])
    if context.policy.quick and _counts_agree(context, spec, present, definition.dimensions):
        return Members.counted("files", present)
    address, inputs = str(Address("file_ingest", name)), digest_inputs([spec.table])
    datasets = ProvenDatasets.prepare(context, address, digest_spec(spec), inputs, spec.dataset_type, [name])
    if proof := datasets.find_proof(present):
        return Members.proven("files", present, proof.listed)
    members = _compare_files(context, name, spec, definition.dimensions)
    if members.agree:
        datasets.record(members.desired, members.present)
    return members


def _find_coming_dimensions(context: Context, spec: FileIngestSpec) -> Sequence[str]:
    """Return the dimensions of a dataset type that doesn't exist yet: those of its table, else the columns of the files."""
    dimensions = context.coming.dimensions.get(spec.dataset_type)
    return context.butler.required(dimensions) if dimensions else tuple(sorted(table.columns(table.read(spec.table))))


def _counts_agree(context: Context, spec: FileIngestSpec, present: int, dimensions: Sequence[str]) -> bool:
    """Return True if the table has as many rows as there are datasets, which are many, and a column for each dimension."""
    count, columns = table.summarize(spec.table)
    count = count or len(table.read(spec.table))
    return context.policy.compares_by_count(count) and count == present and columns.issuperset(dimensions)


def _compare_files(context: Context, name: str, spec: FileIngestSpec, dimensions: Sequence[str]) -> Members:
    """Compare the files of the table with the ingested ones by data ID."""
    check = check_table(spec.table, dimensions, spec.dataset_type)
    problems = check.problems or find_value_problems(spec.table, lambda: (row.data_id for row in table.read(spec.table)))
    if problems:
        raise StateError(problems)
    if check.data_ids and not context.policy.compares_records(len(check.data_ids)):
        data_ids = dict.fromkeys(check.data_ids)
        if _have_each(context, name, spec, dimensions, data_ids.keys()):
            return Members("files", len(data_ids), len(data_ids))
    desired = _find_desired_files(spec, table.read(spec.table), dimensions)
    present: Collection[Hashable]
    changed: Iterable[JsonObject] = ()
    if context.policy.compares_records(len(desired)):
        refs = _list_present(context, name, spec, dimensions)
        present, changed = refs, _find_moved_files(context, spec, refs, desired)
    else:
        present = context.butler.data_ids(spec.dataset_type, [name], dimensions)
    unmanaged = [dict(zip(dimensions, key, strict=True)) for key in present if key not in desired]  # type: ignore[call-overload]
    return Members.compare("files", desired, present, unmanaged=unmanaged, changed=changed)


def _have_each(
    context: Context, name: str, spec: FileIngestSpec, dimensions: Sequence[str], data_ids: Set[tuple[Any, ...]]
) -> bool:
    """Return True if exactly these data IDs are ingested.

    A RUN collection contains one dataset for each. So if it has as many as are asked for, and as many in the ranges that these
    form, they are the same: with shards of the whole sky, that is one range and nothing has to be listed.
    """
    butler = context.butler
    collection = butler.collections().get(name)
    if collection is None or butler.count(spec.dataset_type, [name]) != len(data_ids):
        return False
    if collection.type == "RUN" and len(dimensions) == 1:
        count = butler.count_in_ranges(spec.dataset_type, name, dimensions[0], [value for (value,) in data_ids])
        if count is not None:
            return count == len(data_ids)
    return butler.data_ids(spec.dataset_type, [name], dimensions) == data_ids


def _find_moved_files(
    context: Context, spec: FileIngestSpec, refs: Mapping[Hashable, DatasetRef], desired: Mapping[Hashable, JsonObject]
) -> Iterable[JsonObject]:
    """Find the files without a record in the datastore, or with one of another file."""
    if spec.transfer != "direct":
        return find_wrong_records(context, refs, desired)
    chosen = {key: ref for key, ref in refs.items() if key in desired}
    paths = context.butler.recorded_paths(chosen.values())
    existing = {key: paths.get(str(ref.id)) for key, ref in chosen.items()}
    return [
        {**desired[key], "existing_path": path or NO_RECORD}
        for key, path in existing.items()
        if path is None or path != context.butler.comparable_path(desired[key]["path"])
    ]


def _find_desired_files(
    spec: FileIngestSpec, rows: tuple[table.Row, ...], dimensions: Sequence[str]
) -> dict[Hashable, JsonObject]:
    """Return the files of a table by data ID.

    Raises
    ------
    reconciler.errors.StateError
        If the table lacks a dimension, or has two files for one data ID.
    """
    desired: dict[Hashable, JsonObject] = {}
    lacking = set(dimensions) - table.columns(rows)
    if rows and lacking:
        raise StateError(f"{spec.table}: lacks the column {', '.join(sorted(lacking))}, a dimension of {spec.dataset_type}")
    for row in rows:
        key = tuple(row.data_id[dimension] for dimension in dimensions)
        path = _locate(spec.prefix, row.path)
        if key in desired and desired[key]["path"] != path:
            raise StateError(f"{spec.table}: two files for {dict(row.data_id)}: {desired[key]['path']} and {path}")
        desired[key] = {**row.data_id, "path": path}
    return desired


def _locate(prefix: str, path: str) -> str:
    """Return where a file is: normalized, as the Butler records local files that are given by a path."""
    located = path if "://" in path or path.startswith("/") else f"{prefix.rstrip('/')}/{path}"
    return located if "://" in located else os.path.normpath(located).replace("//", "/", 1)


def _check_storage(context: Context, name: str, spec: FileIngestSpec) -> tuple[Condition, ...]:
    """Check the files of all ingested datasets."""
    if spec.verify == "none":
        return ()
    refs = list(context.butler.members(spec.dataset_type, [name]).values())
    return check_stored_files(context, spec.verify, [refs], len(refs), spec.delivered_by)


KIND = FileIngestKind()
