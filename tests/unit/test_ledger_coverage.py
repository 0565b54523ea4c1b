"""What a ledger disagrees about is a difference, unless another difference of the resource reports it already."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from test_ledger_rows import CASES, raw
from test_ledger_rows import ledger as make_ledger
from watch_data import CHAIN, RAW, check, difference, night, resource, unknown

from reconciler.errors import ObserveError
from reconciler.watch.acknowledgements import Acknowledgement, Acknowledgements, acknowledgement_path
from reconciler.watch.check_result import CheckResult, FoundDifference
from reconciler.watch.evaluation import DifferenceMemory, Memory, evaluate
from reconciler.watch.ledger import Ledger, Problem
from reconciler.watch.ledger_coverage import LEDGER_FIELD, describe_failure, find_uncovered
from reconciler.watch.metrics import FinishedRun, measure_run
from reconciler.watch.page.data import view_state
from reconciler.watch.state_report import Cause, StateReport, Verdict
from reconciler.watch.text import report_state

LOST, CUT = "missing", "3 bytes, 5 recorded"
COVERED = {
    Problem.NOT_ON_STORAGE: ("degraded", "storage"),
    Problem.SIZE_DIFFERS: ("degraded", "storage"),
    Problem.GONE: ("degraded", "raws"),
    Problem.NOT_INGESTED: ("make", "raws"),
    Problem.NOT_DELIVERED: ("waiting", ""),
    Problem.NOT_REGISTERED: ("waiting", ""),
    Problem.NOT_RECOGNIZED: ("degraded", "data_id"),
}


def ledger(problem: Problem, count: int = 2, **values: Any) -> Ledger:
    return make_ledger(raw(), *(raw(f"CC_O_{number + 2}", **CASES[problem]) for number in range(count)), **values)


def of(kind: str, field: str, count: int, **values: Any) -> FoundDifference:
    """Return a difference about some files, with a member for each."""
    members = [{"uri": f"davs://s/{number}.fits", **values} for number in range(count)]
    return difference(kind=kind, field=field, count=count, members=tuple(members))


def covering(problem: Problem, count: int) -> FoundDifference:
    """Return a difference about some files that have a problem."""
    kind, field = COVERED[problem]
    reasons = {Problem.NOT_ON_STORAGE: LOST, Problem.SIZE_DIFFERS: CUT}
    return of(kind, field, count, **({"problem": reasons[problem]} if problem in reasons else {}))


@pytest.mark.parametrize("problem", Problem)
def test_a_mismatch_that_no_difference_covers_is_one(problem: Problem) -> None:
    found = find_uncovered(ledger(problem), [difference(CHAIN)], 7)
    assert found is not None
    assert (found.address, found.kind, found.field, found.count, found.line) == (RAW, "degraded", LEDGER_FIELD, 2, 7)
    assert found.text.startswith("ledger: 2 files ")
    assert [member["file"] for member in found.members] == ["CC_O_2", "CC_O_3"]
    assert found.commands


@pytest.mark.parametrize("problem", Problem)
def test_a_mismatch_that_a_difference_reports_is_not_reported_again(problem: Problem) -> None:
    assert find_uncovered(ledger(problem), [covering(problem, 2)]) is None


@pytest.mark.parametrize("problem", [problem for problem in Problem if problem is not Problem.NOT_REGISTERED])
def test_a_difference_of_fewer_files_does_not_cover_a_mismatch(problem: Problem) -> None:
    assert find_uncovered(ledger(problem), [covering(problem, 1)]) is not None


@pytest.mark.parametrize(
    ("problem", "kind", "field"),
    [
        *((Problem.GONE, "degraded", field) for field in ("data_id", "storage", "locations", "files", "exclude", "rules", "")),
        *((Problem.NOT_INGESTED, "make", field) for field in ("certifications", "collections", "dataset types", "tags")),
        *((Problem.NOT_INGESTED, "blocked", field) for field in ("raws", "files", "datasets", "locations", "chains")),
        (Problem.NOT_INGESTED, "conflict", ""),
        (Problem.NOT_DELIVERED, "make", "certifications"),
        (Problem.NOT_REGISTERED, "make", "certifications"),
        (Problem.NOT_REGISTERED, "blocked", "chains"),
        (Problem.NOT_RECOGNIZED, "degraded", "raws"),
        (Problem.NOT_RECOGNIZED, "degraded", "storage"),
        (Problem.SIZE_DIFFERS, "blocked", "raws"),
    ],
)
def test_a_difference_of_another_field_hides_no_mismatch(problem: Problem, kind: str, field: str) -> None:
    assert find_uncovered(ledger(problem), [of(kind, field, 10)]) is not None


@pytest.mark.parametrize(
    ("problem", "kind", "field"),
    [
        (Problem.GONE, "degraded", "exposures"),
        *((Problem.NOT_INGESTED, "make", noun) for noun in ("files", "datasets", "exposures")),
        *((Problem.NOT_INGESTED, "blocked", field) for field in ("exposures", "data IDs", "delivered_by")),
        (Problem.NOT_DELIVERED, "make", "datasets"),
        (Problem.NOT_REGISTERED, "make", "files"),
        (Problem.NOT_REGISTERED, "blocked", "data IDs"),
        (Problem.NOT_RECOGNIZED, "blocked", "locations"),
        (Problem.NOT_RECOGNIZED, "blocked", "delivered_by"),
    ],
)
def test_a_difference_of_the_files_themselves_covers_a_mismatch(problem: Problem, kind: str, field: str) -> None:
    assert find_uncovered(ledger(problem), [of(kind, field, 2)]) is None


def test_files_without_a_data_id_that_were_acknowledged_hide_no_raw_that_is_gone_from_rucio() -> None:
    unmatched = of("degraded", "data_id", 10)
    accepted = Acknowledgement(address=RAW, field="data_id", until=night(30).date(), reason="calibration frames")
    found = find_uncovered(ledger(Problem.GONE, 5), [unmatched])
    assert found is not None
    tables = (resource(settled=False, fields=("data_id",)),)
    report = evaluate(check(unmatched, found, resources=tables), Memory(), Acknowledgements(Path("a"), (accepted,)), night(0))
    assert {finding.difference.field: finding.cause for finding in report.findings} == {
        "data_id": Cause.ACKNOWLEDGED,
        LEDGER_FIELD: Cause.DEGRADED,
    }
    assert (report.verdict, report.exit_code) == (Verdict.DRIFT, 2)


@pytest.mark.parametrize(
    ("problem", "field", "other"),
    [
        (Problem.NOT_ON_STORAGE, "storage", CUT),
        (Problem.NOT_ON_STORAGE, "storage", "the storage returns no Adler-32 checksum"),
        (Problem.SIZE_DIFFERS, "storage", LOST),
        (Problem.SIZE_DIFFERS, "storage", "unknown to the datastore"),
        (Problem.SIZE_DIFFERS, "storage", "no checksum recorded in Rucio"),
        (Problem.SIZE_DIFFERS, "storage", "checksum 00000001, 00000002 recorded"),
        (Problem.GONE, "exposures", "2 of its raws have other UUIDs"),
    ],
)
def test_other_problems_of_the_same_field_hide_no_mismatch(problem: Problem, field: str, other: str) -> None:
    assert find_uncovered(ledger(problem), [of("degraded", field, 10, problem=other)]) is not None


def test_many_raws_of_one_zip_are_one_file_that_is_lost() -> None:
    members = tuple({"uri": f"davs://s/a.zip#zip-path={detector}.fits", "problem": LOST} for detector in range(9))
    found = difference(kind="degraded", field="storage", count=9, members=members)
    assert find_uncovered(ledger(Problem.NOT_ON_STORAGE, 1), [found]) is None
    assert find_uncovered(ledger(Problem.NOT_ON_STORAGE, 2), [found]) is not None


def test_datasets_that_the_datastore_does_not_know_are_not_on_storage() -> None:
    members = tuple({"exposure": number, "uri": "", "problem": "unknown to the datastore"} for number in range(2))
    found = difference(kind="degraded", field="storage", count=2, members=members)
    assert find_uncovered(ledger(Problem.NOT_ON_STORAGE), [found]) is None


def test_what_is_waited_for_hides_no_file_missing_from_storage() -> None:
    both = make_ledger(raw("CC_O_1", **CASES[Problem.NOT_DELIVERED]), raw("CC_O_2", **CASES[Problem.NOT_ON_STORAGE]))
    found = find_uncovered(both, [difference(kind="waiting", field="", count=1)])
    assert found is not None
    assert found.text == "ledger: 1 file registered in the Butler but not on storage"


def test_three_answers_that_agree_are_no_difference() -> None:
    assert find_uncovered(make_ledger(raw()), []) is None


def test_a_resource_that_could_not_be_checked_is_only_unknown() -> None:
    assert find_uncovered(ledger(Problem.GONE), [unknown()]) is None


def test_another_file_is_another_difference() -> None:
    prints = {
        find_uncovered(make_ledger(raw(label, on_storage=False)), []).fingerprint  # type: ignore[union-attr]
        for label in ("CC_O_1", "CC_O_2", "CC_O_1")
    }
    assert len(prints) == 2


def test_it_is_degraded_and_resolved_only_by_a_check_that_makes_a_ledger() -> None:
    broken = ledger(Problem.NOT_ON_STORAGE)
    found = find_uncovered(broken, [])
    assert found is not None
    none = Acknowledgements(acknowledgement_path(Path("/states/ccms1.toml")))
    report = evaluate(check(found, ledgers=(broken,)), Memory(), none, night(0))
    assert (report.verdict, report.exit_code, report.findings[0].cause) == (Verdict.DRIFT, 2, Cause.DEGRADED)
    known = DifferenceMemory("/states/ccms1.toml", found.text, found.fingerprint, Cause.DEGRADED, False, night(0), night(0), 1, 1)
    memory = Memory(open_differences={found.key: known})
    assert evaluate(check(), memory, none, night(1)).resolved == ()
    (gone,) = evaluate(check(ledgers=(make_ledger(raw()),)), memory, none, night(1)).resolved
    assert (gone.field, gone.resolved - gone.first_seen) == (LEDGER_FIELD, datetime.timedelta(days=1))


NO_ACKS = Acknowledgements(acknowledgement_path(Path("/states/ccms1.toml")))
DOWN = ObserveError(("files on storage could not be checked: no answer", "and its proxy is down"), ("is its door up?",))


def check_without_ledger(*differences: FoundDifference) -> CheckResult:
    """Return a check that observed everything and could not make a ledger."""
    failure = describe_failure(RAW, DOWN, differences, 7)
    assert failure is not None
    return check(*differences, failure, resources=(resource(RAW), resource(CHAIN)))


def remember(report: StateReport) -> Memory:
    return Memory(
        open_differences={
            finding.difference.key: DifferenceMemory(
                report.check.state,
                finding.difference.text,
                finding.difference.fingerprint,
                finding.cause,
                finding.overdue,
                finding.first_seen,
                finding.last_seen,
                finding.times_seen,
                finding.first_count,
            )
            for finding in report.findings
        }
    )


def test_a_ledger_that_could_not_be_made_is_unknown_and_never_in_sync() -> None:
    report = evaluate(check_without_ledger(), Memory(last_success=night(-1)), NO_ACKS, night(0))
    assert (report.verdict, report.exit_code, report.problems) == (Verdict.UNKNOWN, 1, ())
    (finding,) = report.findings
    assert (finding.cause, finding.difference.key, finding.difference.line) == (Cause.UNKNOWN, (RAW, "unknown", LEDGER_FIELD), 7)
    assert (
        finding.difference.text
        == "ledger: could not be made: files on storage could not be checked: no answer; and its proxy is down"
    )
    values = {sample.metric: sample.value for sample in measure_run(FinishedRun("w", night(0), 1.0, [report]))}
    assert values["reconcile_state_last_success_timestamp_seconds"] == night(-1).timestamp()
    assert values["reconcile_state_unknown_checks"] == 1


def test_a_ledger_that_could_not_be_made_is_reported_once_with_its_hints() -> None:
    report = evaluate(check_without_ledger(), Memory(), NO_ACKS, night(0))
    lines = [line.text for line in report_state(report)]
    assert lines[0].startswith("ccms1 could not be checked completely: 1 unknown (2 resources")
    assert lines[1:] == [f"  ? {RAW}: {report.findings[0].difference.text} (1 ledger unknown)", "      is its door up?"]
    page = view_state(report)
    assert [(group.cause, group.count) for group in page.groups] == [("unknown", 1)]
    assert page.problems == ()


def test_a_ledger_that_cannot_be_made_again_gets_older_and_is_news_twice() -> None:
    reports = [evaluate(check_without_ledger(), Memory(), NO_ACKS, night(0))]
    for number in (1, 2):
        reports.append(evaluate(check_without_ledger(), remember(reports[-1]), NO_ACKS, night(number)))
    assert [report.findings[0].times_seen for report in reports] == [1, 2, 3]
    assert reports[2].findings[0].age == datetime.timedelta(days=2)
    assert [report.findings[0].changed for report in reports] == [True, False, False]
    (gone,) = evaluate(check(ledgers=(make_ledger(raw()),)), remember(reports[2]), NO_ACKS, night(3)).resolved
    assert (gone.field, gone.resolution) == (LEDGER_FIELD, "checked again")


def test_a_ledger_that_could_not_be_made_changes_nothing_about_other_fields_of_its_resource() -> None:
    broken = find_uncovered(ledger(Problem.NOT_ON_STORAGE), [])
    assert broken is not None
    before = evaluate(check(difference(), difference(field="exclude"), broken), Memory(), NO_ACKS, night(0))
    report = evaluate(check_without_ledger(difference()), remember(before), NO_ACKS, night(1))
    causes = {finding.difference.field: finding.cause for finding in report.findings}
    assert causes == {"raws": Cause.UNAPPLIED, LEDGER_FIELD: Cause.UNKNOWN}
    assert [gone.field for gone in report.resolved] == ["exclude"], "what the ledger reported before may still be there"


def test_a_resource_that_could_not_be_checked_is_not_reported_again_for_its_ledger() -> None:
    assert describe_failure(RAW, DOWN, [unknown()]) is None
    assert describe_failure(RAW, DOWN, [unknown(CHAIN), difference()]) is not None
