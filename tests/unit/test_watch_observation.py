"""What a check makes of differences: their text, their fingerprint, and what the journal shows of earlier applies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.engine.model import Action, Address, Difference, DifferenceKind
from reconciler.engine.plan import Entry
from reconciler.engine.spec import Spec
from reconciler.kinds.rucio_dataset import RucioDatasetKind
from reconciler.kinds.shared.rucio_dataset_actions import AddRule
from reconciler.kinds.shared.rucio_rules import Rule
from reconciler.watch.check_result import FoundDifference
from reconciler.watch.found_differences import _merge
from reconciler.watch.last_applies import read_last_applies
from reconciler.watch.observation import failed_check

DATASET = Address("rucio_dataset", "raw:d")


def rule(text: str = "stuck for 3 d: rule X × 1", **counts: Any) -> Difference:
    member = {"rule": "r1", "ok": 80, "stuck": 4, "files": 90, "state": "STUCK", **counts}
    return Difference(DATASET, "rules", detail=text, kind=DifferenceKind.DEGRADED, members=(member,), listed=False)


def merge(*group: Difference, field: str = "rules") -> FoundDifference:
    return _merge(make_entry(), RucioDatasetKind(), group[0].kind, field, list(group), 1, ())


def make_entry(*actions: Action) -> Entry:
    return Entry(DATASET, Spec(), None, actions=actions)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (rule("stuck for 4 d: rule X × 1"), True),
        (rule(ok=86), True),
        (rule(stuck=40), False),
        (rule(rule="r2"), False),
        (rule(state="SUSPENDED"), False),
    ],
)
def test_the_fingerprint_changes_with_the_difference_and_not_with_age_or_progress(other: Difference, same: bool) -> None:
    assert (merge(rule()).fingerprint == merge(other).fingerprint) is same


def test_differences_of_one_field_are_one_whatever_their_order() -> None:
    first, second = rule("a"), rule("b", rule="r2")
    both = merge(first, second)
    assert (both.text, both.count) == ("rules: a; rules: b", 2)
    assert merge(second, first).fingerprint == both.fingerprint
    assert merge(first).fingerprint != both.fingerprint


def test_what_is_waited_for_is_one_difference_with_the_text_of_the_delivery_and_the_numbers_of_the_members() -> None:
    files = ({"path": "a"}, {"path": "b"})
    members = Difference(DATASET, "raws", 10, 12, "not delivered yet", DifferenceKind.WAITING, files, awaited=True)
    delivery = Difference(DATASET, "", detail="waiting for raw:*, 10 of 12 files here", kind=DifferenceKind.WAITING)
    found = merge(members, delivery, field="")
    assert (found.text, found.count, found.desired) == ("waiting for raw:*, 10 of 12 files here", 2, 12)
    assert merge(members, field="").text == "raws: 2 of 12 not delivered yet"


def test_the_progress_of_a_delivery_is_no_other_difference() -> None:
    def waiting(*names: str) -> FoundDifference:
        members = tuple({"path": name} for name in names)
        return merge(Difference(DATASET, "raws", 10, 12, "x", DifferenceKind.WAITING, members, awaited=True), field="")

    assert waiting("a", "b").fingerprint == waiting("b").fingerprint


def test_a_rule_that_is_replicating_has_its_numbers_of_files() -> None:
    member = {"rule": "r", "ok": 30, "stuck": 0, "files": 90, "state": "REPLICATING"}
    replicating = Difference(DATASET, "rules", detail="t", kind=DifferenceKind.WAITING, members=(member,), listed=False)
    found = merge(replicating, field="")
    assert (found.count, found.desired) == (60, 90)


def test_files_without_a_lock_are_no_delivery_of_which_nothing_has_arrived() -> None:
    """Only three of a hundred files are listed, because the others have their locks."""
    files = tuple({"file": f"f{number}"} for number in range(3))
    found = merge(Difference(DATASET, "rules", detail="t", kind=DifferenceKind.WAITING, members=files), field="")
    assert (found.count, found.desired) == (3, 0)


@pytest.mark.parametrize(
    ("observed", "desired", "text"),
    [
        ([], ["a", "b"], "children: nothing → a, b"),
        (None, 3, "children: nothing → 3"),
        (["x" * 100], [], f"children: {'x' * 80}… unwanted"),
        ([*"abc", "x" * 90], [*"abd", "x" * 90], "children: d missing; c unwanted"),
        ([], [{"rse_expression": "A|B", "copies": 2, "lifetime": None}], "children: nothing → rule A|B × 2"),
        (["a", "x" * 90], ["x" * 90, "a"], "children: 2 in another order"),
    ],
)
def test_the_text_of_a_changed_key_is_short(observed: Any, desired: Any, text: str) -> None:
    assert merge(Difference(DATASET, "children", observed, desired), field="children").text == text


def test_the_value_of_a_changed_key_is_not_a_number_of_members() -> None:
    assert merge(Difference(DATASET, "detectors", 8, 9), field="detectors").desired == 0


def test_a_change_is_described_by_its_actions_where_they_are_clearer_than_two_values() -> None:
    rule = Rule(rse_expression="X")
    change = Difference(DATASET, "rules", [], [rule.model_dump()])
    add = AddRule(address=DATASET, reason="no such rule", rule=rule)
    found = _merge(make_entry(add), RucioDatasetKind(), change.kind, "rules", [change], 1, ())
    assert found.text == "rules: replicate rule X × 1: no such rule"
    assert "{" not in merge(change).text


def test_a_number_of_members_is_not_repeated() -> None:
    members = ({"visit": 1}, {"visit": 2})

    def text(detail: str, **facts: bool) -> str:
        found = Difference(DATASET, "members", detail=detail, kind=DifferenceKind.WAITING, members=members, **facts)
        return merge(found, field="").text

    assert text("2 listed visits have no raw") == "members: 2 listed visits have no raw"
    assert text("no raw for 2 listed visits") == "members: no raw for 2 listed visits"
    assert text("unwanted", uncounted=True) == "members: 2 unwanted"


def test_a_state_file_with_several_errors_shows_the_first_and_their_number() -> None:
    found = failed_check(Path("/s.toml"), "s.toml:1: one\ns.toml:2: two\ns.toml:3: three")
    assert found.differences[0].text == "s.toml:1: one"
    assert found.differences[0].hints == ("and 2 more errors; reconcile diff lists them",)


PLACE = ("digest", "/repo", None)
BEGIN = {"event": "begin", "digest": "digest", "butler": "/repo", "rucio": None}


def write_journal(path: Path, *events: dict[str, Any]) -> Path:
    lines = [json.dumps({"run": "r1", "time": f"2026-11-01T00:00:0{n}.000Z", **event}) for n, event in enumerate(events)]
    path.write_text("\n".join(lines))
    return path


def end(left: object, **counts: int) -> dict[str, Any]:
    return {"event": "end", "counts": counts, "left": left, "interrupted": False}


DONE = {"event": "action ended", "address": "chain.a", "outcome": "done"}
LEFT = [{"address": "chain.a", "state": "waiting"}]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([BEGIN, end([], ok=2)], {"chain.a", "chain.b"}, id="a whole apply left everything in sync"),
        pytest.param([BEGIN, end(LEFT, ok=1, waiting=1)], {"chain.b"}, id="one was left waiting"),
        pytest.param([BEGIN, end([], ok=1)], set(), id="an apply of a part shows nothing of the rest"),
        pytest.param([BEGIN, DONE, end([], changed=1)], {"chain.a"}, id="an apply of a part shows what it did"),
        pytest.param([BEGIN, DONE, end(LEFT, waiting=1)], set(), id="what was done is not in sync yet"),
        pytest.param([{**BEGIN, "digest": "other"}, end([], ok=2)], set(), id="another content of the state"),
        pytest.param([{**BEGIN, "butler": "/other"}, end([], ok=2)], set(), id="another repository"),
        pytest.param([BEGIN, {**end([], ok=2), "interrupted": True}], set(), id="it was interrupted"),
        pytest.param([BEGIN], set(), id="it was killed"),
        pytest.param([BEGIN, end({"count": 30, "first": [], "sha256": "x"}, ok=2)], set(), id="too many were left to list them"),
        pytest.param(
            [BEGIN, end([{"address": "chain.a", "state": "already"}], ok=1, already=1)], {"chain.a", "chain.b"}, id="already done"
        ),
    ],
)
def test_what_the_journal_shows_of_earlier_applies(tmp_path: Path, events: list[dict[str, Any]], expected: set[str]) -> None:
    journal = write_journal(tmp_path / "journal.jsonl", *events)
    assert set(read_last_applies(journal, PLACE, {"chain.a", "chain.b"}, 2)) == expected


def test_no_journal_shows_nothing(tmp_path: Path) -> None:
    assert read_last_applies(tmp_path / "none.jsonl", PLACE, {"chain.a"}, 1) == {}
    assert read_last_applies(None, PLACE, {"chain.a"}, 1) == {}
