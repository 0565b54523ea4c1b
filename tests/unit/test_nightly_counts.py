"""Counts by night, also while exposures are being ingested."""

from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.kinds.shared.nightly_counts import count_by_night, count_files_by_night
from reconciler.kinds.shared.nights import Nights
from reconciler.systems.rucio.facts import FileFacts

NIGHTS = Nights(20241107, 20241109)


def test_an_exposure_that_is_ingested_between_two_queries_counts_next_time() -> None:
    universe = SimpleNamespace(conform=lambda dimensions: SimpleNamespace(names=("instrument", "exposure", "detector")))
    butler = SimpleNamespace(
        dataset_types=lambda: {"raw": SimpleNamespace(dimensions=("instrument", "exposure", "detector"))},
        universe=lambda: universe,
        record_values=lambda element, field, where, instrument: {1: 20241108},
        data_ids=lambda *words: {(1, "LSSTCam", 0), (1, "LSSTCam", 1), (2, "LSSTCam", 0)},
    )
    context: Any = SimpleNamespace(butler=butler)
    assert count_by_night(context, "raw", ["LSSTCam/raw/all"], "LSSTCam", NIGHTS) == {20241108: 2}


@pytest.mark.parametrize(
    ("name", "night"),
    [
        ("LSSTCam/20241108/a.fits", 20241108),
        ("20241107/a.fits", 20241107),
        ("20241107/20241108/a.fits", 20241108),
        ("20241107/x/20241109/a.fits", 20241109),
        ("20241106/a.fits", None),
        ("20241108.fits", None),
    ],
)
def test_the_last_folder_that_is_a_night_counts(name: str, night: int | None) -> None:
    rucio = SimpleNamespace(matching=lambda did: [did], files=lambda dids: [FileFacts("raw", name, 1)])
    context: Any = SimpleNamespace(rucio=rucio)
    assert count_files_by_night(context, "raw:d", "*.fits", NIGHTS) == ({night: 1} if night else {})
