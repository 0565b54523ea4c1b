"""The reason of an action, and of an expectation that fails, counts with a noun that agrees."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.engine.kind import Kind
from reconciler.engine.model import Address, Change, Members, Observed
from reconciler.kinds.expect import ExpectKind, ExpectSpec
from reconciler.kinds.file_ingest import FileIngestKind, FileIngestSpec
from reconciler.kinds.tagged.kind import TaggedKind
from reconciler.kinds.tagged.spec import TaggedSpec

TAGGED = TaggedSpec.model_validate({"dataset_type": "raw", "from": ["r"]})
INGEST = FileIngestSpec(dataset_type="cat", table="/t.ecsv")


def reasons(kind: Kind[Any, Any], spec: Any, members: Members, *, exists: bool = True) -> list[str]:
    change = Change(Address(kind.name, "x"), spec, Observed(spec if exists else None, (members,)), (), prune=True)
    return [action.reason for action in kind.plan(change)]


def lists(count: int) -> tuple[Mapping[str, Any], ...]:
    return tuple({"id": str(number), "path": f"/{number}"} for number in range(count))


@pytest.mark.parametrize(("count", "text"), [(1, "1 member missing"), (1200, "1,200 members missing")])
def test_missing_members_of_a_tagged_collection_are_counted(count: int, text: str) -> None:
    assert reasons(TaggedKind(), TAGGED, Members("members", count, 0, missing=lists(count))) == [text]


@pytest.mark.parametrize(("count", "text"), [(1, "1 unwanted member"), (1200, "1,200 unwanted members")])
def test_unwanted_members_of_a_tagged_collection_are_counted(count: int, text: str) -> None:
    assert reasons(TaggedKind(), TAGGED, Members("members", 0, 0, unwanted=lists(count))) == [text]


@pytest.mark.parametrize(("count", "text"), [(1, "1 file not ingested"), (1200, "1,200 files not ingested")])
def test_files_to_ingest_are_counted(count: int, text: str) -> None:
    assert reasons(FileIngestKind(), INGEST, Members("files", count, 0, missing=lists(count)), exists=False) == [text]


@pytest.mark.parametrize(
    ("keys", "count", "text"),
    [
        ({"count": 18}, 1, "1 dataset, 18 expected"),
        ({"min": 18}, 1, "1 dataset, at least 18 expected"),
        ({"max": 0}, 1, "1 dataset, at most 0 expected"),
        ({"count": 18}, 1600, "1,600 datasets, 18 expected"),
    ],
)
def test_an_expectation_that_fails_counts_its_datasets(keys: dict[str, int], count: int, text: str) -> None:
    butler = SimpleNamespace(
        count=lambda *_: count, dataset_types=lambda: {"raw": SimpleNamespace(dimensions=())}, check_expression=lambda *_: None
    )
    spec = ExpectSpec(dataset_type="raw", collections=("r",), **keys)
    observed = ExpectKind().observe(SimpleNamespace(butler=butler), {"x": spec})["x"]  # type: ignore[arg-type]
    assert observed.conditions[0].text == text
