"""Names of Rucio DIDs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator

from reconciler.patterns import is_glob

UNUSABLE_ENDINGS = ("rules", "files", "meta", "dids", "status", "parents")
"""Last parts of a name that Rucio's REST interface takes for the end of an address."""


def check_did(name: str) -> Iterable[str]:
    """Yield what is wrong with the name of a DID, ``scope:name``."""
    scope, colon, rest = name.partition(":")
    ending = rest.rpartition("/")[2]
    if not colon or not scope or not rest:
        yield "the key must be a DID, scope:name"
    elif not re.fullmatch(r"[/A-Za-z0-9][/A-Za-z0-9.\-_]{0,249}", rest):
        yield f'"{rest}" isn\'t a valid name in Rucio: use letters, digits and /.-_, at most 250 characters'
    elif ending in UNUSABLE_ENDINGS:
        yield f"a name that ends in /{ending} collides with an address of Rucio's REST interface"


def _check_pattern(pattern: str) -> str:
    scope, _, name = pattern.partition(":")
    if not scope or not name:
        raise ValueError(f'"{pattern}" is not a DID; write scope:name, with wildcards in the name if needed')
    if is_glob(scope):
        raise ValueError(f'"{pattern}": Rucio knows no wildcards in a scope; name each scope')
    return pattern


DidPattern = Annotated[str, AfterValidator(_check_pattern)]
"""A DID, ``scope:name``, whose name may have wildcards."""
