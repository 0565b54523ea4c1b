"""What Rucio has delivered of the files that a table needs, shared by the kinds that ingest files.

Rucio knows a file by its name, the Butler by a URI; with the naming that Rubin's sites use the one is the end of the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from reconciler.engine.model import Condition
from reconciler.errors import ObserveError

if TYPE_CHECKING:
    from reconciler.systems.context import Live
    from reconciler.systems.rucio.facts import Delivery

NAME = re.compile(r"[A-Za-z0-9][/A-Za-z0-9.\-_]*")
"""Names that every schema of Rucio's allows."""
MOST_ASKED_ALONE = 200
"""Files that are asked about by name, rather than through the datasets that hold them."""

DELIVERED_BY = Field(
    (),
    description="Rucio datasets that bring the files, scope:name with wildcards; what they have not brought is waited for.",
    examples=[["ancillary:Dataset/LSSTComCam/dstyps/DM-48520"]],
)


@dataclass(frozen=True)
class Arrivals:
    """What is here and what is not.

    Parameters
    ----------
    is_here : callable
        Tells of a URI whether its file is here.
    condition : `reconciler.engine.model.Condition` or `None`
        What is waited for.
    """

    is_here: Callable[[str], bool]
    condition: Condition | None = None


def arrivals(live: Live, patterns: Iterable[str], uris: Sequence[str]) -> Arrivals:
    """Ask Rucio what it has delivered here.

    Parameters
    ----------
    live : `reconciler.systems.context.Live`
        With the name of this facility's RSE.
    patterns : iterable of `str`
        DIDs with wildcards.
    uris : sequence of `str`
        The files that matter; of few, only they are asked about.

    Returns
    -------
    arrivals : `Arrivals`
        Everything is here where there are no patterns.

    Raises
    ------
    reconciler.errors.ObserveError
        If Rucio can't be asked.
    """
    wanted = list(patterns)
    if not wanted:
        return Arrivals(lambda uri: True)
    if live.rse is None:
        raise ObserveError("delivered_by needs this facility's RSE", ("name it as rse in [rucio]",))
    dids = [did for pattern in wanted for did in live.rucio.matching(pattern)]
    if dids and len(uris) <= MOST_ASKED_ALONE:
        alone = _alone(live, dids, live.rse, uris)
        if alone is not None:
            lacking, among_them = alone
            text = f"waiting for {', '.join(wanted)}, {lacking:,} of these files not here yet"
            return Arrivals(among_them, Condition("waiting", text) if lacking else None)
    delivery = live.rucio.delivery(dids, live.rse)
    if delivery.complete and dids:
        return Arrivals(lambda uri: True)
    names = {file.name for file in live.rucio.files(did for did in dids if did not in delivery.missing_dids)}
    here = {name for _, name in delivery.here}
    all_exist = bool(dids) and not delivery.missing_dids

    def is_here(uri: str) -> bool:
        name = known_end(uri, names)
        return all_exist if name is None else name in here

    return Arrivals(is_here, Condition("waiting", _describe(wanted, delivery, bool(dids))))


def _alone(live: Live, dids: Sequence[str], rse: str, uris: Sequence[str]) -> tuple[int, Callable[[str], bool]] | None:
    """Ask about a few files of large datasets by the names that their URIs end with.

    Gives how many are not here, and which are; `None` where the names do not tell about all of them.
    """
    scopes = {did.partition(":")[0] for did in dids}
    facts = live.rucio.dids(dids)
    if len(scopes) > 1 or len(facts) < len(dids) or not live.counts(sum(known.length or 0 for known in facts.values())):
        return None
    (scope,) = scopes
    ends = {uri: _ends(uri) for uri in uris}
    known = live.rucio.dids(f"{scope}:{name}" for names in ends.values() for name in names)
    names = {did.partition(":")[2] for did, facts in known.items() if facts.type == "FILE"}
    found = {uri: next((name for name in ends[uri] if name in names), None) for uri in uris}
    if None in found.values():
        return None
    here = {name for _, name in live.rucio.available([f"{scope}:{name}" for name in found.values()], rse)}
    return len(uris) - len(here), lambda uri: found.get(uri) in here


def _ends(uri: str) -> list[str]:
    """Give the names that a file of this URI may have, the longest first; a server refuses to be asked about others."""
    parts = (uri.partition("://")[2].partition("/")[2] if "://" in uri else uri).split("/")
    ends = ("/".join(parts[at:]) for at in range(len(parts)) if parts[at])
    return [end for end in ends if NAME.fullmatch(end)]


def known_end(uri: str, names: set[str]) -> str | None:
    """Find the name that a URI ends with.

    Parameters
    ----------
    uri : `str`
        Where a file is.
    names : `set` [`str`]
        Names of files in Rucio.

    Returns
    -------
    name : `str` or `None`
        The longest that fits.
    """
    at = -1
    while True:
        tail = uri[at + 1 :]
        if tail in names:
            return tail
        at = uri.find("/", at + 1)
        if at < 0:
            return None


def _describe(patterns: list[str], delivery: Delivery, any_exist: bool) -> str:
    names = ", ".join(patterns)
    if not any_exist or (len(delivery.missing_dids) and not delivery.wanted):
        return f"waiting for {names}, not registered in Rucio yet"
    return f"waiting for {names}, {delivery.available:,} of {delivery.wanted:,} files here"


def under(location: str, name: str) -> str:
    """Find where a file that Rucio delivers lies below a location.

    Parameters
    ----------
    location : `str`
        A folder; its last parts may be the first of the name.
    name : `str`
        Of the file in Rucio.

    Returns
    -------
    uri : `str`
        ``…/raw/LSSTComCam`` and ``LSSTComCam/20241108/x.fits`` make ``…/raw/LSSTComCam/20241108/x.fits``.
    """
    folder = location.rstrip("/")
    parts = name.split("/")
    for count in range(len(parts) - 1, 0, -1):
        if folder.endswith("/" + "/".join(parts[:count])):
            return "/".join([folder, *parts[count:]])
    return f"{folder}/{name}"
