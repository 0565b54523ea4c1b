"""Files to ingest from a table, as reference catalogs are: one row a file, with its data ID.

Compared by data ID, since UUIDs of such ingests are random. A data ID that is there under another path is reported and never
overwritten: somebody meant one of the two.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from reconciler.engine.model import Action, Cost, InputPath, Kind, Members, Missing, Seen, Spec
from reconciler.errors import StateError
from reconciler.files import table
from reconciler.kinds.raw import Transfer, split_arrived
from reconciler.kinds.shared.delivery import DELIVERED_BY, arrivals
from reconciler.kinds.shared.storage_check import VERIFY, verified

if TYPE_CHECKING:
    from reconciler.systems.context import Live


class FileIngestSpec(Spec):
    """Files of a table; the key is their RUN collection."""

    dataset_type: str = Field(description="Their dataset type.", examples=["the_monster_20240904"])
    table: InputPath = Field(
        description="ECSV, CSV or FITS; the first column names the file, the others are the data ID.",
        examples=["the_monster_20240904.ecsv"],
    )
    prefix: str = Field(
        "", description="What paths in it are relative to.", examples=["${data}/raw/refcats/the_monster_20240904/"]
    )
    transfer: Transfer = Field("direct", description="How the datastore takes the files.")
    formatter: str | None = Field(None, description="Class that reads them; that of the storage class if left out.")
    delivered_by: tuple[str, ...] = DELIVERED_BY
    verify: str = VERIFY


class FileIngestKind(Kind[FileIngestSpec]):
    """The kind of ``file_ingest`` tables."""

    name = "file_ingest"
    spec = FileIngestSpec
    summary = "Files to ingest from tables."
    rank = 55

    def systems(self, spec: FileIngestSpec) -> frozenset[Literal["butler", "rucio"]]:
        return frozenset({"butler", "rucio"} if spec.delivered_by else {"butler"})

    def provides(self, name: str, spec: FileIngestSpec) -> Iterable[str]:
        yield f"collection:{name}"

    def needs(self, name: str, spec: FileIngestSpec) -> Iterable[str]:
        yield f"dataset_type:{spec.dataset_type}"

    def follows(self, name: str, spec: FileIngestSpec) -> Iterable[str]:
        yield from (f"did:{pattern}" for pattern in spec.delivered_by)

    def inputs(self, spec: FileIngestSpec) -> Iterable[str]:
        yield spec.table

    def imports(self, spec: FileIngestSpec) -> Iterable[str]:
        if spec.formatter:
            yield spec.formatter

    def observe(self, live: Live, desired: Mapping[str, FileIngestSpec]) -> Mapping[str, Seen[FileIngestSpec]]:
        seen = {}
        for name, spec in desired.items():
            found = self._see(live, name, spec)
            if spec.verify != "none":
                refs = list(live.butler.members(spec.dataset_type, [name]).values())
                found = dataclasses.replace(
                    found, conditions=(*found.conditions, *verified(live, spec.verify, [refs], len(refs)))
                )
            seen[name] = found
        return seen

    def _see(self, live: Live, name: str, spec: FileIngestSpec) -> Seen[FileIngestSpec]:
        known = live.butler.dataset_types().get(spec.dataset_type)
        count, named = table.glance(spec.table)
        fits = known is not None and named.issuperset(known.dimensions)
        if fits and live.counts(count) and live.butler.count(spec.dataset_type, [name]) == count:
            return Seen(spec, (Members.counted("files", count),), facts={"untouched": False})
        rows = table.read(spec.table)
        dimensions = known.dimensions if known is not None else tuple(sorted(table.columns(rows)))
        lacking = set(dimensions) - table.columns(rows)
        if rows and lacking:
            raise StateError(f"{spec.table}: lacks the column {', '.join(sorted(lacking))}, a dimension of {spec.dataset_type}")
        wanted: dict[Hashable, dict[str, Any]] = {}
        for row in rows:
            key = tuple(row.data_id[dimension] for dimension in dimensions)
            path = row.path if "://" in row.path or row.path.startswith("/") else f"{spec.prefix.rstrip('/')}/{row.path}"
            if key in wanted and wanted[key]["path"] != path:
                raise StateError(f"{spec.table}: two files for {dict(row.data_id)}: {wanted[key]['path']} and {path}")
            wanted[key] = {**row.data_id, "path": path}
        refs = {tuple(r.dataId[d] for d in dimensions): r for r in live.butler.members(spec.dataset_type, [name]).values()}
        paths = live.butler.paths([ref for key, ref in refs.items() if key in wanted])
        moved = [
            {**wanted[key], "there": paths.get(str(ref.id), "nowhere in the datastore")}
            for key, ref in refs.items()
            if key in wanted and spec.transfer == "direct" and not _same(paths.get(str(ref.id)), wanted[key]["path"])
        ]
        strangers = [dict(zip(dimensions, key, strict=True)) for key in refs if key not in wanted]
        members = Members.compare("files", wanted, refs, changed=moved)
        members = dataclasses.replace(members, extra=tuple({**facts, "kept": True} for facts in strangers))
        come = arrivals(live, spec.delivered_by if members.missing else (), [facts["path"] for facts in members.missing])
        members = split_arrived(members, come)
        conditions = (come.condition,) if come.condition is not None and members.awaited else ()
        return Seen(spec if name in live.butler.collections() else None, (members,), conditions, {"untouched": not refs})

    def plan(self, missing: Missing[FileIngestSpec]) -> Iterable[Action]:
        (members,) = missing.seen.members
        spec = missing.desired
        if members.awaited and not members.missing:
            return
        if missing.seen.spec is not None and not members.missing:
            return
        args = {
            **spec.model_dump(mode="json", include={"dataset_type", "table", "prefix", "transfer", "formatter"}),
            "files": [dict(facts) for facts in members.missing],
            "all": bool(missing.seen.facts["untouched"]) and not members.awaited,
        }
        count = len(members.missing)
        yield Action(missing.id, "ingest", args, f"{count:,} files not ingested", Cost(count, count))

    def apply(self, live: Live, action: Action) -> Mapping[str, Any]:
        from reconciler.systems.butler import write_datasets, write_definitions

        args = action.args
        write_definitions.register_collection(live.butler, action.id.name, "RUN")
        rows = [
            {
                "dataset_type": args["dataset_type"],
                "run": action.id.name,
                "data_id": {key: value for key, value in facts.items() if key != "path"},
                "path": facts["path"],
                "formatter": args["formatter"],
            }
            for facts in args["files"]
        ]
        write_datasets.ingest(live, rows, root="", transfer=args["transfer"], what="files")
        return {"datasets": len(rows)}

    def commands(self, action: Action) -> Iterable[Sequence[str]]:
        args = action.args
        prefix = ["--prefix", args["prefix"]] if args["prefix"] else []
        formatter = ["--formatter", args["formatter"]] if args["formatter"] else []
        if not args["all"]:
            yield [
                "#",
                f"{action.id}: butler ingest-files can't do a part of a table; for {len(args['files']):,} rows, cut the table",
            ]
        yield [
            "butler", "ingest-files", "$REPO", args["dataset_type"], action.id.name,
            *prefix, "--transfer", args["transfer"], *formatter, args["table"],
        ]  # fmt: skip


def _same(there: str | None, wanted: str) -> bool:
    from reconciler.systems.storage import plain

    return there is not None and there == plain(wanted)


KIND = FileIngestKind()
