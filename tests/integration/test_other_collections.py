"""Collections of other people in the same repository cost nothing and are left alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from conftest import Bench
from test_kinds_of_data import INSTRUMENT, VISITS, raw, raws  # noqa: F401

from reconciler.systems.butler import write_definitions
from reconciler.systems.butler.repository import Repository


def register_runs(bench: Bench, count: int) -> None:
    butler = bench.butler
    with butler.transaction():
        for number in range(count):
            butler.collections.register(f"u/somebody/{number}")


@pytest.fixture
def completed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The RUN collections that were completed."""
    names: list[str] = []

    def complete_runs(repository: Repository, runs: Iterable[str]) -> None:
        names.extend(runs := list(runs))
        real(repository, runs)

    real = write_definitions.complete_runs
    monkeypatch.setattr(write_definitions, "complete_runs", complete_runs)
    return names


def test_a_subcommand_completes_only_the_empty_runs_that_it_writes(
    comcam: Bench,
    raws: Any,  # noqa: F811
    completed: list[str],
) -> None:
    register_runs(comcam, 20)
    butler = comcam.butler
    mine = ["LSSTComCam/raw/all", "skymaps", "LSSTComCam/calib/DM-1/unbounded", "LSSTComCam/calib/DM-1/curated/19700101T000000Z"]
    for name in mine:
        butler.collections.register(name)
    (comcam.folder / "map.config").write_text('config.name = "m1"\n')
    calibrations = '[curated_calibrations."LSSTComCam/calib/DM-1"]\ninstrument = "LSSTComCam"\nlabel = "DM-1"\n'
    comcam.apply_and_check(comcam.state(raw(raws) + VISITS + calibrations + '[skymap.m1]\nconfig = "map.config"\n'))
    assert sorted(completed) == sorted(mine)
