"""The regular expression that finds the data ID of a raw in its path."""

from __future__ import annotations

import pytest

from reconciler.errors import StateError
from reconciler.kinds.raw.data_id_pattern import DataIdPattern


def test_numbers_and_names_are_found_with_the_night() -> None:
    by_name = DataIdPattern.compile(r"(?P<obs_id>CC_O_\d{8}_\d{6})_(?P<full_name>R\d\d_S\d\d)")
    assert by_name.parse("a/CC_O_20241108_000001_R22_S11.fits") == {
        "exposure": "CC_O_20241108_000001",
        "detector": "R22_S11",
        "day_obs": 20241108,
    }
    by_number = DataIdPattern.compile(r"(?P<exposure>\d{13})-(?P<detector>\d+)")
    assert by_number.parse("2024110800001-4.fits") == {"exposure": 2024110800001, "detector": 4, "day_obs": 20241108}
    assert by_number.parse("other.fits") is None


@pytest.mark.parametrize(
    ("pattern", "path", "message"),
    [
        (r"(?P<exposure>\w+)-(?P<detector>\d+)", "night-4.fits", 'group exposure matches "night" in night-4.fits'),
        (r"(?P<exposure>\d+)(-(?P<detector>\d+))?", "12.fits", "group detector matches nothing in 12.fits"),
        (r"(?P<obs_id>CC)?x(?P<full_name>R)", "xR", "group obs_id matches nothing in xR"),
    ],
)
def test_a_group_that_gives_no_value_is_an_error_that_names_the_path(pattern: str, path: str, message: str) -> None:
    with pytest.raises(StateError, match=message):
        DataIdPattern.compile(pattern).parse(path)
