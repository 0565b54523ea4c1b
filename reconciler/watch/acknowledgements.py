"""Known differences that somebody has accepted until a date: ``acks/<state>.toml`` next to the state file.

The file is in a folder of its own, so that ``state/*.toml`` never matches it, and is meant to be reviewed and versioned like the
state. An acknowledgement changes what a watch reports as drift, and nothing else: ``apply`` doesn't read it.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tomli
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reconciler.errors import MissingFile, StateError, did_you_mean
from reconciler.files.text import read_text
from reconciler.watch.check_result import UNKNOWN_KIND, FoundDifference
from reconciler.watch.state_report import AcknowledgedBy

TWO_BRACKETS = "write [[acknowledge]], with two brackets"


class Acknowledgement(BaseModel):
    """One accepted difference: a table ``[[acknowledge]]``."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="acknowledge")

    address: str = Field(min_length=1, description="Address of the resource.", examples=['raw."LSSTComCam/raw/all"'])
    field: str | None = Field(
        None,
        description="Key of the table, or noun of the members, that may differ; all differences of the resource by default.",
        examples=["children", "raws"],
    )
    reason: str = Field(min_length=1, description="Why the difference is accepted.")
    ticket: str = Field("", description="Ticket that follows it.", examples=["DM-48746"])
    until: datetime.date = Field(description="The last day, in UTC, on which the acknowledgement holds.", examples=["2026-12-24"])
    fingerprint: str | None = Field(
        None,
        description="Digest of the difference, as reconcile ack writes it. The acknowledgement ends when the difference changes; "
        "without a fingerprint it covers every difference of the resource or field.",
    )

    @property
    def place(self) -> str:
        """What it covers, as reconcile ack takes it."""
        return f"{self.address}:{self.field}" if self.field else self.address


class AcknowledgementFile(BaseModel):
    """The content of an acknowledgement file."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Acknowledged differences of a state")

    version: Literal[1] = Field(description="Version of the format.")
    acknowledge: tuple[Acknowledgement, ...] = Field((), description="Accepted differences.")


@dataclass(frozen=True)
class Acknowledgements:
    """What a file acknowledges, and what is wrong with it.

    Parameters
    ----------
    path : `pathlib.Path`
        The file, which may not exist.
    entries : `tuple` [`Acknowledgement`, ...]
        The valid ones.
    problems : `tuple` [`str`, ...]
        What is wrong with the file or its entries, one line each. An entry that is wrong is ignored, so that what it was to cover
        is reported.
    """

    path: Path
    entries: tuple[Acknowledgement, ...] = ()
    problems: tuple[str, ...] = ()


def acknowledgement_path(state: Path) -> Path:
    """Return the path of the acknowledgement file of a state: its own name, in the folder ``acks`` next to it."""
    return state.parent / "acks" / state.name


def acknowledgement_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of acknowledgement files."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **AcknowledgementFile.model_json_schema()}


def load_acknowledgements(state: Path) -> Acknowledgements:
    """Read the acknowledgements of a state. What is wrong becomes a problem of the result and never an exception."""
    path = acknowledgement_path(state)
    try:
        document = tomli.loads(read_text(path))
    except MissingFile:
        return Acknowledgements(path)
    except StateError as error:
        return Acknowledgements(path, problems=(str(error),))
    except tomli.TOMLDecodeError as error:
        return Acknowledgements(path, problems=(f"{_show(path)}: invalid TOML: {error}",))
    entries, problems = [], []
    if document.get("version") != 1:
        problems.append(f"{_show(path)}: version: must be 1")
    known = AcknowledgementFile.model_fields
    problems += [f'{_show(path)}: unknown key "{key}"{did_you_mean(key, known)}' for key in document if key not in known]
    tables = document.get("acknowledge", [])
    if not isinstance(tables, list):
        return Acknowledgements(path, (), (*problems, f"{_show(path)}: {TWO_BRACKETS}"))
    for number, table in enumerate(tables, 1):
        try:
            entries.append(Acknowledgement.model_validate(table))
        except ValidationError as error:
            problems += [_explain(path, number, table, item) for item in error.errors()]
    return Acknowledgements(path, tuple(entries), tuple(problems))


def check_acknowledgements(
    found: Acknowledgements, addresses: Collection[str], fields: Mapping[str, Collection[str]], today: datetime.date
) -> tuple[str, ...]:
    """Return what is wrong with a file: its own problems, entries for unknown addresses or fields, and entries that have ended.

    Parameters
    ----------
    found : `Acknowledgements`
        The file.
    addresses : `Collection` [`str`]
        All addresses of the state.
    fields : `Mapping` [`str`, `Collection` [`str`]]
        Fields by address, for addresses whose fields are known.
    today : `datetime.date`
        In UTC.
    """
    problems = list(found.problems)
    for entry in found.entries:
        where = f"{_show(found.path)}: {entry.place}"
        if entry.address not in addresses:
            problems.append(f"{where}: no table has this address{did_you_mean(entry.address, addresses)}")
        elif _is_unknown_field(entry, fields.get(entry.address)):
            problems.append(f'{where}: unknown field "{entry.field}"{did_you_mean(entry.field or "", fields[entry.address])}')
        elif entry.until < today:
            problems.append(
                f"{where}: the acknowledgement ended on {entry.until}; repair the difference, or acknowledge it again"
            )
    return tuple(problems)


def _is_unknown_field(entry: Acknowledgement, known: Collection[str] | None) -> bool:
    """Return True for a field that neither a table nor a difference has.

    Some fields, such as the storage of verified files, show only while they differ. `reconcile ack` writes a fingerprint with
    those, so with a fingerprint only a field that resembles a known one is a mistake.
    """
    if not entry.field or known is None or entry.field in known:
        return False
    return entry.fingerprint is None or bool(did_you_mean(entry.field, known))


def find_acknowledgement(
    difference: FoundDifference, differences: Iterable[FoundDifference], entries: Iterable[Acknowledgement], today: datetime.date
) -> tuple[AcknowledgedBy | None, str]:
    """Find the acknowledgement that covers a difference.

    Parameters
    ----------
    difference : `FoundDifference`
        What differs. What could not be checked can't be acknowledged.
    differences : `Iterable` [`FoundDifference`]
        Everything that differs in the state.
    entries : `Iterable` [`Acknowledgement`]
        The acknowledgements.
    today : `datetime.date`
        In UTC.

    Returns
    -------
    covered_by : `AcknowledgedBy` or `None`
        The acknowledgement.
    ended : `str`
        Why an acknowledgement of this difference no longer covers it; empty if there is none.
    """
    if difference.kind == UNKNOWN_KIND:
        return None, ""
    everything = list(differences)
    ended = ""
    for entry in entries:
        if entry.address != difference.address or (entry.field and entry.field != difference.field):
            continue
        if entry.until < today:
            ended = f"its acknowledgement ended on {entry.until}"
        elif entry.fingerprint and entry.fingerprint != fingerprint_of(everything, entry.address, entry.field):
            ended = "its acknowledgement ended because the difference changed"
        else:
            return AcknowledgedBy(entry.reason, entry.ticket, entry.until, (entry.until - today).days), ""
    return None, ended


def fingerprint_of(differences: Iterable[FoundDifference], address: str, field: str | None) -> str:
    """Return the digest of all differences that an acknowledgement of an address, or of a field of it, covers."""
    covered = (d for d in differences if d.address == address and d.kind != UNKNOWN_KIND and (not field or d.field == field))
    return combine_fingerprints((d.kind, d.field, d.fingerprint) for d in covered)


def combine_fingerprints(parts: Iterable[tuple[str, str, str]]) -> str:
    """Return one digest of kind, field and fingerprint of some differences, whose order doesn't matter."""
    return hashlib.sha256(json.dumps(sorted(parts)).encode()).hexdigest()[:32]


