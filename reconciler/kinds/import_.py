"""Imports: the part of an export file that the repository lacks, and nothing else.

``butler import`` run twice fails, and before it fails it resets every chain that the file mentions. So the file is compared
with the repository, and only what is missing is done. A chain is set when it is absent; one that differs is a difference,
unless a table of its own says what it is to be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from reconciler.engine.model import Action, Cost, InputPath, Kind, Missing, Seen, Spec
from reconciler.files import export_file
from reconciler.files.export_file import ExportFile
from reconciler.kinds.raw import Transfer
from reconciler.kinds.shared.delivery import DELIVERED_BY
from reconciler.kinds.shared.export_comparison import compare
from reconciler.kinds.shared.storage_check import VERIFY

if TYPE_CHECKING:
    from reconciler.systems.context import Live


class ImportSpec(Spec):
    """What an export file holds."""

    export_file: InputPath = Field(description="The file that butler export wrote.", examples=["ccms1/DM-48520/export.yaml"])
    root: str = Field(description="What paths in it are relative to.", examples=["${data}/ancillary"])
    transfer: Transfer = Field("direct", description="How the datastore takes the files.")
    delivered_by: tuple[str, ...] = DELIVERED_BY
    verify: str = VERIFY
    replace: dict[str, str] = Field(
        default_factory=dict, description="Beginnings of paths in the file, and what to put in their place."
    )

    def path(self, path: str) -> str:
        """Complete a path of the file.

        Parameters
        ----------
        path : `str`
            As exported.

        Returns
        -------
        path : `str`
            Where the file is at this facility.
        """
        for old, new in self.replace.items():
            if path.startswith(old):
                path = new + path[len(old) :]
        return path if "://" in path or path.startswith("/") else f"{self.root.rstrip('/')}/{path}"


class ImportKind(Kind[ImportSpec]):
    """The kind of ``import`` tables."""

    name = "import"
    spec = ImportSpec
    summary = "Export files to import."
    rank = 45

    def systems(self, spec: ImportSpec) -> frozenset[Literal["butler", "rucio"]]:
        return frozenset({"butler", "rucio"} if spec.delivered_by else {"butler"})

    def contributes(self, name: str, spec: ImportSpec) -> Iterable[str]:
        content = export_file.read(spec.export_file)
        yield from (f"collection:{collection}" for collection in content.collections)
        yield from (f"dataset_type:{dataset_type}" for dataset_type in content.dataset_types)

    def needs(self, name: str, spec: ImportSpec) -> Iterable[str]:
        content = export_file.read(spec.export_file)
        for collection in content.collections.values():
            yield from (f"collection:{c}" for c in collection.children if c not in content.collections)

    def follows(self, name: str, spec: ImportSpec) -> Iterable[str]:
        yield "instrument:*"
        if {"visit", "exposure"} & set(export_file.read(spec.export_file).dimensions):
            yield "visits:*"
        yield from (f"did:{pattern}" for pattern in spec.delivered_by)

    def exports(self, spec: ImportSpec) -> Iterable[str]:
        yield spec.export_file

    def imports(self, spec: ImportSpec) -> Iterable[str]:
        content = export_file.read(spec.export_file)
        yield from sorted({dataset.formatter for dataset in content.datasets.values() if dataset.formatter})

    def observe(self, live: Live, desired: Mapping[str, ImportSpec]) -> Mapping[str, Seen[ImportSpec]]:
        return compare(live, desired)

    def plan(self, missing: Missing[ImportSpec]) -> Iterable[Action]:
        facts, seen = missing.seen.facts, missing.seen
        parts = {members.field: members for members in seen.members}
        datasets = [m["id"] for m in parts["datasets"].missing]
        awaited = {m["id"] for m in parts["datasets"].awaited}
        if any(condition.sort == "conflict" for condition in seen.conditions) or (awaited and not datasets):
            return
        certifications = [
            [m["collection"], m["id"], m["begin"], m["end"]] for m in parts["certifications"].missing if m["id"] not in awaited
        ]
        tags = [[m["collection"], m["id"]] for m in parts["tags"].missing if m["id"] not in awaited]
        args: dict[str, Any] = {
            "export_file": missing.desired.export_file,
            "root": missing.desired.root,
            "replace": dict(missing.desired.replace),
            "transfer": missing.desired.transfer,
            "dataset_types": [m["name"] for m in parts["dataset types"].missing],
            "collections": [m["collection"] for m in parts["collections"].missing],
            "chains": [m["collection"] for m in parts["chains"].missing],
            "datasets": datasets,
            "certifications": certifications,
            "tags": tags,
        }
        todo = ("dataset_types", "collections", "chains", "datasets", "certifications", "tags")
        if any(args[key] for key in todo):
            args["all"] = bool(facts["untouched"]) and not awaited
            words = {key.replace("_", " "): len(args[key]) for key in todo if args[key]}
            reason = "lacks " + ", ".join(f"{count:,} {word}" for word, count in words.items())
            yield Action(missing.id, "import", args, reason, Cost(len(datasets), len(datasets)))

    def apply(self, live: Live, action: Action) -> Mapping[str, Any]:
        from reconciler.systems.butler import write_datasets, write_definitions

        args = action.args
        spec = ImportSpec(export_file=args["export_file"], root=args["root"], replace=args["replace"], transfer=args["transfer"])
        content = export_file.read(spec.export_file)
        for name in args["dataset_types"]:
            definition = content.dataset_types[name]
            write_definitions.register_dataset_type(
                live.butler,
                name,
                definition.dimensions,
                definition.storage_class,
                is_calibration=definition.is_calibration,
            )
        for name in args["collections"]:
            write_definitions.register_collection(
                live.butler, name, content.collections[name].type, content.collections[name].doc
            )
        if args["datasets"]:
            write_definitions.insert_records(live.butler, content.dimensions)
        rows = [
            {
                "id": id,
                "dataset_type": content.datasets[id].dataset_type,
                "run": content.datasets[id].run,
                "data_id": content.datasets[id].data_id,
                "path": spec.path(content.datasets[id].path),
                "formatter": content.datasets[id].formatter,
            }
            for id in args["datasets"]
        ]
        write_datasets.ingest(live, rows, root=spec.root, transfer=spec.transfer, what="datasets")
        live.forget()
        _associate(live, content, args)
        for name in args["chains"]:
            chain = content.collections[name]
            write_definitions.define_chain(live.butler, name, chain.children, chain.doc)
        return {"datasets": len(rows), "certifications": len(args["certifications"])}

    def commands(self, action: Action) -> Iterable[Sequence[str]]:
        args = action.args
        whole = ["butler", "import", "$REPO", args["root"], "--export-file", args["export_file"], "--transfer", args["transfer"]]
        if args["all"]:
            yield whole
        else:
            yield ["#", f"{action.id}: {action.reason}.", "butler import can't do a part of a file; reconcile apply does"]


def _associate(live: Live, content: ExportFile, args: Mapping[str, Any]) -> None:
    """Certify and tag, collection by collection."""
    from reconciler.systems.butler import write_datasets

    needed = {id for _, id, *_ in args["certifications"]} | {id for _, id in args["tags"]}
    refs: dict[str, Any] = {}
    runs: dict[str, set[str]] = defaultdict(set)
    for id in needed:
        runs[content.datasets[id].dataset_type].add(content.datasets[id].run)
    for dataset_type, names in runs.items():
        refs |= live.butler.members(dataset_type, sorted(names))
    certified: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
    for collection, id, begin, end in args["certifications"]:
        certified[collection].append((id, begin, end))
    for collection, ranges in certified.items():
        write_datasets.certify(live.butler, ranges, refs, collection)
    tagged: dict[str, list[Any]] = defaultdict(list)
    for collection, id in args["tags"]:
        tagged[collection].append(refs[id])
    for collection, members in tagged.items():
        write_datasets.associate(live.butler, collection, members, lambda done: None)


KIND = ImportKind()
