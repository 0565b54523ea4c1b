"""Brace expansion of keys, with the rules of bash: ``a{1..3}``, ``{b,c}`` and nested braces."""

from __future__ import annotations

import bracex

MAX_NAMES = 10_000


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
