"""What really exists, found by listing all of it with lsst.daf.butler and rucio.client alone.

It imports nothing of the product, so that the product's answers can be checked against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


def list_datasets(butler: Any, dataset_type: str, collection: str) -> dict[int, tuple[str, str]]:
    """Return the UUID and the path of each dataset of a type with one dimension, by its value; no path if it is not stored."""
    found = {}
    if collection not in set(butler.collections.query("*")):
        return {}
    for ref in butler.query_datasets(dataset_type, collection, find_first=False, explain=False):
        (value,) = ref.dataId.required.values()
        try:
            path = unquote(urlsplit(str(butler.getURI(ref))).path)
        except FileNotFoundError:
            path = ""
        found[int(value)] = (str(ref.id), path)
    return found


def list_children(butler: Any, chain: str) -> tuple[str, ...] | None:
    """Return the children of a chain, or None if there is none."""
    return tuple(butler.collections.get_info(chain).children) if chain in set(butler.collections.query("*")) else None


def has_files(datasets: Mapping[int, tuple[str, str]], wanted: Mapping[int, Path]) -> bool:
    """Return True if a dataset of each value is there and stored as a certain file."""
    return all(value in datasets and datasets[value][1] == str(path) for value, path in wanted.items())


def has_ids(datasets: Mapping[int, tuple[str, str]], wanted: Mapping[int, str]) -> bool:
    """Return True if a dataset of each value is there with a certain UUID, and stored."""
    return all(value in datasets and datasets[value][0] == its and datasets[value][1] for value, its in wanted.items())


def list_files(client: Any, scope: str, name: str) -> set[str]:
    """Return the names of the files of a Rucio dataset."""
    return {item["name"] for item in client.list_files(scope, name)}


def list_rules(client: Any, scope: str, name: str) -> set[tuple[str, int]]:
    """Return the RSE expression and copies of each rule of a Rucio dataset that is not about to be deleted."""
    rules: Iterable[Mapping[str, Any]] = client.list_did_rules(scope, name)
    return {(rule["rse_expression"], rule["copies"]) for rule in rules if rule["expires_at"] is None}
