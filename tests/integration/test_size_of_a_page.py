"""A page stays small however much is wrong."""

from pathlib import Path

from page_data import RAW, make_ledger, write_site

LARGEST = 3_000_000


def test_400_nights_of_189_detectors_with_a_problem_in_every_cell_stay_below_3_mb(tmp_path: Path) -> None:
    page = write_site(tmp_path, {RAW: make_ledger(400, 189, worst=True)})
    assert 1_000_000 < page.stat().st_size < LARGEST
    assert "missing exposures are counted but not named here" in page.read_text()
