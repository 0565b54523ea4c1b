"""A proof of datasets keeps the time at which they were listed, however often it is recorded again."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.engine.model import Comparison, Members
from reconciler.engine.proof_store import ProofStore
from reconciler.kinds.raw import comparison as raws
from reconciler.kinds.raw.files import RawFiles
from reconciler.kinds.raw.spec import RawSpec
from reconciler.kinds.raw_zip import comparison as zips
from reconciler.kinds.raw_zip.spec import RawZipSpec
from reconciler.kinds.shared import export_comparison, proven_datasets
from reconciler.kinds.shared.export_comparison import Known
from reconciler.kinds.shared.grown_raws import FilePart, GrownRaws
from reconciler.kinds.shared.nights import Nights
from reconciler.kinds.shared.proven_datasets import Growth, ProvenDatasets

HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)
LISTED = datetime.datetime(2026, 11, 1, 12, tzinfo=datetime.UTC)


class Bench:
    """A collection of raws, and a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = LISTED
        self.registered = {"a": LISTED - 9 * DAY, "b": LISTED - HOUR}
        monkeypatch.setattr(proven_datasets, "utc_now", lambda: self.now)

    def registered_after(self, dataset_type: str, runs: Any, boundary: datetime.datetime, most: int) -> dict[str, Any]:
        return {name: SimpleNamespace(id=name) for name, moment in self.registered.items() if moment > boundary}

    def context(self, identity: str = "here") -> Any:
        butler = SimpleNamespace(
            identity=identity,
            count=lambda *names: len(self.registered),
            registered_after=self.registered_after,
            asked_since=lambda clock: clock(),
        )
        policy = SimpleNamespace(
            reads_proofs=lambda count: True, writes_proofs=lambda count: True, compares_by_count=lambda count: False
        )
        return SimpleNamespace(butler=butler, policy=policy)

    def prepare(self, *, spec: str = "spec", identity: str = "here", inputs: Mapping[str, str] | None = None) -> ProvenDatasets:
        return ProvenDatasets.prepare(self.context(identity), "raw.x", spec, inputs or {"files": "1"}, "raw", ["x"])

    def find_listing(self, **claim: Any) -> datetime.datetime | str | None:
        """Return when the datasets were listed, by a proof that holds now."""
        proof = self.prepare(**claim).find_proof(2)
        return "no proof" if proof is None else proof.listed


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return Bench(monkeypatch)


def forget_listing() -> None:
    """Make the proofs as those were that didn't have the time of the listing."""
    for path in ProofStore().folder.iterdir():
        document = json.loads(path.read_text())
        del document["listed"]
        path.write_text(json.dumps(document))


def read_boundary() -> datetime.datetime:
    (path,) = ProofStore().folder.iterdir()
    return datetime.datetime.fromisoformat(json.loads(path.read_text())["boundary"])


def test_a_proof_has_the_time_of_its_listing_also_after_it_was_recorded_again(bench: Bench) -> None:
    bench.prepare().record(2, 2)
    assert (bench.find_listing(), read_boundary()) == (LISTED, LISTED - DAY)
    for days in (2, 3, 30):
        bench.now = LISTED + days * DAY
        assert bench.find_listing() == LISTED
    assert read_boundary() == LISTED + DAY


def test_a_proof_of_another_repository_or_of_another_version_of_the_table_has_no_effect(bench: Bench) -> None:
    bench.prepare().record(2, 2)
    bench.now = LISTED + 2 * DAY
    bench.prepare(spec="edited").record(2, 2)
    bench.prepare(identity="elsewhere").record(2, 2)
    assert bench.find_listing() == LISTED
    assert bench.find_listing(spec="edited") == bench.find_listing(identity="elsewhere") == bench.now
    assert bench.find_listing(spec="edited again") == "no proof"


def test_datasets_that_came_later_do_not_change_the_time_at_which_the_others_were_listed(bench: Bench) -> None:
    bench.prepare().record(2, 2)
    bench.now = LISTED + 2 * DAY
    bench.registered["c"] = bench.now - HOUR
    grown = bench.prepare(inputs={"files": "2"})
    growth = grown.find_growth(3)
    assert growth is not None
    assert (growth.listed, [ref.id for ref in growth.added]) == (LISTED, ["c"])
    grown.record(3, 3, growth)
    assert bench.find_listing(inputs={"files": "2"}) == LISTED


def test_a_listing_of_all_takes_the_place_of_an_earlier_one(bench: Bench) -> None:
    bench.prepare().record(2, 2)
    bench.now = LISTED + 2 * DAY
    bench.prepare().record(2, 2)
    assert bench.find_listing() == bench.now


def test_a_proof_without_the_time_of_its_listing_stays_without_it(bench: Bench) -> None:
    bench.prepare().record(2, 2)
    forget_listing()
    bench.now = LISTED + 2 * DAY
    assert bench.find_listing() is None
    assert read_boundary() == LISTED + DAY
    growth = bench.prepare(inputs={"files": "2"}).find_growth(2)
    assert growth is not None
    bench.prepare(inputs={"files": "2"}).record(2, 2, growth)
    assert bench.find_listing(inputs={"files": "2"}) is None


