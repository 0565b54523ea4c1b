"""A record is wrong if it is missing or points at another dataset's file, and not if it spells the same place in another way."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from reconciler.kinds.shared.datastore_records import NO_RECORD, compare_paths
from reconciler.systems.storage import normalize_uri

DESIRED = {key: {"id": key, "path": f"file:///data/{key}.fits"} for key in "ab"}


@pytest.mark.parametrize(
    ("recorded", "wrong"),
    [
        ({"a": "/data/a.fits", "b": "/data/b.fits"}, {}),
        ({"a": "davs://x/data/a.fits", "b": "davs://x/data/b.fits"}, {}),
        ({"a": None, "b": "/data/b.fits"}, {"a": NO_RECORD}),
        ({"a": "/data/b.fits", "b": "/data/b.fits"}, {"a": "/data/b.fits"}),
        ({"a": "/data/b.fits", "b": "/data/a.fits"}, {"a": "/data/b.fits", "b": "/data/a.fits"}),
        ({"a": "davs://x/b.fits", "b": "davs://x/b.fits"}, {"a": "davs://x/b.fits", "b": "davs://x/b.fits"}),
    ],
)
def test_records_that_are_missing_or_of_another_file_are_found(
    recorded: Mapping[str, str | None], wrong: Mapping[str, str]
) -> None:
    found = compare_paths({**recorded}, {**DESIRED}, normalize_uri)
    assert {member["id"]: member["existing_path"] for member in found} == wrong


def test_datasets_that_share_one_file_as_desired_are_not_wrong() -> None:
    desired = {key: {"id": key, "path": "/data/all.fits"} for key in "ab"}
    assert not list(compare_paths({"a": "davs://x/all.fits", "b": "davs://x/all.fits"}, {**desired}, normalize_uri))
