"""What Rucio says, in our words, and the checks that it is Rucio who says it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DidFacts:
    """What Rucio knows of a dataset or container.

    Parameters
    ----------
    type : `str`
        DATASET, CONTAINER or FILE.
    is_open : `bool`
        Whether something may be added.
    length, size : `int` or `None`
        Files and bytes; `None` while it is open.
    """

    type: str
    is_open: bool
    length: int | None
    size: int | None


@dataclass(frozen=True)
class FileFacts:
    """A file in a dataset.

    Parameters
    ----------
    scope, name : `str`
        Its DID.
    size : `int`
        Bytes.
    """

    scope: str
    name: str
    size: int


@dataclass(frozen=True)
class Delivery:
    """How much of some datasets is at an RSE.

    Parameters
    ----------
    wanted : `int`
        Files in them.
    here : frozenset of (`str`, `str`)
        DIDs of the files that are available there; empty if all are and nobody asked which.
    available : `int`
        How many that are.
    missing_dids : tuple of `str`
        Datasets that do not exist.
    """

    wanted: int
    available: int
    here: frozenset[tuple[str, str]] = frozenset()
    missing_dids: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        return not self.missing_dids and self.available >= self.wanted


def split(did: str) -> tuple[str, str]:
    """Take a DID apart.

    Parameters
    ----------
    did : `str`
        ``scope:name``.

    Returns
    -------
    scope, name : `str`
        Its parts.
    """
    scope, _, name = did.partition(":")
    return scope, name


class ShortAnswer(Exception):
    """A list is shorter than what is recorded elsewhere: the connection was cut at the end of a line."""


def rows(answer: Any, *keys: str) -> Iterator[Any]:
    """Check that an answer is a list of records: a proxy's page with status 200 comes back as text.

    Parameters
    ----------
    answer : `object`
        What the client returned.
    *keys : `str`
        What each record is to have.

    Yields
    ------
    record : `dict`
        Each.

    Raises
    ------
    json.JSONDecodeError
        If it is not records.
    """
    if isinstance(answer, str | bytes):
        raise json.JSONDecodeError("not JSON", str(answer)[:200], 0)
    for row in answer:
        if keys and (not isinstance(row, dict) or any(key not in row for key in keys)):
            raise json.JSONDecodeError("not a record", str(row)[:200], 0)
        yield row
