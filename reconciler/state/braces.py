"""Names as people write them: braces that expand as in a shell, and words that are nearly right."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable

_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)(?:\.\.(-?\d+))?")
_LARGEST = 10_000


def expand(text: str) -> list[str]:
    """Expand braces as a shell does: ``a{1..3}`` and ``b{x,y}``, nested too.

    Parameters
    ----------
    text : `str`
        A name, perhaps with braces.

    Returns
    -------
    names : `list` [`str`]
        At least one; ``text`` itself if there is nothing to expand.

    Raises
    ------
    ValueError
        If a range would expand to more than 10,000 names.
    """
    start = text.find("{")
    while start >= 0:
        depth = 0
        commas = []
        for at in range(start, len(text)):
            if text[at] == "{":
                depth += 1
            elif text[at] == "," and depth == 1:
                commas.append(at)
            elif text[at] == "}":
                depth -= 1
                if depth == 0:
                    options = _options(text, start, at, commas)
                    if options is None:
                        break
                    head, tails = text[:start], expand(text[at + 1 :])
                    made = [head + option + tail for option in options for tail in tails]
                    if len(made) > _LARGEST:
                        raise ValueError(f"{text!r} expands to more than {_LARGEST:,} names")
                    return made
        start = text.find("{", start + 1)
    return [text]


def _options(text: str, start: int, end: int, commas: list[int]) -> list[str] | None:
    if commas:
        edges = [start, *commas, end]
        return [name for a, b in itertools.pairwise(edges) for name in expand(text[a + 1 : b])]
    numbers = _RANGE.fullmatch(text, start + 1, end)
    if numbers is None:
        return None
    first, last = int(numbers[1]), int(numbers[2])
    step = abs(int(numbers[3] or 1)) or 1
    if abs(last - first) // step >= _LARGEST:
        raise ValueError(f"{text!r} expands to more than {_LARGEST:,} names")
    width = max((len(n) for n in numbers.group(1, 2) if re.match(r"-?0\d", n)), default=0)
    series = range(first, last + 1, step) if first <= last else range(first, last - 1, -step)
    return [f"{number:0{width}d}" for number in series]


def meant(word: str, known: Iterable[str]) -> str:
    """Guess what a misspelt word was meant to be.

    Parameters
    ----------
    word : `str`
        What was written.
    known : iterable of `str`
        What could have been.

    Returns
    -------
    phrase : `str`
        ``; did you mean "…"?``, or nothing where no word is near.
    """
    near = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


def is_glob(text: str) -> bool:
    """Tell whether a name has wildcards.

    Parameters
    ----------
    text : `str`
        A name.

    Returns
    -------
    glob : `bool`
        Whether ``*``, ``?`` or ``[`` is in it.
    """
    return any(sign in text for sign in "*?[")
