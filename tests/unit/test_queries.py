"""Query text for the Butler."""

from __future__ import annotations

from reconciler.systems.butler import queries


def test_an_added_condition_is_put_in_parentheses_so_that_its_or_does_not_widen_the_query() -> None:
    found = queries.with_values("LSSTComCam", "visit", [1, 2], "detector = 1 OR detector = 2")
    assert found == "instrument = 'LSSTComCam' AND visit IN (1, 2) AND (detector = 1 OR detector = 2)"


def test_an_expression_over_datasets_qualifies_the_night_and_one_over_exposure_records_does_not() -> None:
    assert queries.on_nights("LSSTComCam", [20241108]) == "instrument = 'LSSTComCam' AND exposure.day_obs IN (20241108)"


def test_numbers_form_ranges_without_gaps() -> None:
    assert queries.find_ranges([9, 3, 1, 2, 8, 5, 2]) == [(1, 3), (5, 5), (8, 9)]
    assert queries.find_ranges([]) == []
    assert queries.in_ranges("htm7", [(1, 3), (5, 5)]) == "htm7 IN (1..3, 5..5)"
