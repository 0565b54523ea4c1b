"""What Rucio has delivered of the files that a table needs, for the kinds that ingest files.

Rucio identifies a file by its name, the Butler by a URI. With the naming that Rubin's sites use, the URI ends with the name.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from reconciler.engine.kind import System
from reconciler.engine.model import Condition, DifferenceKind, JsonObject, Members
from reconciler.errors import ObserveError
from reconciler.kinds.shared.rucio_names import explain_unknown_rse
from reconciler.patterns import Glob

if TYPE_CHECKING:
    from reconciler.systems.context import Context
    from reconciler.systems.rucio.facts import Delivery, DidFacts

RUCIO_NAME = re.compile(r"[A-Za-z0-9][/A-Za-z0-9.\-_]*")
"""Names that every schema of Rucio allows; a server refuses queries for others."""
MAX_FILES_QUERIED_BY_NAME = 200
"""Up to this many files are queried by name rather than through the datasets that contain them."""

DELIVERED_BY = Field(
    (),
    description=(
        "Rucio datasets and containers that deliver the files, as `scope:name` with wildcards. Files that aren't available at "
        "this facility's RSE yet are reported as waiting, not as missing."
    ),
    examples=[["ancillary:Dataset/LSSTComCam/dstyps/DM-48520"]],
)


@dataclass(frozen=True)
class DeliveryState:
    """Which files have been delivered.

    Parameters
    ----------
    is_delivered : `Callable`
        Returns False if the file of a URI still has to be waited for. One that no dataset of Rucio contains is waited for only
        while a dataset that may contain it doesn't exist.
    condition : `Condition` or `None`
        What is being waited for.
    """

    is_delivered: Callable[[str], bool]
    condition: Condition | None = None


def systems_for(delivered_by: Sequence[str]) -> frozenset[System]:
    """Return the live systems that are asked about files: Rucio only if it delivers them."""
    return frozenset[System]({"butler", "rucio"} if delivered_by else {"butler"})


def delivery_tokens(delivered_by: Iterable[str]) -> list[Glob]:
    """Return the tokens of the Rucio datasets that deliver files, for `Links.after`."""
    return [Glob(f"did:{pattern}") for pattern in delivered_by]


def split_delivered(context: Context, patterns: Sequence[str], members: Members) -> tuple[Members, tuple[Condition, ...]]:
    """Query which missing members Rucio has delivered, and move the others to ``awaited``.

    Parameters
    ----------
    context : `reconciler.systems.context.Context`
        The live systems.
    patterns : `Sequence` [`str`]
        DIDs with wildcards.
    members : `Members`
        Each missing member has the URI of its file as ``path``.

    Returns
    -------
    members : `Members`
        ``missing`` keeps only members for whose files nothing is waited; the rest is in ``awaited``. See `DeliveryState`.
    conditions : `tuple` [`Condition`, ...]
        What is being waited for, if any member is.

    Raises
    ------
    reconciler.errors.ObserveError
        As `query_delivery`.
    """
    state = query_delivery(context, patterns if members.missing else (), [member["path"] for member in members.missing])
    missing = tuple(member for member in members.missing if state.is_delivered(member["path"]))
    if len(missing) == len(members.missing):
        return members, ()
    delivered = {member["path"] for member in missing}
    awaited = tuple(member for member in members.missing if member["path"] not in delivered)
    conditions = (state.condition,) if state.condition is not None else ()
    return dataclasses.replace(members, missing=missing, awaited=awaited), conditions


def query_delivery(context: Context, patterns: Sequence[str], uris: Sequence[str]) -> DeliveryState:
    """Query which files Rucio has delivered to this facility.

    Parameters
    ----------
    context : `reconciler.systems.context.Context`
        The live systems; it has the name of this facility's RSE.
    patterns : `Sequence` [`str`]
        DIDs with wildcards; without any, every file counts as delivered.
    uris : `Sequence` [`str`]
        The files that matter; if they are few, only they are queried.

    Raises
    ------
    reconciler.errors.ObserveError
        If Rucio can't be queried, or [rucio] names no RSE or one that doesn't exist.
    """
    if not patterns:
        return DeliveryState(lambda uri: True)
    if context.rse is None:
        raise ObserveError("delivered_by needs the name of this facility's RSE", ("set rse in [rucio]",))
    if unknown := explain_unknown_rse(context, context.rse):
        raise ObserveError(f"rse of [rucio]: {unknown}", ("a file counts as delivered once it is available there",))
    matching = {pattern: context.rucio.matching(pattern) for pattern in patterns}
    dids = [did for found in matching.values() for did in found]
    state = _query_by_name(context, context.rse, patterns, dids, uris)
    if state is not None:
        return state
    unmatched = [pattern for pattern, found in matching.items() if not found]
    return _query_by_dataset(context, context.rse, patterns, dids, unmatched)


def _query_by_dataset(
    context: Context, rse: str, patterns: Sequence[str], dids: Sequence[str], unmatched: Sequence[str]
) -> DeliveryState:
    delivery = context.rucio.delivery(dids, rse)
    if delivery.complete and not unmatched:
        return DeliveryState(lambda uri: True)
    names = {file.name for file in context.rucio.files(did for did in dids if did not in delivery.missing_dids)}
    available = {name for _, name in delivery.here}
    all_exist = not delivery.missing_dids and not unmatched

    def is_delivered(uri: str) -> bool:
        name = match_name_suffix(uri, names)
        return all_exist if name is None else name in available  # what no dataset contains isn't waited for

    text = _describe(patterns, delivery, [*delivery.missing_dids, *unmatched])
    return DeliveryState(is_delivered, Condition(DifferenceKind.WAITING, text))


def _query_by_name(
    context: Context, rse: str, patterns: Sequence[str], dids: Sequence[str], uris: Sequence[str]
) -> DeliveryState | None:
    """Query a few files of large datasets by the names that their URIs end with; return None if that can't find them all."""
    scopes = {did.partition(":")[0] for did in dids}
    if len(scopes) != 1 or len(uris) > MAX_FILES_QUERIED_BY_NAME:
        return None
    datasets = context.rucio.dids(dids)
    total = sum(facts.length or 0 for facts in datasets.values())
    if len(datasets) < len(dids) or not context.policy.is_large(total):
        return None
    (scope,) = scopes
    files = _query_files(context, scope, uris)
    if len(files) < len(set(uris)):
        return None
    names = {uri: name for uri, (name, _) in files.items()}
    available = {name for _, name in context.rucio.available([f"{scope}:{name}" for name in names.values()], rse)}
    lacking = len(set(names.values()) - available)
    text = f"waiting for {', '.join(patterns)}, {lacking:,} of these files not here yet"
    return DeliveryState(lambda uri: names.get(uri) in available, Condition(DifferenceKind.WAITING, text) if lacking else None)


