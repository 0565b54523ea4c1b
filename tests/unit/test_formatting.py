"""Numbers as text for operators."""

from __future__ import annotations

import pytest

from reconciler.report.formatting import format_seconds, format_size, plural


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (300_000_000, "300.0 MB"), (1_234_567_890, "1.2 GB")],
)
def test_a_size_has_decimal_units(count: int, text: str) -> None:
    assert format_size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"), (1.94, "1.9 s"), (9.94, "9.9 s"), (9.95, "10 s"), (14.2, "14 s"), (59.4, "59 s"), (60, "1 min"),
        (200, "3 min"), (3600, "1.0 h"), (9000, "2.5 h"), (86_400, "1 d"), (3 * 86_400, "3 d"),
    ],
)  # fmt: skip
def test_a_duration_is_short_and_has_the_unit_that_fits(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 rules"), (1, "1 rule"), (2, "2 rules"), (1000, "1,000 rules"), (148_845, "148,845 rules")]
)
def test_a_count_has_thousands_separators_and_one_is_singular(count: int, text: str) -> None:
    assert plural(count, "rule") == text
