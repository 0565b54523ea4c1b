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
from reconciler.watch.acknowledgements import Acknowledgements, acknowledgement_path
from reconciler.watch.check_result import CheckResult, FoundDifference
from reconciler.watch.evaluation import DifferenceMemory, Memory, evaluate
from reconciler.watch.ledger import Ledger, Problem
from reconciler.watch.ledger_coverage import LEDGER_FIELD, describe_failure, find_uncovered
from reconciler.watch.metrics import FinishedRun, measure_run
from reconciler.watch.page.data import view_state
from reconciler.watch.state_report import Cause, StateReport, Verdict
from reconciler.watch.text import report_state

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
    kind, field = COVERED[problem]
    assert find_uncovered(ledger(problem), [difference(kind=kind, field=field, count=2)]) is None


@pytest.mark.parametrize("problem", [problem for problem in Problem if problem is not Problem.NOT_REGISTERED])
def test_a_difference_of_fewer_files_does_not_cover_a_mismatch(problem: Problem) -> None:
    kind, field = COVERED[problem]
    assert find_uncovered(ledger(problem), [difference(kind=kind, field=field, count=1)]) is not None


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
