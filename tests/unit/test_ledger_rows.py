"""The ledger compares three answers about each file, names every mismatch, and has a command for each."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from reconciler.watch.json import ledger_as_json
from reconciler.watch.ledger import FileEntry, Ledger, Mismatch, Problem, find_mismatches, make_rows
from reconciler.watch.ledger_repairs import HereRule, RepairFacts, find_repairs
from reconciler.watch.ledger_text import ledgers_as_csv, report_ledger

RAW = 'raw."LSSTComCam/raw/all"'
FACTS = RepairFacts("/states/ccms1.toml", RAW, "HERE")


def raw(label: str = "CC_O_1", night: int = 20241108, detector: int = 4, **values: Any) -> FileEntry:
    found = {"did": f"raw:{label}_{detector}", "dataset": "raw:night", "available": True, "in_butler": True}
    return FileEntry(label, night, detector, **{**found, **values})


def product(label: str, **values: Any) -> FileEntry:
    return raw(label, 0, -1, **values)


CASES = {
    Problem.NOT_REGISTERED: {"did": "", "available": False, "in_butler": False},
    Problem.NOT_DELIVERED: {"available": False, "in_butler": False},
    Problem.NOT_INGESTED: {"in_butler": False},
    Problem.GONE: {"did": "", "dataset": "", "available": False},
    Problem.NOT_ON_STORAGE: {"on_storage": False},
    Problem.SIZE_DIFFERS: {"on_storage": True, "difference": "3 bytes, 5 recorded"},
    Problem.NOT_RECOGNIZED: {"recognized": False, "in_butler": False},
}


def test_each_problem_has_a_case_here() -> None:
    assert set(CASES) == set(Problem)


@pytest.mark.parametrize("problem", Problem)
def test_each_mismatch_is_named_and_has_its_repair(problem: Problem) -> None:
    entries = [raw("CC_O_2", **CASES[problem]), raw("CC_O_1")]
    assert find_mismatches(entries, by_night=True) == (
        Mismatch(problem, 20241108, 4, "", ("CC_O_2",), ("3 bytes, 5 recorded",) if problem is Problem.SIZE_DIFFERS else ()),
    )
    (row,) = make_rows(entries, by_night=True)
    assert (row.problem, row.missing) == (problem.value, ("CC_O_2",))
    (repair,) = find_repairs(entries, FACTS)
    assert (repair.problem, repair.count, len(repair.commands)) == (problem, 1, 1)


def test_files_about_which_all_agree_have_no_problem() -> None:
    (row,) = make_rows([raw(), raw("CC_O_2", on_storage=True)], by_night=True)
    assert (row.in_rucio, row.in_butler, row.on_storage, row.checked, row.problem, row.missing) == (2, 2, 1, 1, "", ())
    assert find_repairs([raw()], FACTS) == ()


def test_storage_that_was_not_checked_is_not_zero() -> None:
    (row,) = make_rows([raw()], by_night=True)
    assert (row.on_storage, row.checked) == (None, 0)


def test_a_file_may_have_two_problems_and_its_row_has_the_more_severe() -> None:
    entries = [raw(did="", available=False, on_storage=False)]
    assert [mismatch.problem for mismatch in find_mismatches(entries, by_night=True)] == [Problem.NOT_ON_STORAGE, Problem.GONE]
    assert make_rows(entries, by_night=True)[0].problem == Problem.NOT_ON_STORAGE.value


def test_raws_are_counted_by_night_and_detector_and_other_files_by_rucio_dataset() -> None:
    rows = make_rows([raw(), raw(detector=5), raw(night=20241109)], by_night=True)
    assert [(row.night, row.detector, row.dataset) for row in rows] == [(20241108, 4, ""), (20241108, 5, ""), (20241109, 4, "")]
    rows = make_rows([product("b", dataset="s:b"), product("a", dataset="s:a"), product("c", dataset="s:a")], by_night=False)
    assert [(row.dataset, row.in_rucio) for row in rows] == [("s:a", 2), ("s:b", 1)]


def commands(entry: FileEntry, problem: Problem, **facts: Any) -> tuple[str, ...]:
    chosen = RepairFacts("/states/ccms1.toml", RAW, "HERE", **facts)
    return next(repair.commands for repair in find_repairs([entry], chosen) if repair.problem is problem)


@pytest.mark.parametrize(
    ("facts", "command"),
    [
        ({}, "rucio rule add --rse-exp HERE --copies 1 raw:night"),
        ({"replicating": {"raw:night": "t"}}, "reconcile apply /states/ccms1.toml --only t"),
        ({"rules": {"raw:night": [HereRule("r", "STUCK")]}}, "rucio rule update r --boost-rule"),
        ({"rules": {"raw:night": [HereRule("r", "SUSPENDED")]}}, "rucio rule update r --stuck"),
        (
            {"rules": {"raw:night": [HereRule("r", "REPLICATING", 3, 9)]}, "replicating": {"raw:night": "t"}},
            "# raw:night: rule r is REPLICATING, 3 of 9 file copies here; wait for Rucio",
        ),
        (
            {"rules": {"raw:night": [HereRule("r", "OK", 9, 9)]}},
            "# raw:night: rule r is OK and these files have no replica; does Rucio's judge-evaluator run?",
        ),
    ],
)
def test_a_delivery_is_repaired_by_what_its_rule_lacks(facts: dict[str, Any], command: str) -> None:
    assert commands(raw(available=False, in_butler=False), Problem.NOT_DELIVERED, **facts) == (command,)
    assert commands(raw(available=False), Problem.GONE, **facts) == (command,), "it was deleted at this RSE only"


def test_files_are_registered_by_the_table_that_registers_them() -> None:
    entry = raw(**CASES[Problem.NOT_REGISTERED])
    assert commands(entry, Problem.NOT_REGISTERED, registering={"raw:night": "t"}) == (
        "reconcile apply /states/ccms1.toml --only t",
    )
    assert commands(entry, Problem.NOT_REGISTERED) == (
        "# register these files in raw:night at their source, as with rucio-register",
    )


def test_only_the_replica_of_this_rse_is_declared_bad_and_only_if_the_butler_uses_it() -> None:
    (command,) = commands(raw(on_storage=False), Problem.NOT_ON_STORAGE)
    assert "declare_bad_file_replicas([{" in command
    assert "HERE" in command
    (command,) = commands(raw(on_storage=False), Problem.NOT_ON_STORAGE, direct=False)
    assert command.startswith("# the files are the Butler's own copies")
    (command,) = commands(raw(on_storage=True, difference="x", stale=True), Problem.SIZE_DIFFERS)
    assert command.startswith("# the files are as in Rucio, the Butler recorded other sizes")
    (command,) = commands(raw(on_storage=False, did="", available=False), Problem.NOT_ON_STORAGE)
    assert command.startswith("# Rucio has no replica here")


def ledger(*entries: FileEntry, by_night: bool = True, **values: Any) -> Ledger:
    return Ledger(
        RAW,
        "HERE",
        "sample:100",
        make_rows(entries, by_night=by_night),
        find_mismatches(entries, by_night=by_night),
        find_repairs(entries, FACTS),
        by_night=by_night,
        **values,
    )


def lines(found: Ledger, **options: bool) -> list[str]:
    return [line.text for line in report_ledger(found, **options)]


def test_an_agreement_is_one_line_that_reports_what_was_not_checked() -> None:
    assert lines(ledger(raw())) == [f"{RAW}: agree: 1 in Rucio at HERE, 1 in the Butler, storage not checked"]
    assert lines(ledger(raw(on_storage=True), raw("CC_O_2")))[0].endswith("1 of 1 checked are on storage")


def test_the_report_lists_the_rows_that_differ_side_by_side_with_their_repair() -> None:
    assert lines(ledger(raw(), raw(detector=5, in_butler=False))) == [
        f"{RAW}: differ: 2 in Rucio at HERE, 1 in the Butler, storage not checked",
        "  night     detector   in Rucio   in Butler   on storage",
        "  20241108  5                 1           0            -   delivered but not ingested: CC_O_1",
        "  delivered but not ingested: 1 file",
        f"    $ reconcile apply /states/ccms1.toml --only '{RAW}'",
    ]
    assert "  20241108  4                 1           1            -" in lines(ledger(raw()), all_rows=True)


def test_a_long_report_gives_the_number_of_rows_that_it_leaves_out() -> None:
    many = ledger(*(raw(night=20240000 + number, in_butler=False) for number in range(60)))
    assert "  … and 10 more rows; -v lists all, --format csv and json too" in lines(many)
    assert len(lines(many, all_rows=True)) == len(lines(many)) + 9


def test_a_pattern_that_no_dataset_matches_is_not_agreement() -> None:
    found = ledger(raw(), unregistered=("raw:Dataset/*",))
    assert not found.agrees
    assert "  not registered: no Rucio dataset matches raw:Dataset/*" in lines(found)


def test_csv_has_every_row_and_leaves_unknown_values_empty() -> None:
    text = ledgers_as_csv([ledger(raw(), raw("CC,O", detector=-1, in_butler=False)), ledger(product("a"), by_night=False)])
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["night"], row["detector"], row["dataset"]) for row in rows] == [
        ("20241108", "", ""), ("20241108", "4", ""), ("", "", "raw:night")
    ]  # fmt: skip
    assert (rows[0]["missing"], rows[0]["problem"], rows[0]["on_storage"]) == ("CC,O", "delivered but not ingested", "")


def test_json_has_totals_rows_mismatches_and_commands() -> None:
    document = ledger_as_json(ledger(raw(in_butler=False)))
    assert (document["agrees"], document["in_rucio"], document["in_butler"]) == (False, 1, 0)
    assert document["rows"][0]["missing"] == ["CC_O_1"]
    assert document["mismatches"][0]["problem"] == "delivered but not ingested"
    assert document["repairs"][0]["commands"] == [f"reconcile apply /states/ccms1.toml --only '{RAW}'"]