def _query_files(context: Context, scope: str, uris: Iterable[str]) -> dict[str, tuple[str, DidFacts]]:
    """Return the name and the facts of the file in a scope that each URI ends with; without the URIs for which there is none."""
    suffixes = {uri: _find_possible_names(uri) for uri in uris}
    # Most of these names belong to no file, so that those which an answer leaves out aren't queried again.
    known = context.rucio.dids((f"{scope}:{name}" for names in suffixes.values() for name in names), confirm=False)
    files = {did.partition(":")[2]: facts for did, facts in known.items() if facts.type == "FILE"}
    names = {uri: next((name for name in suffixes[uri] if name in files), None) for uri in suffixes}
    return {uri: (name, files[name]) for uri, name in names.items() if name is not None}


def query_checksums(context: Context, patterns: Sequence[str], uris: Iterable[str]) -> dict[str, str]:
    """Return the Adler-32 checksum that Rucio recorded for the file of each URI; without those for which it has none.

    Parameters
    ----------
    context : `reconciler.systems.context.Context`
        The live systems.
    patterns : `Sequence` [`str`]
        DIDs with wildcards, of which the scopes are used.
    uris : iterable of `str`
        The files.

    Raises
    ------
    reconciler.errors.ObserveError
        If Rucio can't be queried.
    """
    asked = list(uris)
    found: dict[str, str] = {}
    for scope in sorted({pattern.partition(":")[0] for pattern in patterns}):
        files = _query_files(context, scope, (uri for uri in asked if uri not in found))
        found |= {uri: facts.adler32 for uri, (_, facts) in files.items() if facts.adler32}
    return found


def measure_awaited(context: Context, patterns: Sequence[str], awaited: Sequence[JsonObject]) -> int:
    """Return the size in bytes of members that are waited for; a file that Rucio doesn't have yet counts nothing.

    Parameters
    ----------
    context : `reconciler.systems.context.Context`
        The live systems.
    patterns : `Sequence` [`str`]
        DIDs with wildcards.
    awaited : `Sequence` [`Mapping`]
        The members, each with its URI as ``path`` or with its size as ``bytes``.

    Raises
    ------
    reconciler.errors.ObserveError
        If Rucio can't be queried.
    """
    unsized = [str(member["path"]) for member in awaited if "bytes" not in member]
    total = sum(int(member.get("bytes", 0)) for member in awaited)
    if unsized:
        dids = [did for pattern in patterns for did in context.rucio.matching(pattern)]
        sizes = {file.name: file.size for file in context.rucio.files(dids)}
        names = set(sizes)
        total += sum(sizes.get(match_name_suffix(uri, names) or "", 0) for uri in unsized)
    return total


def _find_possible_names(uri: str) -> list[str]:
    """Return the names that the file of a URI may have in Rucio, the longest first."""
    parts = (uri.partition("://")[2].partition("/")[2] if "://" in uri else uri).split("/")
    suffixes = ("/".join(parts[start:]) for start in range(len(parts)) if parts[start])
    return [suffix for suffix in suffixes if RUCIO_NAME.fullmatch(suffix)]


def match_name_suffix(uri: str, names: set[str]) -> str | None:
    """Return the longest name of a file in Rucio that a URI ends with, or None."""
    slash = -1
    while True:
        suffix = uri[slash + 1 :]
        if suffix in names:
            return suffix
        slash = uri.find("/", slash + 1)
        if slash < 0:
            return None


def _describe(patterns: Sequence[str], delivery: Delivery, unregistered: Sequence[str]) -> str:
    if unregistered and not delivery.wanted:
        return f"waiting for {', '.join(patterns)}, not registered in Rucio yet"
    rest = f"; {', '.join(unregistered)} not registered in Rucio yet" if unregistered else ""
    return f"waiting for {', '.join(patterns)}, {delivery.available:,} of {delivery.wanted:,} files here{rest}"
