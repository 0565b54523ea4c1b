"""Raws agree with files without being listed exactly where a list of them would agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.kinds.raw import comparison
from reconciler.kinds.raw.data_id_pattern import DataIdPattern

CAMERA, OTHER = "LSSTComCam", "LATISS"
BY_NUMBER = r"(?P<exposure>\d+)_(?P<detector>\d+)\.fits"
BY_NAME = r"(?P<obs_id>E\d+)_(?P<full_name>D\d+)\.fits"
Raw = tuple[str, int, int]


@dataclass
class FakeRun:
    """A repository with one collection of raws."""

    raws: set[Raw]
    kind: str = "RUN"
    same_name: tuple[int, ...] = ()
    """Exposures that have the name of exposure 1."""
    exposures: int = 4
    listed: list[str] = field(default_factory=list)

    def collections(self) -> Mapping[str, Any]:
        return {"raws": SimpleNamespace(type=self.kind)}

    def count(self, dataset_type: str, collections: Iterable[str], where: str = "") -> int:
        return sum(instrument == CAMERA or not where for instrument, _, _ in self.raws)

    def nights(self, instrument: str) -> Mapping[int, int]:
        return dict.fromkeys(range(self.exposures), 20241108)

    def records(self, element: str, instrument: str) -> list[Any]:
        return [SimpleNamespace(id=number) for number in range(3)]

    def record_values(self, element: str, name: str, where: str = "", instrument: str = "") -> Mapping[int, str]:
        if element == "detector":
            return {number: f"D{number}" for number in range(3)}
        return {number: f"E{1 if number in self.same_name else number}" for number in range(self.exposures)}

    def data_ids(self, dataset_type: str, collections: Iterable[str], dimensions: list[str], where: str = "") -> set[Any]:
        if len(dimensions) == 2:
            return {(instrument, exposure) for instrument, exposure, _ in self.raws}
        self.listed.append(where)
        if not where:
            return self.raws
        exposures = {int(number) for number in where.partition("IN (")[2].rstrip(")").split(",")}
        return {raw for raw in self.raws if raw[0] == CAMERA and raw[1] in exposures}


def agree(run: FakeRun, paths: Iterable[str], pattern: str) -> bool:
    context: Any = SimpleNamespace(butler=run)
    spec: Any = SimpleNamespace(instrument=CAMERA)
    return comparison._agree(context, "raws", spec, DataIdPattern.compile(pattern), set(paths))


def paths_by_number(raws: Iterable[Raw]) -> set[str]:
    return {f"{exposure}_{detector}.fits" for _, exposure, detector in raws}


def paths_by_name(raws: Iterable[Raw]) -> set[str]:
    return {f"E{exposure}_D{detector}.fits" for _, exposure, detector in raws}


FULL = {(CAMERA, exposure, detector) for exposure in range(3) for detector in range(3)}
raws = st.sets(st.tuples(st.sampled_from([CAMERA, CAMERA, CAMERA, OTHER]), st.integers(0, 3), st.integers(0, 2)))
changes = st.sets(st.sampled_from(sorted(FULL)), max_size=2)


@given(raws, changes, changes)
def test_raws_agree_with_files_exactly_if_they_are_the_same(more: set[Raw], gone: set[Raw], lost: set[Raw]) -> None:
    ingested, delivered = (FULL - gone) | more, FULL - lost
    same = ingested == delivered
    assert agree(FakeRun(ingested), paths_by_number(delivered), BY_NUMBER) == same
    assert agree(FakeRun(ingested), paths_by_name(delivered), BY_NAME) == same


def test_only_raws_of_exposures_that_lack_files_are_listed() -> None:
    run = FakeRun(FULL, exposures=3)
    assert agree(run, paths_by_name(FULL), BY_NAME)
    assert run.listed == []
    part = FULL - {(CAMERA, 1, 2)}
    run = FakeRun(part)
    assert agree(run, paths_by_name(part), BY_NAME)
    assert run.listed == [f"instrument = '{CAMERA}' AND exposure IN (1, 3)"]


def test_exposures_of_other_collections_are_not_searched_for_raws_if_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "MOST_LISTED", 1)
    run = FakeRun(FULL, exposures=6)
    assert agree(run, paths_by_name(FULL), BY_NAME)
    assert run.listed == []
    part = FULL - {(CAMERA, 1, 2)}
    run = FakeRun(part, exposures=6)
    assert agree(run, paths_by_name(part), BY_NAME)
    assert run.listed == [f"instrument = '{CAMERA}' AND exposure IN (1)"]
    swapped = {*part, (CAMERA, 5, 2)} - {(CAMERA, 0, 2)}
    assert not agree(FakeRun(swapped, exposures=6), paths_by_name(part), BY_NAME)


def test_all_raws_are_listed_if_many_exposures_lack_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "MOST_LISTED", 0)
    part = FULL - {(CAMERA, 1, 2)}
    run = FakeRun(part)
    assert agree(run, paths_by_name(part), BY_NAME)
    assert run.listed == [""]
    swapped = FULL - {(CAMERA, 2, 2)}
    assert not agree(FakeRun(swapped), paths_by_name(part), BY_NAME)


def test_an_exposure_that_is_ingested_between_two_queries_does_not_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "MOST_LISTED", 3)

    class Growing(FakeRun):
        def data_ids(self, dataset_type: str, collections: Iterable[str], dimensions: list[str], where: str = "") -> set[Any]:
            self.raws = {*self.raws, (CAMERA, 9, 0)}
            return super().data_ids(dataset_type, collections, dimensions, where)

    part = FULL - {(CAMERA, 1, 2)}
    assert not agree(Growing(part, exposures=6), paths_by_name(part), BY_NAME)
    assert not agree(Growing(part, exposures=6), paths_by_number(part), BY_NUMBER)


def test_two_exposures_of_one_name_hide_nothing() -> None:
    ingested = {(CAMERA, 1, 0), (CAMERA, 1, 1), (CAMERA, 1, 2), (CAMERA, 2, 0), (CAMERA, 3, 0), (CAMERA, 3, 1)}
    files = paths_by_name((CAMERA, exposure, detector) for exposure in (1, 3) for detector in range(3))
    assert not agree(FakeRun(ingested, same_name=(2,)), files, BY_NAME)


def test_raws_in_another_type_of_collection_are_not_counted() -> None:
    assert not agree(FakeRun(FULL, kind="CHAINED"), paths_by_name(FULL), BY_NAME)


def test_a_file_of_an_unknown_detector_or_of_none_does_not_agree() -> None:
    part = FULL - {(CAMERA, 1, 2)}
    for odd in ("E1_D7.fits", "calib.fits"):
        assert not agree(FakeRun(FULL), {*paths_by_name(part), odd}, BY_NAME)
