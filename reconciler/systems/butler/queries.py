"""Every piece of the Butler's query language that the program writes, so that kinds ask by name and contain no query text.

An expression over datasets qualifies a dimension's column (``exposure.day_obs``); one over the records of that dimension alone
does not (``day_obs``), since the Butler answers it from an index of the dimension's table.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from reconciler.errors import did_you_mean

_KEYWORDS = frozenset({"AND", "OR", "NOT", "IN", "NULL", "OVERLAPS", "TRUE", "FALSE", "UTC", "TAI", "T"})
POINTED = "exposure.tracking_ra != NULL AND exposure.tracking_dec != NULL AND exposure.sky_angle != NULL"
SEES_SKY = "(exposure.can_see_sky = NULL OR exposure.can_see_sky)"


def on_sky(*, records_sky: bool) -> str:
    """Return the expression for exposures that belong to a visit, by the rule of obs_base's DefineVisitsTask.

    ``records_sky`` is False for a repository whose exposures have no ``can_see_sky``, because its dimension universe is older
    than version 7.
    """
    return f"{POINTED} AND {SEES_SKY}" if records_sky else POINTED


def of_instrument(instrument: str) -> str:
    """Return the expression for datasets of an instrument."""
    return f"instrument = '{instrument}'"


def with_values(instrument: str, dimension: str, values: Iterable[Any], where: str = "") -> str:
    """Return the expression for datasets of an instrument with one of these values of a dimension, which satisfy ``where``."""
    listed = ", ".join(str(value) for value in values)
    return f"instrument = '{instrument}' AND {dimension} IN ({listed})" + (f" AND ({where})" if where else "")


def with_quoted_values(instrument: str, dimension: str, values: Iterable[Any]) -> str:
    """Return the expression of `with_values` for numbers, or for texts without quotes."""
    return with_values(instrument, dimension, (value if isinstance(value, int) else f"'{value}'" for value in values))


def with_bound_values(instrument: str, dimension: str, values: Sequence[Any]) -> tuple[str, dict[str, Any]]:
    """Return the expression of `with_values` with the values bound, and what to bind."""
    return f"instrument = bound_instrument AND {dimension} IN (bound_values)", {
        "bound_instrument": instrument,
        "bound_values": values,
    }


def with_value_range(instrument: str, dimension: str, values: Sequence[int]) -> str:
    """Return the expression for datasets of an instrument from the lowest to the highest of these values of a dimension."""
    return f"instrument = '{instrument}' AND {dimension} IN ({min(values)}..{max(values)})"


def find_ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return the first and the last number of each gapless range that some numbers form, in order."""
    ordered = sorted(set(numbers))
    gaps = [(before, after) for before, after in pairwise(ordered) if after > before + 1]
    firsts = [*ordered[:1], *(after for _, after in gaps)]
    lasts = [*(before for before, _ in gaps), *ordered[-1:]]
    return list(zip(firsts, lasts, strict=True))


def in_ranges(dimension: str, ranges: Iterable[tuple[int, int]]) -> str:
    """Return the expression for values of a dimension in some ranges."""
    return f"{dimension} IN ({', '.join(f'{first}..{last}' for first, last in ranges)})"


def registered_after(dataset_type: str, moment: datetime.datetime) -> str:
    """Return the expression for datasets of a type that were registered after a time; it goes after their search is joined."""
    return f"{dataset_type}.ingest_date > T'{moment.astimezone(datetime.UTC).replace(tzinfo=None).isoformat()}/utc'"


def from_runs(dataset_type: str, runs: Sequence[str], where: str = "") -> tuple[str, dict[str, Any]]:
    """Return the expression for datasets of a type from these RUN collections, which satisfy ``where``, and what to bind.

    It goes after their search is joined.
    """
    expression = f"{dataset_type}.run IN (bound_runs)" + (f" AND ({where})" if where else "")
    return expression, {"bound_runs": list(runs)}


def on_nights(instrument: str, nights: Iterable[int], where: str = "") -> str:
    """Return the expression for datasets of an instrument on these days of observation, which satisfy ``where``."""
    return with_values(instrument, "exposure.day_obs", nights, where)


def between_nights(instrument: str, first: int, last: int) -> str:
    """Return the expression for datasets of an instrument from one day of observation to another."""
    return f"instrument = '{instrument}' AND exposure.day_obs >= {first} AND exposure.day_obs <= {last}"


def suggest_identifier(where: str, universe: Any) -> str:
    """Return what was probably meant by the first identifier of an expression that a dimension universe doesn't have.

    Parameters
    ----------
    where : `str`
        The expression, without the texts in quotes.
    universe : `lsst.daf.butler.DimensionUniverse`
        The dimensions.
    """
    elements = set(universe.elements.names) | set(universe.dimensions.names)
    for name, _, field in re.findall(r"(?<![\w.:])([A-Za-z_]\w*)(\.(\w+))?", re.sub(r"'[^']*'", "", where)):
        if name.upper() in _KEYWORDS:
            continue
        if name not in elements:
            return did_you_mean(name, elements)
        fields = {*universe[name].schema.names, "region", "timespan"}
        if field and field not in fields:
            return did_you_mean(field, fields)
    return ""
