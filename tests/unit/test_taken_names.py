"""A resource whose name something else has doesn't exist, though it is observed as desired so that it isn't made."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.engine.model import DifferenceKind, Observed
from reconciler.kinds.chain import KIND as CHAIN
from reconciler.kinds.curated_calibrations import KIND as CURATED
from reconciler.kinds.file_ingest import KIND as FILE_INGEST
from reconciler.kinds.raw import KIND as RAW
from reconciler.kinds.raw_zip import KIND as RAW_ZIP
from reconciler.kinds.rucio_container import KIND as CONTAINER
from reconciler.kinds.rucio_dataset import RucioDatasetSpec, _observe
from reconciler.kinds.shared.rucio_registration import DatasetFacts
from reconciler.kinds.tagged import KIND as TAGGED
from reconciler.systems.rucio.facts import DidFacts

ZIPS = {"instrument": "LSSTCam", "delivered_by": ["s:*"], "locations": ["/zips"], "nights": "last 30"}
NOW = datetime.datetime(2026, 11, 28, 12)


def butler(**collections: str) -> Any:
    """Return a context with some collections, by name and type."""
    found = {name: SimpleNamespace(type=its, children=(), doc="", dataset_types=()) for name, its in collections.items()}
    return SimpleNamespace(
        butler=SimpleNamespace(collections=lambda: found, certifications=lambda *names: (), check_expression=lambda *names: None),
        rucio=SimpleNamespace(dids=lambda names: {"s:d": DidFacts("DATASET", True, None)}, contents=lambda names: {}),
    )


def assert_taken(observed: Observed[Any]) -> None:
    assert [condition.kind for condition in observed.conditions] == [DifferenceKind.CONFLICT]
    assert observed.spec is not None
    assert not observed.exists


@pytest.mark.parametrize(
    ("kind", "taken_by", "table"),
    [
        (CHAIN, "RUN", {"children": ["a"]}),
        (TAGGED, "RUN", {"dataset_type": "raw", "from": ["a"]}),
        (FILE_INGEST, "TAGGED", {"dataset_type": "raw", "table": "t.csv"}),
        (CURATED, "RUN", {"instrument": "LSSTCam"}),
        (RAW, "TAGGED", {"instrument": "LSSTCam", "locations": ["/raws"]}),
        (RAW_ZIP, "TAGGED", ZIPS),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_collection_of_another_type_is_not_the_desired_one(kind: Any, taken_by: str, table: dict[str, Any]) -> None:
    spec = kind.spec.model_validate(table)
    assert_taken(kind.observe(butler(x=taken_by), {"x": spec})["x"])


def test_zips_whose_raws_have_their_collection_exist_though_that_of_the_guiders_is_taken() -> None:
    spec = RAW_ZIP.spec.model_validate({**ZIPS, "guiders": "g"})
    assert RAW_ZIP.observe(butler(x="RUN", g="TAGGED"), {"x": spec})["x"].exists
    assert_taken(RAW_ZIP.observe(butler(g="TAGGED"), {"x": spec})["x"])


def test_a_container_is_not_the_desired_dataset_and_a_dataset_not_the_desired_container() -> None:
    assert_taken(_observe("s:c", RucioDatasetSpec(), DatasetFacts(DidFacts("CONTAINER", True, None), (), "root", NOW)))
    assert_taken(CONTAINER.observe(butler(), {"s:d": CONTAINER.spec.model_validate({"contents": ["s:e"]})})["s:d"])
