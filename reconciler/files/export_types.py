"""Values in export files that YAML itself has no type for."""

from __future__ import annotations

from typing import NamedTuple


class Tai(str):
    """A time: TAI in ISO form, to nanoseconds."""


class Encoded(str):
    """A region on the sky, as the hexadecimal digits of its encoding."""


class Span(NamedTuple):
    """A validity range; each end is TAI in ISO form, or `None` if unbounded."""

    begin: str | None
    end: str | None
