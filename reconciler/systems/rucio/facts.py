"""What Rucio reports, as typed records, and the checks that a response really comes from Rucio."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

RuleOptions = Mapping[str, str | int | bool | None]
"""What update_replication_rule changes, by its names: activity, comment, priority, locked, lifetime."""


@dataclass(frozen=True)
class DidFacts:
    """A dataset, container or file.

    Parameters
    ----------
    type : `str`
        DATASET, CONTAINER or FILE.
    is_open : `bool`
        Whether files or datasets may still be added.
    length : `int` or `None`
        Number of files; `None` while it is open.
    bytes : `int` or `None`
        Size of all files; `None` while it is open.
    adler32 : `str`
        Checksum of a file; empty if Rucio has none.
    created_at, updated_at : `datetime.datetime` or `None`
        UTC, naive. Attaching files to an open dataset doesn't change ``updated_at``; detaching and closing do.
    """

    type: str
    is_open: bool
    length: int | None
    bytes: int | None = None
    created_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = None
    adler32: str = ""


class FileFacts(NamedTuple):
    """A file in a dataset; ``size`` is in bytes, and ``adler32`` is empty if Rucio has none."""

    scope: str
    name: str
    size: int
    adler32: str = ""

    @property
    def did(self) -> str:
        return f"{self.scope}:{self.name}"


@dataclass(frozen=True)
class BadReplica:
    """A replica that somebody declared bad and that hasn't been replaced since; ``did`` is that of the file."""

    did: str
    rse: str


@dataclass(frozen=True)
class Delivery:
    """Which files of some datasets are available at an RSE, of how many.

    Parameters
    ----------
    wanted : `int`
        Number of files in the datasets that exist.
    here : frozenset of (`str`, `str`)
        Scope and name of the files that are available.
    missing_dids : tuple of `str`
        Datasets that don't exist.
    """

    wanted: int
    here: frozenset[tuple[str, str]] = frozenset()
    missing_dids: tuple[str, ...] = ()

    @property
    def available(self) -> int:
        """Number of files that are available."""
        return len(self.here)

    @property
    def complete(self) -> bool:
        """Whether all datasets exist and all of their files are available."""
        return not self.missing_dids and self.available >= self.wanted


@dataclass(frozen=True)
class RuleFacts:
    """A replication rule of a DID.

    Parameters
    ----------
    id : `str`
        Rule ID.
    name : `str`
        Name of the DID, without its scope.
    account, rse_expression, copies
        Its identity for Rucio, together with the DID.
    state : `str`
        OK, REPLICATING, STUCK, SUSPENDED, INJECT or WAITING_APPROVAL; later versions of Rucio may add others.
    locks_ok, locks_replicating, locks_stuck : `int`
        Number of file copies in each state.
    created_at, updated_at, expires_at, stuck_at : `datetime.datetime` or `None`
        UTC, naive, as Rucio stores them.
    error : `str` or `None`
        Why it is stuck.
    child_rule_id : `str` or `None`
        The rule that replaces it, while it is being moved.
    activity, comments, priority, locked
        What can be updated.
    """

    id: str
    name: str
    account: str
    rse_expression: str
    copies: int
    state: str
    locks_ok: int = 0
    locks_replicating: int = 0
    locks_stuck: int = 0
    created_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = None
    expires_at: datetime.datetime | None = None
    stuck_at: datetime.datetime | None = None
    error: str | None = None
    child_rule_id: str | None = None
    activity: str | None = None
    comments: str | None = None
    priority: int | None = None
    locked: bool | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> RuleFacts:
        """Read a record of list_replication_rules."""
        return cls(
            id=row["id"],
            name=row["name"],
            account=row["account"],
            rse_expression=row["rse_expression"],
            copies=int(row["copies"]),
            state=_plain(row["state"]),
            locks_ok=int(row.get("locks_ok_cnt") or 0),
            locks_replicating=int(row.get("locks_replicating_cnt") or 0),
            locks_stuck=int(row.get("locks_stuck_cnt") or 0),
            created_at=parse_time(row.get("created_at")),
            updated_at=parse_time(row.get("updated_at")),
            expires_at=parse_time(row.get("expires_at")),
            stuck_at=parse_time(row.get("stuck_at")),
            error=row.get("error"),
            child_rule_id=row.get("child_rule_id") or None,
            activity=row.get("activity"),
            comments=row.get("comments"),
            priority=row.get("priority"),
            locked=row.get("locked"),
        )


@dataclass(frozen=True)
class RuleRequest:
    """A replication rule to add, named as in add_replication_rule; the server or the client chooses what is `None`."""

    rse_expression: str
    copies: int
    account: str | None = None
    lifetime: int | None = None
    activity: str | None = None
    comment: str | None = None
    priority: int | None = None
    locked: bool | None = None
    grouping: str = "DATASET"


def did_facts(row: Mapping[str, Any]) -> DidFacts:
    """Read a record of get_metadata_bulk or get_metadata."""
    is_open = bool(row["is_open"])
    # Rucio leaves the numbers of a dataset that is opened again as they were when it was closed.
    length, size = (None, None) if is_open else (row["length"], row.get("bytes"))
    created, updated = parse_time(row.get("created_at")), parse_time(row.get("updated_at"))
    return DidFacts(_plain(row["did_type"]), is_open, length, size, created, updated, row.get("adler32") or "")


def _plain(member: object) -> str:
    """Write an enum member without its class: the client gives ``OK`` or ``RuleState.OK``, depending on its version."""
    return str(member).rpartition(".")[2]


def parse_time(value: object) -> datetime.datetime | None:
    """Read a time, which the client gives as text or as a datetime in UTC; of text the zone is dropped, not converted."""
    if value is None or isinstance(value, datetime.datetime):
        return value
    from email.utils import parsedate_to_datetime

    text = str(value)
    try:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return parsedate_to_datetime(text).replace(tzinfo=None)


def split_did(did: str) -> tuple[str, str]:
    """Split ``scope:name`` into scope and name; the name of a scope alone is empty."""
    scope, _, name = did.partition(":")
    return scope, name


def did_keys(dids: Iterable[str]) -> list[dict[str, str]]:
    """Write DIDs as the client takes them in a list."""
    return [{"scope": scope, "name": name} for scope, name in map(split_did, dids)]


def read_rows(answer: Any, *keys: str) -> Iterator[Any]:
    """Yield the records of a response, each of which must have all of ``keys``.

    Raises
    ------
    json.JSONDecodeError
        If it isn't records: a proxy's page with status 200 comes back from the client as text.
    """
    if isinstance(answer, str | bytes):
        raise json.JSONDecodeError("not JSON", str(answer)[:200], 0)
    for row in answer:
        if keys and (not isinstance(row, dict) or any(key not in row for key in keys)):
            raise not_a_record(row)
        yield row


def not_a_record(row: object) -> json.JSONDecodeError:
    """Return the error for a part of a response that is JSON, but not the record that was expected."""
    return json.JSONDecodeError("not a record", str(row)[:200], 0)
