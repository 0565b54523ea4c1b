"""Shell-style wildcards: which text is a pattern is decided by the field that it comes from, not by its characters.

A collection may be called ``a[1]``. Only fields that are documented to allow wildcards take patterns; their tokens are `Glob`.
"""

from __future__ import annotations


def is_glob(text: str) -> bool:
    """Return whether the value of a field that takes patterns contains a wildcard: ``*``, ``?`` or ``[``."""
    return any(wildcard in text for wildcard in "*?[")


class Glob(str):
    """A token that is a pattern, such as ``collection:HSC/raw/*``; any other token is a name, whatever it contains."""

    __slots__ = ()

    @property
    def has_wildcard(self) -> bool:
        """Whether it can match anything but itself."""
        return is_glob(self)
