"""Numbers, sizes, times and names as operators read them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from reconciler.engine.model import Facts


class Line(NamedTuple):
    """A line of output.

    Parameters
    ----------
    text : `str`
        All it says.
    colour : `str` or `None`
        What repeats it.
    bold : `bool`
        Whether it stands out.
    """

    text: str
    colour: str | None = None
    bold: bool = False


MOST_LINES = 10
HIDDEN = {"id", "kept", "path", "bytes", "run"}
"""Facts of a member that are long, and told better by the others."""


def size(count: int) -> str:
    """Write a number of bytes in decimal units.

    Parameters
    ----------
    count : `int`
        Bytes.

    Returns
    -------
    text : `str`
        ``0.3 GB``.
    """
    value = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def seconds(value: float) -> str:
    """Write a duration.

    Parameters
    ----------
    value : `float`
        Seconds.

    Returns
    -------
    text : `str`
        ``1.9 s``, ``3 min``.
    """
    if value < 60:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 3600 else f"{value / 3600:.1f} h"


def plural(count: int, word: str) -> str:
    """Write a count with its noun.

    Parameters
    ----------
    count : `int`
        How many.
    word : `str`
        The noun in the singular.

    Returns
    -------
    text : `str`
        ``1 dataset``, ``12 datasets``.
    """
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def members(found: Sequence[Facts], most: int = MOST_LINES) -> Iterator[str]:
    """Name members, grouped by exposure where they are of exposures.

    Parameters
    ----------
    found : sequence of mapping
        Facts of each.
    most : `int`
        Lines at most; what is left out is said.

    Yields
    ------
    line : `str`
        One for an exposure, or for a member.
    """
    if found and all("exposure" in facts and "detector" in facts for facts in found):
        lines = list(_by_exposure(found))
        what = "exposure"
    else:
        lines = [_plain(facts) for facts in found]
        what = "member"
    yield from lines[:most]
    if len(lines) > most:
        yield f"… and {plural(len(lines) - most, f'more {what}')}"


def _by_exposure(found: Iterable[Facts]) -> Iterator[str]:
    groups: dict[tuple[Any, Any], list[Any]] = defaultdict(list)
    for facts in found:
        groups[facts.get("day_obs", ""), facts["exposure"]].append(facts["detector"])
    for (night, exposure), detectors in sorted(groups.items(), key=lambda item: (str(item[0][0]), str(item[0][1]))):
        word = "detector" if len(detectors) == 1 else "detectors"
        yield f"{night:<10} {exposure}   {word} {', '.join(str(d) for d in sorted(detectors))}"


def _plain(facts: Facts) -> str:
    shown = {key: value for key, value in facts.items() if key not in HIDDEN} or dict(facts)
    if len(shown) == 1:
        return str(next(iter(shown.values())))
    return "  ".join(f"{key}={value}" for key, value in shown.items())
