"""Brace expansion of keys, with the rules of bash: ``a{1..3}``, ``{b,c}`` and nested braces."""

from __future__ import annotations

import re
from collections.abc import Iterable

import bracex

MAX_NAMES = 10_000
_VARIABLE = re.compile(r"\$\{\w*\}")
_BRACES = re.compile(r"\{[^{}]*\}")


def expand_braces(text: str) -> list[str]:
    """Expand the braces of a key; a key without any is returned as it is.

    Raises
    ------
    ValueError
        If the key expands to more than `MAX_NAMES` names, or its braces are nested too deeply.
    """
    try:
        # Backslashes have no meaning in names, so they are kept.
        names = bracex.expand(text, keep_escapes=True, limit=MAX_NAMES)
    except bracex.ExpansionLimitException as error:
        raise ValueError(f"{text!r} expands to more than {MAX_NAMES:,} names") from error
    except RecursionError as error:
        raise ValueError(f"{text[:40]!r}… nests braces too deeply") from error
    return [name for name in names if name] or [text]  # empty names are dropped, as bash and bracex 3 do; bracex 2 keeps them


def find_unexpanded_braces(names: Iterable[str]) -> str:
    """Return the first part in braces that expansion has left, such as ``{1..}``; nothing if there is none.

    A variable is no such part. A brace alone may be part of a name, which a pair of them isn't.
    """
    for name in names:
        found = _BRACES.search(_VARIABLE.sub("", name))
        if found:
            return found[0]
    return ""
