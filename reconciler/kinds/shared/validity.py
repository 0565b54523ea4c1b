"""Validity ranges of certifications, as reports show them."""

from __future__ import annotations

import datetime
import functools


@functools.cache
def describe_range(begin: int, end: int) -> str:
    """Return a validity range in TAI nanoseconds as two dates around an ellipsis, or as ``always``."""
    from reconciler.systems.butler.export_values import nanoseconds

    first, last = nanoseconds(None, None)
    epoch = datetime.datetime(1970, 1, 1)
    texts = ["" if time in (first, last) else (epoch + datetime.timedelta(microseconds=time // 1000)) for time in (begin, end)]
    return f"{texts[0]}…{texts[1]}" if any(texts) else "always"
