"""The ledger of raws that are delivered as zips, on real repositories, a real Rucio server and real files."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from conftest import Bench
from zip_nights import GUIDERS, RUN, SECOND, ZipNights, truncate

from reconciler.playground.world import World
from reconciler.watch.json_schema import ledger_schema

ADDRESS = 'raw_zip."LSSTCam/raw/all"'


@pytest.fixture
def nights(bench: Bench, world: World, client: Any, fresh_scope: str, stack: None) -> ZipNights:
    """Two nights, delivered and ingested."""
    found = ZipNights.of_two_nights(bench, world, client, fresh_scope)
    bench.apply_and_check(found.state())
    return found


def read(nights: ZipNights, expect: int, *words: object) -> dict[str, Any]:
    document = json.loads(nights.bench.run("ledger", nights.state(), ADDRESS, "--format", "json", *words, expect=expect).output)
    jsonschema.validate(document, ledger_schema())
    (found,) = document["ledgers"]
    return dict(found)


def problems(found: dict[str, Any]) -> dict[str, list[str]]:
    return {mismatch["problem"]: mismatch["files"] for mismatch in found["mismatches"]}


def test_zips_that_are_delivered_ingested_and_on_storage_agree(nights: ZipNights) -> None:
    output = nights.bench.run("ledger", nights.state(), ADDRESS, "--verify", "all").output
    assert "agree: 6 in Rucio at " in output
    assert "6 in the Butler, 6 of 6 checked are on storage" in output


def test_a_zip_that_is_lost_or_truncated_on_storage_is_named_once(nights: ZipNights) -> None:
    lost, broken = nights.exposures[0], nights.exposures[4]
    nights.place(lost).unlink()
    truncate(nights.place(broken))
    found = read(nights, 2, "--verify", "all")
    assert problems(found) == {"registered in the Butler but not on storage": [lost.name], "size differs": [broken.name]}
    (truncated,) = [mismatch for mismatch in found["mismatches"] if mismatch["problem"] == "size differs"]
    assert truncated["notes"] == ["its zip is not intact; was it truncated?"]
    (declared, _) = (repair["commands"][0] for repair in found["repairs"])
    assert lost.zip_path in declared


def test_a_zip_counts_as_delivered_with_its_records(nights: ZipNights) -> None:
    (late,) = nights.take(SECOND, [4], deliver=False)
    assert problems(read(nights, 2)) == {"not delivered": [late.name]}
    nights.deliver([late])
    assert problems(read(nights, 2)) == {"delivered but not ingested": [late.name]}


def test_records_that_are_late_keep_a_zip_from_being_ingested(nights: ZipNights) -> None:
    (late,) = nights.take(SECOND, [4], deliver=False)
    nights.deliver([late], records=False)
    assert problems(read(nights, 2)) == {"not delivered": [late.name]}
    (report,) = json.loads(nights.bench.run("drift", nights.state(), "--ledger", "--format", "json", expect=0).output)["states"]
    assert "ledger" not in [found["field"] for found in report["differences"]]
    assert report["ledgers"][0]["in_butler"] == 6


def test_an_exposure_whose_zip_rucio_has_no_more_is_gone(nights: ZipNights) -> None:
    gone = nights.exposures[2]
    nights.detach(gone, gone.zip_path)
    assert problems(read(nights, 2)) == {"ingested but gone from Rucio": [gone.name]}


@pytest.mark.parametrize(("dataset_type", "run"), [("raw", RUN), ("guider_raw", GUIDERS)])
def test_an_exposure_that_lacks_one_dataset_of_its_zip_does_not_agree(nights: ZipNights, dataset_type: str, run: str) -> None:
    guided = next(exposure for exposure in nights.exposures if exposure.guiders)
    nights.remove(nights.refs(guided, dataset_type, run)[:1])
    assert problems(read(nights, 2)) == {"delivered but not ingested": [guided.name]}


def test_the_ledger_of_one_night_is_that_of_its_zips(nights: ZipNights) -> None:
    for exposure in nights.exposures[:4]:
        nights.place(exposure).unlink()
    found = read(nights, 2, "--verify", "all", "--night", SECOND)
    assert problems(found) == {"registered in the Butler but not on storage": [nights.exposures[3].name]}
    assert found["in_butler"] == 3