def compare_raws(bench: Bench, monkeypatch: pytest.MonkeyPatch, digest: str, *, grown: bool) -> Members:
    """Compare raws with files of a digest: by what came since an earlier proof if that explains all, or else one by one."""
    data_id = r"(?P<exposure>\d+)_(?P<detector>\d+)"
    spec = RawSpec.model_validate({"instrument": "LSSTCam", "locations": ["/raws"], "data_id": data_id})
    count = len(bench.registered)
    agreed = Members("raws", count, count)

    def compare_grown(self: GrownRaws, growth: Growth, parts: object, total: int) -> Members | None:
        return dataclasses.replace(agreed, compared=Comparison.PROOF, listed=growth.listed) if grown else None

    monkeypatch.setattr(GrownRaws, "compare", compare_grown)
    monkeypatch.setattr(raws, "_compare", lambda *parts: (agreed, ()))
    sizes = {f"{number}_0": 1 for number in range(count)}
    files = RawFiles(count, {"/raws": FilePart(digest, lambda: sizes)}, str, lambda: sizes, tuple)
    members, _ = raws.compare_with_files(bench.context(), "x", spec, files)
    return members


def test_raws_that_came_night_by_night_were_listed_since_the_first_listing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compare_raws(bench, monkeypatch, "1", grown=False).compared is Comparison.MEMBERS
    for night in range(2, 5):
        bench.now = LISTED + night * DAY
        bench.registered[f"new {night}"] = bench.now - HOUR
        for _ in range(2):
            members = compare_raws(bench, monkeypatch, str(night), grown=True)
            assert (members.compared, members.listed) == (Comparison.PROOF, LISTED)
    compare_raws(bench, monkeypatch, "5", grown=False)
    assert compare_raws(bench, monkeypatch, "5", grown=False).listed == bench.now


def compare_zips(bench: Bench, monkeypatch: pytest.MonkeyPatch, *inputs: str, listed: frozenset[str] = frozenset()) -> Members:
    """Compare zips of two nights, one each, whose Rucio datasets have some digests; a comparison finds some datasets."""
    names = ("s:20260101", "s:20260102")
    nights = Nights(20260101, 20260102)
    datasets: Any = SimpleNamespace(
        digest=lambda: dict(zip(names, inputs, strict=True)),
        list_zips=lambda nights: SimpleNamespace(zips={"1": None, "2": None}),
    )

    def compare(context: Any, name: str, spec: Any, datasets: Any, chosen: Any) -> Any:
        count = 2 if chosen == nights else len(chosen)
        return zips._Result(Members("exposures", count, count), (), listed, set(), misplaced=False)

    monkeypatch.setattr(zips, "_compare_nights", compare)
    table = {"instrument": "LSSTCam", "delivered_by": ["s:*"], "locations": ["/zips"], "nights": "last 30", "guiders": "g"}
    members, _ = zips.compare_with_zips(bench.context(), "x", RawZipSpec.model_validate(table), nights, datasets)
    return members


def test_zips_of_a_night_that_is_compared_alone_leave_the_time_at_which_the_others_were_listed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compare_zips(bench, monkeypatch, "1", "1").compared is Comparison.MEMBERS
    bench.now = LISTED + 2 * DAY
    bench.registered["new"] = bench.now - HOUR
    alone = compare_zips(bench, monkeypatch, "1", "2", listed=frozenset({"new"}))
    assert (alone.desired, alone.compared, alone.listed) == (2, Comparison.PROOF, LISTED)
    proven = compare_zips(bench, monkeypatch, "1", "2")
    assert (proven.field, proven.compared, proven.listed) == ("raws", Comparison.PROOF, LISTED)


def test_zips_that_are_all_compared_after_a_proof_has_failed_were_listed_then(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare_zips(bench, monkeypatch, "1", "1")
    bench.now = LISTED + 2 * DAY
    bench.registered["stray"] = bench.now - HOUR
    assert compare_zips(bench, monkeypatch, "1", "2").compared is Comparison.MEMBERS
    assert compare_zips(bench, monkeypatch, "1", "2").listed == bench.now


BY_COUNT, UNDATED = Known(Comparison.COUNT), Known(Comparison.PROOF)
FIRST, SECOND = Known(Comparison.PROOF, LISTED), Known(Comparison.PROOF, LISTED + DAY)


@pytest.mark.parametrize(
    ("existing", "compared", "listed"),
    [
        ({"flat": SECOND, "bias": FIRST, "dark": BY_COUNT}, Comparison.PROOF, LISTED),
        ({"flat": SECOND, "bias": SECOND, "dark": FIRST}, Comparison.PROOF, LISTED + DAY),
        ({"flat": FIRST, "bias": UNDATED}, Comparison.PROOF, None),
        ({"flat": FIRST, "bias": BY_COUNT}, Comparison.COUNT, None),
    ],
)
def test_an_import_was_listed_when_the_first_of_its_types_was(
    existing: dict[str, Known], compared: Comparison, listed: datetime.datetime | None
) -> None:
    content: Any = SimpleNamespace(datasets={its: SimpleNamespace(dataset_type=its) for its in ("flat", "bias")})
    source: Any = None
    context: Any = None
    assert export_comparison._compare_datasets(context, content, source, existing, {}) == (
        Members("datasets", 2, 2, compared=compared, listed=listed),
        (),
    )
