"""Counts prove that a TAGGED collection has the listed members exactly where a list of them would agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.kinds.tagged.comparison import _compare_by_counts

DETECTORS = 2
DataId = tuple[int, int]


@dataclass
class FakeRepository:
    """Two RUN collections of raws, by exposure and detector, and the RUN of each raw that is tagged."""

    runs: Mapping[str, set[DataId]]
    tagged: Mapping[DataId, str]

    def collections(self) -> Mapping[str, Any]:
        return {"a": SimpleNamespace(type="RUN"), "b": SimpleNamespace(type="RUN"), "both": SimpleNamespace(type="CHAINED")}

    def dataset_types(self) -> Mapping[str, Any]:
        return {"raw": SimpleNamespace(dimensions=("instrument", "exposure", "detector"))}

    def records(self, element: str, instrument: str) -> list[None]:
        return [None] * DETECTORS

    def count(self, dataset_type: str, collections: Iterable[str]) -> int:
        return len(self.tagged)

    def count_in(
        self, dataset_type: str, collections: Iterable[str], dimension: str, values: Sequence[int], instrument: str
    ) -> int:
        return sum(exposure in values for run in self._flatten(collections) for exposure, _ in self.runs[run])

    def count_tagged(self, dataset_type: str, collection: str, sources: Iterable[str], where: str) -> int:
        return sum(run in self._flatten(sources) for run in self.tagged.values())

    def data_ids(self, dataset_type: str, collections: Iterable[str], dimensions: list[str]) -> set[tuple[str, int]]:
        return {("LSSTCam", exposure) for exposure, _ in self.tagged}

    def _flatten(self, collections: Iterable[str]) -> list[str]:
        return ["a", "b"] if "both" in collections else list(collections)


IDS = st.sets(st.tuples(st.integers(1, 3), st.integers(1, DETECTORS)))
ALL = {(exposure, detector) for exposure in (1, 2) for detector in (1, 2)}


@given(IDS, IDS, st.sets(st.integers(1, 3), min_size=1), st.sampled_from(["a", "both"]), st.data())
@example(ALL, set(), {1, 2}, "a", None)
@example(ALL - {(1, 1)}, set(), {1, 2}, "a", None)
@example(ALL - {(1, 1)}, {(1, 1)}, {1, 2}, "a", None)
def test_members_agree_by_counts_only_if_a_list_agrees(
    a: set[DataId], b: set[DataId], listed: set[int], source: str, data: st.DataObject | None
) -> None:
    runs = {"a": a, "b": b}
    found = [(data_id, run) for run, ids in runs.items() for data_id in sorted(ids)]
    tagged = dict(found if data is None else data.draw(st.lists(st.sampled_from(found)) if found else st.just([])))
    spec: Any = SimpleNamespace(
        dataset_types=("raw",), sources=(source,), instrument="LSSTCam", listed_dimension="exposure",
        read_numbers=lambda: sorted(listed), ids=None, where="",
    )  # fmt: skip
    policy = SimpleNamespace(deep=False, is_large=lambda count: True, compares_by_count=lambda count: False)
    context: Any = SimpleNamespace(policy=policy, butler=FakeRepository(runs, tagged))
    desired = [(data_id, run) for data_id, run in found if data_id[0] in listed and (source == "both" or run == "a")]
    same = len(dict(desired)) == len(desired) and dict(desired) == tagged
    members = _compare_by_counts(context, "good", spec)
    if members is not None:
        assert same
    elif source == "a" and {exposure for exposure, _ in tagged} == listed:
        assert not same


def test_a_dataset_type_that_does_not_exist_is_not_counted_as_none_of_many() -> None:
    spec: Any = SimpleNamespace(
        dataset_types=("raw", "rwa"), sources=("a",), instrument="LSSTCam", listed_dimension="", ids=None, where=""
    )
    policy = SimpleNamespace(deep=False, is_large=lambda count: True, compares_by_count=lambda count: False)
    butler = FakeRepository({"a": ALL, "b": set()}, dict.fromkeys(ALL, "a"))
    count = SimpleNamespace(**{name: getattr(butler, name) for name in dir(butler) if not name.startswith("_")})
    count.count = lambda dataset_type, collections, where="": len(ALL) if dataset_type == "raw" else 0
    count.count_tagged = count.count
    context: Any = SimpleNamespace(policy=policy, butler=count)
    assert _compare_by_counts(context, "good", spec) is None