def write_acknowledgement(state: Path, entry: Acknowledgement) -> Path:
    """Add an acknowledgement to the file of a state, or replace the one for the same address and field.

    Comments, order and layout of the file are kept.

    Returns
    -------
    path : `pathlib.Path`
        The file.

    Raises
    ------
    reconciler.errors.StateError
        If the file can't be read or written, isn't valid TOML, is of another version, or has something else than tables under
        ``acknowledge``.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError
    from tomlkit.items import Array

    path = acknowledgement_path(state)
    try:
        document = tomlkit.parse(read_text(path))
    except MissingFile:
        document = _new_document(state)
    except TOMLKitError as error:
        raise StateError(f"{_show(path)}: invalid TOML: {error}") from error
    if document.get("version", 1) != 1:
        raise StateError(f"{_show(path)}: version: must be 1")
    lead = "" if "version" in document else "version = 1\n\n"
    tables = document.setdefault("acknowledge", tomlkit.aot())
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise StateError(f"{_show(path)}: {TWO_BRACKETS}")
    values = entry.model_dump(exclude_none=True, exclude_defaults=True)
    for table in tables:
        if table.get("address") == entry.address and table.get("field") == entry.field:
            for key in [key for key in table if key not in values]:
                del table[key]
            table.update(values)
            break
    else:
        table = tomlkit.inline_table() if isinstance(tables, Array) else tomlkit.table()
        table.update(values)
        tables.append(table)
    _replace(path, lead + tomlkit.dumps(document))
    return path


def _new_document(state: Path) -> Any:
    import tomlkit

    document = tomlkit.document()
    document.add(
        tomlkit.comment(f"Accepted differences of {state.name}. reconcile ack adds to this file; review it like the state.")
    )
    document.add("version", tomlkit.item(1))
    return document


def _replace(path: Path, text: str) -> None:
    """Write a file, or the one that it links to, so that it has either the old or the new content, even if this is killed."""
    target = Path(os.path.realpath(path))
    fresh = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(target)
    except OSError as error:
        raise StateError(f"{path} can't be written: {error.strerror}") from error


def _explain(path: Path, number: int, table: object, error: Mapping[str, Any]) -> str:
    address = table.get("address") if isinstance(table, dict) else None
    where = f"{_show(path)}: {address or f'acknowledgement {number}'}"
    key = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] == "missing":
        why = {"until": 'has no end; add "until", the last day on which it holds'}
        return f"{where}: {why.get(key, f'has no {key}')}"
    if error["type"] == "extra_forbidden":
        return f'{where}: unknown key "{key}"{did_you_mean(key, Acknowledgement.model_fields)}'
    text = f"{str(error['msg'])[:1].lower()}{str(error['msg'])[1:]}"
    return f"{where}: {key}: {text}" if key else f"{where}: {text}"


def _show(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def parse_place(place: str, addresses: Sequence[str]) -> tuple[str, str | None]:
    """Split ADDRESS[:FIELD], whose address may contain colons and may be written without quotes.

    Raises
    ------
    reconciler.errors.StateError
        If no table has the address.
    """
    plain = {address.replace('"', ""): address for address in addresses}
    text = place.replace('"', "")
    if text in plain:
        return plain[text], None
    head, colon, field = text.rpartition(":")
    if colon and head in plain:
        return plain[head], field
    raise StateError(f"{place}: no table has this address{did_you_mean(text, plain)}")
