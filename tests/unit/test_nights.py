"""The nights that a table names."""

from __future__ import annotations

import datetime

import pytest

from reconciler.kinds.shared.nights import Nights, find_running_night, resolve_nights


@pytest.mark.parametrize(
    ("text", "nights"),
    [
        ("last 1", Nights(20250301, 20250301)),
        ("last 30", Nights(20250131, 20250301)),
        ("20250415", Nights(20250415, 20250415)),
        ("20250415..20250514", Nights(20250415, 20250514)),
        ("20250415..", Nights(20250415, 99991231)),
    ],
)
def test_a_text_names_consecutive_nights(text: str, nights: Nights) -> None:
    assert resolve_nights(text, 20250301) == nights
    assert nights.first in nights
    assert nights.last in nights
    assert nights.first - 1 not in nights


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("last 0", 'write "last 30"'),
        ("last week", 'write "last 30"'),
        ("20250230", '"20250230" is no date'),
        ("20250415..20250414", "the last night is before the first"),
        ("..20250415", 'write "last 30"'),
        ("", 'write "last 30"'),
    ],
)
def test_what_names_no_nights_is_explained(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace(".", r"\.")):
        resolve_nights(text)


def test_a_night_begins_at_noon_utc() -> None:
    before = datetime.datetime(2025, 4, 16, 11, 59, tzinfo=datetime.UTC)
    assert find_running_night(before) == 20250415
    assert find_running_night(before + datetime.timedelta(minutes=1)) == 20250416


def test_bounded_nights_can_be_listed_across_the_end_of_a_year() -> None:
    assert list(resolve_nights("20251230..20260102")) == [20251230, 20251231, 20260101, 20260102]
