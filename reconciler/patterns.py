"""Shell-style wildcards in names."""

from __future__ import annotations


def is_glob(text: str) -> bool:
    """Return whether a name contains a wildcard: ``*``, ``?`` or ``[``."""
    return any(wildcard in text for wildcard in "*?[")
