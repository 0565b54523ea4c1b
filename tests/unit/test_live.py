"""The line that is shown while an apply waits, and counts in words."""

from __future__ import annotations

import pytest

from reconciler.cli.progress import WaitingLine
from reconciler.engine.model import Delivery
from reconciler.report.formatting import count_of, format_clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("reconciler.cli.progress.time.monotonic", lambda: now[0])
    return now


def test_a_wait_shows_how_much_is_here_how_fast_it_arrives_and_when_it_is_checked_again(clock: list[float]) -> None:
    line = WaitingLine(600)
    line.update([Delivery(100, 6721, 20_000_000_000, "files"), Delivery(0, 0, 0)], 3)
    assert line.text() == "waiting 0:00 of 10:00   100 of 6,721 files here   checking again in 3 s"
    clock[0] += 120
    line.update([Delivery(412, 6721, 13_800_000_000, "files")], 3)
    clock[0] += 2
    assert line.text() == "waiting 2:02 of 10:00   412 of 6,721 files here   3.1 GB/min   checking again in 1 s"


def test_a_wait_without_sizes_shows_files_a_minute_and_one_without_counts_shows_resources(clock: list[float]) -> None:
    line = WaitingLine(60)
    line.update([Delivery(0, 90, 0, "files")], 3)
    clock[0] += 60
    line.update([Delivery(30, 90, 0, "files")], 3)
    assert "30 of 90 files here   30 files/min" in line.text()
    line.update([None, None], 3)
    assert "for 2 resources   checking" in line.text()


def test_what_is_waited_for_has_its_own_name(clock: list[float]) -> None:
    line = WaitingLine(60)
    line.update([Delivery(3, 90, 0, "raws"), Delivery(1, 4, 0, "raws")], 3)
    assert "4 of 94 raws here" in line.text()
    line.update([Delivery(3, 90, 0, "raws"), Delivery(1, 4, 0, "datasets")], 3)
    assert "4 of 94 members here" in line.text()


def test_the_rate_begins_again_when_more_is_waited_for(clock: list[float]) -> None:
    line = WaitingLine(600)
    line.update([Delivery(0, 90, 0, "files")], 3)
    clock[0] += 60
    line.update([Delivery(30, 90, 0), Delivery(500, 500, 0)], 3)
    assert "/min" not in line.text()


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (134, "2:14"), (3734.4, "1:02:14")])
def test_a_duration_is_formatted_as_on_a_clock(seconds: float, text: str) -> None:
    assert format_clock(seconds) == text


@pytest.mark.parametrize(
    ("count", "words", "text"),
    [
        (1, "datasets", "1 dataset"),
        (1, "children", "1 child"),
        (1, "dataset types", "1 dataset type"),
        (1, "attached", "1 attached"),
        (12_000, "raws", "12,000 raws"),
        (0, "tags", "0 tags"),
    ],
)
def test_one_is_singular(count: int, words: str, text: str) -> None:
    assert count_of(count, words) == text
