"""The report of a check as an operator reads it."""

from pathlib import Path

import pytest
from watch_data import CHAIN, RAW, check, difference, night, resource, unknown

from reconciler.watch.acknowledgements import Acknowledgements
from reconciler.watch.check_result import CheckResult
from reconciler.watch.evaluation import DifferenceMemory, Memory, evaluate
from reconciler.watch.latest import LatestVerdict
from reconciler.watch.state_report import Cause, Verdict
from reconciler.watch.text import describe_state_quietly, report_latest, report_state

DATASETS = tuple(f"rucio_dataset.d{number}" for number in range(13))


def lines(found: CheckResult, memory: Memory | None = None) -> list[str]:
    report = evaluate(found, memory or Memory(), Acknowledgements(Path("a")), night(3))
    return [line.text for line in report_state(report)]


def command(address: str) -> str:
    return f"reconcile apply /states/ccms1.toml --only {address}"


def test_a_state_in_sync_is_one_line_that_says_what_was_compared_by_count() -> None:
    counted = check(resources=(resource(by_count=True), resource(CHAIN)), seconds=1.9)
    assert lines(counted) == ["ccms1 is in sync: 2 resources, 1 of them by count only, checked in 1.9 s"]


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (check(seconds=1.9), "OK ccms1: 2 resources, checked in 1.9 s"),
        (check(difference(), seconds=2.0), "DRIFT ccms1: 1 unapplied (2 resources, checked in 2.0 s)"),
        (check(difference(kind="waiting"), seconds=2.0), "EXPECTED ccms1: 1 waiting (2 resources, checked in 2.0 s)"),
        (check(unknown(RAW, "no answer"), seconds=2.0), "UNKNOWN ccms1: 1 unknown (2 resources, checked in 2.0 s)"),
    ],
)
def test_the_quiet_line_of_a_check_begins_with_a_word_as_that_of_a_diff(found: CheckResult, line: str) -> None:
    report = evaluate(found, Memory(), Acknowledgements(Path("a")), night(3))
    assert describe_state_quietly(report).text == line


def test_a_difference_has_its_cause_its_age_and_its_command() -> None:
    seen = DifferenceMemory("/states/ccms1.toml", "t", "f", Cause.UNAPPLIED, False, night(0), night(2), 3, 0)
    found = difference(text="raws: 12 of 148,845 missing", commands=(command("raw"),))
    assert lines(check(found, seconds=2.0), Memory(open_differences={found.key: seen})) == [
        "ccms1 has drift: 1 unapplied (2 resources, checked in 2.0 s)",
        f"  unapplied          {RAW}: raws: 12 of 148,845 missing (for 3 d)",
        f"  $ {command('raw')}",
    ]


def test_several_resources_are_repaired_by_one_apply_of_the_state() -> None:
    found = [difference(commands=(command("raw"), "butler define-visits")), difference(CHAIN, commands=(command("chain"),))]
    assert lines(check(*found))[-2:] == ["  $ reconcile apply /states/ccms1.toml", "  $ butler define-visits"]


def test_thirteen_resources_with_the_same_error_are_one_line_with_their_number() -> None:
    found = check(
        *(unknown(address, "Rucio could not be reached: connection refused") for address in DATASETS), addresses=DATASETS
    )
    text = lines(found)
    assert text[0].startswith("ccms1 could not be checked completely: 13 unknown (13 resources")
    assert text[1:] == ["  ? Rucio could not be reached: connection refused (13 resources unknown)"]


@pytest.mark.parametrize(("kind", "word"), [("waiting", "waiting"), ("degraded", "degraded")])
def test_what_needs_no_action_now_has_no_command(kind: str, word: str) -> None:
    text = lines(check(difference(kind=kind, commands=(command("raw"),))))
    assert word in text[1]
    assert any("$" in line for line in text) is (kind == "degraded")


def test_a_check_after_a_clock_was_set_back_is_in_the_future() -> None:
    latest = LatestVerdict(state="/states/ccms1.toml", name="ccms1", repository="", verdict=Verdict.IN_SYNC, checked=night(3))
    (line,) = report_latest([latest], night(1))
    assert line.text == "ccms1   in sync     checked 2 d in the future: is the clock right?"
