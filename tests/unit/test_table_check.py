"""Tables of files are checked without a live system: each problem has its line, its column and its value."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.errors import StateError
from reconciler.files.table_check import find_table_problems, find_wrong_value, required_columns

GOOD = "filename,htm7,band\na.fits,131072,r\nb.fits,262143,g\n"


def check(folder: Path, text: str, dimensions: list[str] | None = None, name: str = "notes.csv") -> list[str]:
    (folder / name).write_text(text)
    problems = find_table_problems(str(folder / name), dimensions, "notes")
    assert all(problem.startswith(f"{folder}/") for problem in problems)
    return [problem.removeprefix(f"{folder}/") for problem in problems]


def test_a_good_table_has_no_problems(tmp_path: Path) -> None:
    assert check(tmp_path, GOOD, ["htm7", "band"]) == []
    assert check(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("c.fits,abc,r", 'notes.csv:4: htm7 = "abc" is not a whole number'),
        ("c.fits,131072.0,r", 'notes.csv:4: htm7 = "131072.0" is not a whole number'),
        ("c.fits,,r", "notes.csv:4: htm7 is empty"),
        ("c.fits,131073,", "notes.csv:4: band is empty"),
        (",131073,r", "notes.csv:4: filename is empty"),
        ("c.fits,131071,r", "notes.csv:4: htm7 = 131071 is out of range; HTM indices of level 7 are 131072 to 262143"),
        ("c.fits,262144,r", "notes.csv:4: htm7 = 262144 is out of range; HTM indices of level 7 are 131072 to 262143"),
        ("c.fits,131073", "notes.csv:4: 2 cells, where the table has 3 columns"),
        ("c.fits,131072,r", "notes.csv:4: two files for htm7 = 131072, band = r; the other one is in line 2"),
        ("c.fits,+131072,r", "notes.csv:4: two files for htm7 = 131072, band = r; the other one is in line 2"),
        ("c.fits,0131072 ,r", "notes.csv:4: two files for htm7 = 131072, band = r; the other one is in line 2"),
    ],
)
def test_a_wrong_cell_is_reported_with_its_line_and_its_value(tmp_path: Path, row: str, text: str) -> None:
    assert check(tmp_path, f"{GOOD}{row}\n", ["htm7", "band"]) == [text]


def test_empty_lines_and_the_same_row_twice_are_no_problem(tmp_path: Path) -> None:
    assert check(tmp_path, f"{GOOD}\na.fits,131072,r\n", ["htm7", "band"]) == []


def test_a_missing_column_is_reported_with_the_one_that_was_probably_meant(tmp_path: Path) -> None:
    text = 'notes.csv:1: lacks the column "htm7", a dimension of notes; did you mean "htm_7"?'
    assert check(tmp_path, "filename,htm_7\na.fits,131072\n", ["htm7"]) == [text]


def test_many_wrong_cells_of_a_column_are_counted(tmp_path: Path) -> None:
    problems = check(tmp_path, "filename,detector\n" + "a.fits,x\n" * 12)
    assert len(problems) == 5
    assert problems[-1] == 'notes.csv:6: detector = "x" is not a whole number (and 7 more rows like these)'


def test_a_table_without_any_column_is_an_error(tmp_path: Path) -> None:
    assert check(tmp_path, "\n") == ["notes.csv: the table has no columns; the first must hold file paths, the others dimensions"]


ECSV = "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: filename, datatype: string}\n# - {name: htm7, datatype: int64}\n"


@pytest.mark.parametrize(("delimiter", "head"), [(" ", ""), (",", "# delimiter: ','\n")])
def test_an_ecsv_table_is_read_with_its_own_delimiter(tmp_path: Path, delimiter: str, head: str) -> None:
    rows = ["filename", "htm7"], ["'a b.fits'", "131072"], ["c.fits", "7"]
    text = ECSV + head + "".join(delimiter.join(row).replace("'", '"') + "\n" for row in rows)
    line = 8 + bool(head)
    assert [problem.partition(": ")[0] for problem in check(tmp_path, text, ["htm7"], "notes.ecsv")] == [f"notes.ecsv:{line}"]


def test_a_table_in_fits_is_left_to_the_reader_that_astropy_has(tmp_path: Path) -> None:
    assert find_table_problems(str(tmp_path / "t.fits"), ["htm7"], "notes") == []


def test_a_folder_in_place_of_a_table_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(StateError, match="is a folder, not a file"):
        find_table_problems(str(tmp_path / "t.csv"), None, "notes")


@pytest.mark.parametrize(
    ("dimensions", "columns"),
    [
        (["htm7"], ["htm7"]),
        (["exposure", "detector"], ["instrument", "exposure", "detector"]),
        (["visit", "physical_filter", "band"], ["instrument", "visit"]),
        (["patch", "band"], ["skymap", "tract", "patch", "band"]),
        (["physical_filter"], ["instrument", "physical_filter"]),
    ],
)
def test_a_table_needs_the_dimensions_that_no_other_one_determines(dimensions: list[str], columns: list[str]) -> None:
    assert required_columns(dimensions) == columns


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [("htm0", 8, False), ("htm0", 16, True), ("healpix1", 47, False), ("healpix1", 48, True), ("tract", 0, False),
     ("tract", None, True), ("instrument", "X", False), ("visit", "x", True)],
)  # fmt: skip
def test_the_values_of_a_dimension_are_numbers_in_its_range(name: str, value: object, wrong: bool) -> None:
    assert bool(find_wrong_value(name, value)) is wrong


@pytest.mark.parametrize("digits", [19, 5_000])
def test_a_number_that_the_butler_cannot_store_is_a_wrong_cell(tmp_path: Path, digits: int) -> None:
    number = "9" * digits
    assert check(tmp_path, f"filename,tract\na.fits,{number}\n") == [f'notes.csv:2: tract = "{number[:40]}" is too large']


@pytest.mark.parametrize("header", ["filename,htm7,htm7", "filename,htm7 ,htm7", "htm7,htm7,band"])
def test_two_columns_of_one_name_are_a_problem(tmp_path: Path, header: str) -> None:
    assert check(tmp_path, f"{header}\na.fits,131072,131073\n", ["htm7"]) == ['notes.csv:1: two columns "htm7"']
