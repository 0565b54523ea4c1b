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


@pytest.mark.parametrize(
    ("nights", "others", "rest"),
    [
        ("20250228..20250302", "20250227..20250301", {20250302}),
        ("20250226..20250301", "20250228..20250301", {20250226, 20250227}),
        ("20250228..20250301", "20250228..20250301", set()),
        ("20250228..20250301", "20240101..20260101", set()),
        ("20250228..20250301", "20260101..20260102", {20250228, 20250301}),
        ("20250228..", "20250301..", {20250228}),
        ("20250301..", "20250228..", set()),
        ("20250228..", "20250301..20250401", None),
        ("20000101..20250301", "20250228..20250301", None),
    ],
)
def test_nights_without_others_are_listed_if_they_are_few(nights: str, others: str, rest: set[int] | None) -> None:
    assert resolve_nights(nights).subtract(resolve_nights(others)) == rest
