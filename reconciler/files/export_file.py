"""Content of the export files that ``butler export`` writes, read without the Butler."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.errors import StateError
from reconciler.files import export_yaml
from reconciler.files.export_types import Span
from reconciler.files.text import get_file_version

NAMESPACE = "daf_butler"
FORMAT_MAJOR = 1


@dataclass(frozen=True)
class ExportedCollection:
    """A collection.

    Parameters
    ----------
    type : `str`
        RUN, TAGGED, CALIBRATION or CHAINED.
    children : tuple of `str`
        Children of a CHAINED collection, in search order.
    doc : `str`
        Its documentation.
    """

    type: str
    children: tuple[str, ...] = ()
    doc: str = ""


@dataclass(frozen=True)
class ExportedType:
    """A dataset type, with its dimensions in the order of the file."""

    dimensions: tuple[str, ...]
    storage_class: str
    is_calibration: bool


@dataclass(frozen=True)
class ExportedDataset:
    """A dataset.

    Parameters
    ----------
    dataset_type, run : `str`
        Names of its dataset type and of its RUN collection.
    data_id : mapping
        Values of its required dimensions.
    path : `str`
        Path of its file, relative to the root of the export.
    formatter : `str` or `None`
        Name of the class that reads the file.
    """

    dataset_type: str
    run: str
    data_id: Mapping[str, Any]
    path: str
    formatter: str | None


@dataclass(frozen=True)
class ExportFile:
    """Everything in an export file.

    Parameters
    ----------
    universe_version : `int`
        Version of the dimension universe of the exporting repository.
    universe_namespace : `str`
        Namespace of that universe.
    dimensions : mapping
        Dimension records by name of the dimension.
    collections, dataset_types : mapping
        Collections and dataset types by name.
    datasets : mapping
        Datasets by UUID.
    certifications : tuple of (`str`, `Span`, `str`)
        CALIBRATION collection, validity range and dataset UUID.
    tags : tuple of (`str`, `str`)
        TAGGED collection and dataset UUID.
    """

    universe_version: int
    universe_namespace: str
    dimensions: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    collections: Mapping[str, ExportedCollection] = field(default_factory=dict)
    dataset_types: Mapping[str, ExportedType] = field(default_factory=dict)
    datasets: Mapping[str, ExportedDataset] = field(default_factory=dict)
    certifications: tuple[tuple[str, Span, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


def read(path: str) -> ExportFile:
    """Read an export file; the result is cached until the file changes.

    Raises
    ------
    reconciler.errors.StateError
        If the file is missing or isn't a valid export file.
    """
    return _read(path, *get_file_version(path))


@functools.lru_cache(maxsize=64)
def _read(path: str, mtime: int, size: int) -> ExportFile:
    document = export_yaml.load(path)
    try:
        return _read_document(document)
    except _NotAnExport as error:
        raise StateError(f"{path}: not an export file: {error}") from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = f"missing key {error}" if isinstance(error, KeyError) else str(error)[:200]
        raise StateError(f"{path}: not an export file: a record is malformed ({what})") from error


class _NotAnExport(Exception):
    """The document isn't an export file of a supported format; the message explains why."""


def _read_document(document: Any) -> ExportFile:
    if not isinstance(document, dict) or "data" not in document or "version" not in document:
        raise _NotAnExport('it has no "version" and "data"')
    version = str(document["version"])
    if version != "0" and version.partition(".")[0] != str(FORMAT_MAJOR):
        raise _NotAnExport(f"unsupported format version {version}; {FORMAT_MAJOR}.x is supported")
    if not isinstance(document["data"], list):
        raise _NotAnExport('"data" is not a list')
    reader = _EntryReader()
    for entry in document["data"]:
        reader.add(entry)
    reader.check_associations()
    return ExportFile(
        int(document.get("universe_version", 0)),
        str(document.get("universe_namespace", NAMESPACE)),
        reader.dimensions,
        reader.collections,
        reader.dataset_types,
        reader.datasets,
        tuple(reader.certifications),
        tuple(reader.tags),
    )


class _EntryReader:
    """Collects the entries of an export file, one method for each type of entry."""

    def __init__(self) -> None:
        self.dimensions: dict[str, list[dict[str, Any]]] = {}
        self.collections: dict[str, ExportedCollection] = {}
        self.dataset_types: dict[str, ExportedType] = {}
        self.datasets: dict[str, ExportedDataset] = {}
        self.certifications: list[tuple[str, Span, str]] = []
        self.tags: list[tuple[str, str]] = []

    def add(self, entry: Any) -> None:
        match entry["type"]:
            case "dimension":
                self.dimensions.setdefault(entry["element"], []).extend(entry["records"])
            case "collection":
                children = tuple(_read_child(child, entry["name"]) for child in entry.get("children") or ())
                type_name = entry["collection_type"].upper()
                self.collections[entry["name"]] = ExportedCollection(type_name, children, entry.get("doc") or "")
            case "run":
                self.collections[entry["name"]] = ExportedCollection("RUN")
            case "dataset_type":
                self.dataset_types[entry["name"]] = ExportedType(
                    tuple(entry["dimensions"]), entry["storage_class"], bool(entry.get("is_calibration", False))
                )
            case "dataset":
                self._add_datasets(entry)
            case "associations":
                self._add_associations(entry)
            case unknown:
                raise _NotAnExport(f'unknown entry type "{unknown}"')

    def _add_datasets(self, entry: Any) -> None:
        dataset_type, run = entry["dataset_type"], entry["run"]
        for record in entry["records"]:
            uuids, data_ids = _as_list(record["dataset_id"]), _as_list(record["data_id"])
            for uuid, data_id in zip(uuids, data_ids, strict=True):
                if not isinstance(uuid, str):
                    raise _NotAnExport("it has dataset IDs that are not UUIDs; export the datasets again with a current stack")
                self.datasets[uuid] = ExportedDataset(dataset_type, run, dict(data_id), record["path"], record.get("formatter"))

    def _add_associations(self, entry: Any) -> None:
        collection = entry["collection"]
        if entry["collection_type"].upper() == "TAGGED":
            self.tags.extend((collection, uuid) for uuid in entry["dataset_ids"])
            return
        for validity in entry["validity_ranges"]:
            span = validity["timespan"] if "timespan" in validity else Span(validity["begin"], validity["end"])
            self.certifications.extend((collection, span, uuid) for uuid in validity["dataset_ids"])

    def check_associations(self) -> None:
        """Raise if a collection contains datasets that the file doesn't."""
        associated = {uuid for *_, uuid in self.certifications} | {uuid for _, uuid in self.tags}
        missing = associated - set(self.datasets)
        if missing:
            what = "1 associated dataset is" if len(missing) == 1 else f"{len(missing):,} associated datasets are"
            raise _NotAnExport(f"{what} missing from the file, for example {min(missing)}")


def _read_child(child: Any, chain: str) -> str:
    """Return the name of a child: it is written alone, or as the first item of a list."""
    name = child[0] if isinstance(child, list) and child else child
    if not isinstance(name, str):
        raise _NotAnExport(f"a child of {chain} is not the name of a collection")
    return name


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
