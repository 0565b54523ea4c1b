"""Lines of a report on terminals of some widths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from reconciler.report.formatting import in_columns
from reconciler.report.layout import NARROWEST, fit

CHAIN = 'chain."LSSTComCam/calib"'
DATASET = 'rucio_dataset."raw:Dataset/refcats/the_monster_20240219_with_a_long_name_1"'
TITLE = in_columns(CHAIN, "ccms1.toml:88")


def test_a_line_that_fits_is_left_as_it_is() -> None:
    assert fit(TITLE, 120) == [TITLE]
    assert fit("", 80) == [""]


def test_the_place_of_a_title_is_at_the_right_edge() -> None:
    (line,) = fit(TITLE, 80)
    assert line == f"{CHAIN:<67}ccms1.toml:88"
    assert len(line) == 80


def test_the_place_goes_to_the_next_line_if_it_does_not_fit() -> None:
    assert fit(in_columns(DATASET, "ccms1.toml:79"), 80) == [DATASET, "    ccms1.toml:79"]


def test_words_are_wrapped_with_a_hanging_indent() -> None:
    assert fit("  ! stuck for 3 d: rule IN2P3_RAW_DISK × 1, 4 of 90 files (MissingSourceReplica)", 50) == [
        "  ! stuck for 3 d: rule IN2P3_RAW_DISK × 1, 4 of",
        "      90 files (MissingSourceReplica)",
    ]


def test_the_text_after_a_label_continues_below_its_beginning() -> None:
    assert fit("  drifted            chain.top: children: u/survey/night2, u/survey/night1 → nothing", 64) == [
        "  drifted            chain.top: children: u/survey/night2,",
        "                     u/survey/night1 → nothing",
    ]


def test_a_command_is_not_broken_so_that_it_can_be_copied() -> None:
    command = "      $ rucio rule add --copies 1 --rses IN2P3_RAW_DISK raw:Dataset/LSSTComCam/raw/20241108"
    assert fit(command, 60) == [command]


def test_the_columns_of_a_row_stay_below_their_titles() -> None:
    row = "  20241108  0                 2           2       1 of 2   registered in the Butler but not on storage"
    assert fit(row, 80) == [
        "  20241108  0                 2           2       1 of 2",
        "            registered in the Butler but not on storage",
    ]


def test_a_long_word_is_on_a_line_of_its_own_and_not_cut() -> None:
    uri = "davs://ccdavrubinint.in2p3.fr:2880/pnfs/in2p3.fr/data/rubin/ccms1/raw/20241108"
    lines = fit(f"  missing on storage: {uri}", 60)
    assert lines == ["  missing on storage:", f"      {uri}"]


@pytest.mark.parametrize("width", [NARROWEST, 80, 120, 200])
@given(
    words=st.lists(st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=30), max_size=40),
    gap=st.integers(1, 5),
)
def test_nothing_is_lost_and_nothing_but_a_long_word_is_wider(width: int, words: list[str], gap: int) -> None:
    lines = fit("  " + (" " * gap).join(words), width)
    assert [word for line in lines for word in line.split()] == words or words[:1] == ["$"]
    for line in lines:
        assert cell_len(line) <= width or len(line.split()) == 1 or line.split()[:1] == ["$"]
