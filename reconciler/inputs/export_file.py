"""Export files of ``butler export``: what they hold, read by the C YAML loader and without the Butler.

Only the Butler's own tags are known; any other is an error, so that no file can make an object of its choice.
"""

from __future__ import annotations

import functools
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from reconciler.errors import StateError

NAMESPACE = "daf_butler"
FORMAT_MAJOR = 1


class Tai(str):
    """A time: TAI in ISO form, to nanoseconds."""


class Encoded(str):
    """A region on the sky, as the hexadecimal digits of its encoding."""


class Span(NamedTuple):
    """A validity range.

    Parameters
    ----------
    begin, end : `str` or `None`
        TAI in ISO form; `None` for unbounded.
    """

    begin: str | None
    end: str | None


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
    try:
        stamp = os.stat(path)
    except FileNotFoundError as error:
        raise StateError(
            f"{path}: no such file", ("where does the export file lie? It is named relative to the state file",)
        ) from error
    except OSError as error:
        raise StateError(f"{path}: can't be read: {error.strerror}") from error
    return _read(path, stamp.st_mtime_ns, stamp.st_size)


@functools.lru_cache(maxsize=64)
def _read(path: str, changed: int, size: int) -> ExportFile:
    import yaml

    try:
        document = yaml.load(Path(path).read_bytes(), Loader=_loader())  # noqa: S506 (it is a safe one)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise StateError(f"{path}{line}: not an export file: {problem}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise StateError(f"{path}: not an export file: {str(error)[:200]}") from error
    try:
        return _content(document)
    except _NotAnExport as error:
        raise StateError(f"{path}: not an export file: {error}") from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)[:200]
        raise StateError(f"{path}: not an export file: a record is malformed ({what})") from error


class _NotAnExport(Exception):
    pass


@functools.cache
def _loader() -> Any:
    import yaml

    class Loader(yaml.CSafeLoader):  # the pure Python one reads 10,000 datasets in 8 s
        pass

    def scalar(loader: Any, node: Any) -> str:
        return str(loader.construct_scalar(node))

    def region(loader: Any, suffix: str, node: Any) -> Encoded:
        return Encoded(loader.construct_mapping(node)["encoded"])

    def span(loader: Any, node: Any) -> Span:
        if not isinstance(node, yaml.MappingNode):
            raise yaml.constructor.ConstructorError(None, None, "an empty validity range", node.start_mark)
        values = loader.construct_mapping(node)
        return Span(values.get("begin"), values.get("end"))

    Loader.add_constructor("!uuid", lambda loader, node: str(uuid.UUID(hex=scalar(loader, node))))
    Loader.add_constructor("!butler_time/tai/iso", lambda loader, node: Tai(scalar(loader, node)))
    Loader.add_constructor("!lsst.daf.butler.Timespan", span)
    Loader.add_multi_constructor("lsst.sphgeom.", region)
    return Loader


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
