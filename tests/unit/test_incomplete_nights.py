"""The search for incomplete nights counts few ranges, and finds every night that differs unless differences cancel."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.kinds.shared.incomplete_nights import find_incomplete_nights

NIGHTS = list(range(20241101, 20241129))


def counting(differences: dict[int, int], asked: list[tuple[int, int]]) -> Callable[[int, int], int]:
    def surplus(begin: int, end: int) -> int:
        asked.append((begin, end))
        return sum(value for night, value in differences.items() if begin <= night < end)

    return surplus


def test_nights_without_differences_are_found_complete_by_one_count() -> None:
    asked: list[tuple[int, int]] = []
    assert find_incomplete_nights(NIGHTS, counting({}, asked)) == []
    assert asked == [(20241101, 20241129)]


def test_one_incomplete_night_is_found_by_a_logarithmic_number_of_counts() -> None:
    asked: list[tuple[int, int]] = []
    assert find_incomplete_nights(NIGHTS, counting({20241117: -3}, asked)) == [20241117]
    assert len(asked) <= 6


def test_differences_of_opposite_sign_cancel() -> None:
    assert find_incomplete_nights(NIGHTS, counting({20241102: 1, 20241103: -1}, [])) == []


def test_many_incomplete_nights_are_all_found() -> None:
    differences = dict.fromkeys(NIGHTS[::2], -1)
    assert set(find_incomplete_nights(NIGHTS, counting(differences, []))) >= set(differences)


def test_without_nights_nothing_is_counted() -> None:
    asked: list[tuple[int, int]] = []
    assert find_incomplete_nights([], counting({}, asked)) == []
    assert asked == []
