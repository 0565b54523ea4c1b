"""Export files of ``butler export``: what they hold, read without the Butler."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.errors import StateError
from reconciler.files import export_yaml
from reconciler.files.export_yaml import Span
from reconciler.files.text import stamp

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
        Of a chain.
    doc : `str`
        Its documentation.
    """

    type: str
    children: tuple[str, ...] = ()
    doc: str = ""


@dataclass(frozen=True)
class ExportedType:
    """A dataset type.

    Parameters
    ----------
    dimensions : tuple of `str`
        As written.
    storage_class : `str`
        Its name.
    is_calibration : `bool`
        Whether it may be certified.
    """

    dimensions: tuple[str, ...]
    storage_class: str
    is_calibration: bool


@dataclass(frozen=True)
class ExportedDataset:
    """A dataset.

    Parameters
    ----------
    dataset_type, run : `str`
        Of what type, and in which RUN.
    data_id : mapping
        Required dimensions.
    path : `str`
        Of its file.
    formatter : `str` or `None`
        Class that reads it.
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
        Of the dimension universe that it was written with.
    universe_namespace : `str`
        Likewise.
    dimensions : mapping
        Records by dimension.
    collections, dataset_types, datasets : mapping
        By name, by name, by UUID.
    certifications : tuple of (`str`, `Span`, `str`)
        Collection, validity range, UUID.
    tags : tuple of (`str`, `str`)
        TAGGED collection, UUID.
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
    """Read an export file; the same file is read once.

    Parameters
    ----------
    path : `str`
        The file.

    Returns
    -------
    content : `ExportFile`
        What it holds.

    Raises
    ------
    reconciler.errors.StateError
        If it is missing, or no export file.
    """
    return _read(path, *stamp(path))


@functools.lru_cache(maxsize=64)
def _read(path: str, changed: int, size: int) -> ExportFile:
    document = export_yaml.load(path)
    try:
        return _content(document)
    except _NotAnExport as error:
        raise StateError(f"{path}: not an export file: {error}") from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)[:200]
        raise StateError(f"{path}: not an export file: a record is malformed ({what})") from error


class _NotAnExport(Exception):
    pass


def _content(document: Any) -> ExportFile:
    if not isinstance(document, dict) or "data" not in document or "version" not in document:
        raise _NotAnExport("it has no version and data")
    version = str(document["version"])
    if version != "0" and version.partition(".")[0] != str(FORMAT_MAJOR):
        raise _NotAnExport(f"its format is {version}, and {FORMAT_MAJOR}.x is known")
    if not isinstance(document["data"], list):
        raise _NotAnExport("data is not a list")
    dimensions: dict[str, list[dict[str, Any]]] = {}
    collections: dict[str, ExportedCollection] = {}
    types: dict[str, ExportedType] = {}
    datasets: dict[str, ExportedDataset] = {}
    certifications: list[tuple[str, Span, str]] = []
    tags: list[tuple[str, str]] = []
    for part in document["data"]:
        match part["type"]:
            case "dimension":
                dimensions.setdefault(part["element"], []).extend(part["records"])
            case "collection":
                children = tuple(c if isinstance(c, str) else c[0] for c in part.get("children") or ())
                collections[part["name"]] = ExportedCollection(part["collection_type"].upper(), children, part.get("doc") or "")
            case "run":
                collections[part["name"]] = ExportedCollection("RUN")
            case "dataset_type":
                types[part["name"]] = ExportedType(
                    tuple(part["dimensions"]), part["storage_class"], bool(part.get("is_calibration", False))
                )
            case "dataset":
                for record in part["records"]:
                    ids, data_ids = record["dataset_id"], record["data_id"]
                    ids = ids if isinstance(ids, list) else [ids]
                    data_ids = data_ids if isinstance(data_ids, list) else [data_ids]
                    for id, data_id in zip(ids, data_ids, strict=True):
                        if not isinstance(id, str):
                            raise _NotAnExport("it has dataset IDs that are no UUIDs; export it anew")
                        datasets[id] = ExportedDataset(
                            part["dataset_type"], part["run"], dict(data_id), record["path"], record.get("formatter")
                        )
            case "associations":
                collection = part["collection"]
                if part["collection_type"].upper() == "TAGGED":
                    tags.extend((collection, id) for id in part["dataset_ids"])
                else:
                    for entry in part["validity_ranges"]:
                        span = entry["timespan"] if "timespan" in entry else Span(entry["begin"], entry["end"])
                        certifications.extend((collection, span, id) for id in entry["dataset_ids"])
            case unknown:
                raise _NotAnExport(f'unknown part "{unknown}"')
    unknown_ids = ({id for *_, id in certifications} | {id for _, id in tags}) - set(datasets)
    if unknown_ids:
        raise _NotAnExport(f"{len(unknown_ids)} associated datasets are not in it, such as {min(unknown_ids)}")
    return ExportFile(
        int(document.get("universe_version", 0)),
        str(document.get("universe_namespace", NAMESPACE)),
        dimensions,
        collections,
        types,
        datasets,
        tuple(certifications),
        tuple(tags),
    )
