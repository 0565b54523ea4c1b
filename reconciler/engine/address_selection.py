"""Which resources of a state an operator means: by globs, or by the text of one address."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence

from reconciler.engine.model import Address, DesiredState
from reconciler.errors import StateError, did_you_mean


def select_addresses(state: DesiredState, patterns: Sequence[str]) -> set[Address]:
    """Return the addresses that match any of some globs, such as ``chain.*`` or ``rucio_dataset."raw:*"``; all for none.

    Raises
    ------
    reconciler.errors.StateError
        If a glob matches nothing.
    """
    if not patterns:
        return set(state.resources)
    found: set[Address] = set()
    for pattern in patterns:
        matched = match_addresses(state, pattern)
        if not matched:
            raise StateError(f"{state.path.name}: no address matches {pattern}{suggest_glob(state.resources, pattern)}")
        found |= matched
    return found


def match_addresses(state: DesiredState, pattern: str) -> set[Address]:
    """Return the addresses that match a glob, with or without quotes; none if nothing matches."""
    names = {address.plain: address for address in state.resources}
    return {names[name] for name in fnmatch.filter(names, pattern.replace('"', ""))}


def suggest_glob(addresses: Iterable[Address], pattern: str) -> str:
    """Suggest an address, or a glob for all addresses of a kind, in place of a glob that matches nothing."""
    known = list(addresses)
    globs = [f"{address.kind}.*" for address in known] if "*" in pattern else []
    return did_you_mean(pattern.replace('"', ""), globs or [address.plain for address in known])


def find_address(state: DesiredState, text: str) -> Address:
    """Return the address that a text such as ``chain.refcats`` means, with or without quotes, or the only one that it matches.

    Raises
    ------
    reconciler.errors.StateError
        If there is no such address, or a glob matches several.
    """
    for address in state.resources:
        if text in (str(address), address.plain):
            return address
    matched = match_addresses(state, text)
    if len(matched) == 1:
        return matched.pop()
    if matched:
        first = next(address for address in state.resources if address in matched)
        raise StateError(f"{state.path.name}: {text} matches {len(matched):,} addresses; name one, such as {first}")
    hint = did_you_mean(text.replace('"', ""), [address.plain for address in state.resources])
    raise StateError(f"{state.path.name}: no address {text}{hint}", (f"reconcile list --offline {state.path} lists all",))
