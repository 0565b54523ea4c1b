"""What an apply is going to do, and how it ended."""

from __future__ import annotations

from typing import ClassVar

import pytest
from fakes import FakeAction, FakeSpec, GivenKind, address, make_plan, make_state

from reconciler.engine.model import Action, Cost, Outcome, Status
from reconciler.report.apply_summary import summarize_plan, summarize_run
from reconciler.report.formatting import Line


class AddRule(FakeAction):
    """Add a rule."""

    adds: ClassVar[str] = "rule"


def summarize(*actions: Action) -> Line:
    """Summarize a plan of one absent resource with these actions."""
    kind = GivenKind()
    kind.actions = {"a": list(actions)}
    return summarize_plan(make_plan(make_state({"box.a": FakeSpec()}, kind)))


def action(verb: str = "make", cost: Cost | None = None, removes: int = 0) -> FakeAction:
    return FakeAction(address=address("box.a"), verb=verb, cost=cost or Cost(), removes=tuple(map(str, range(removes))))


def rule() -> AddRule:
    return AddRule(address=address("box.a"), verb="replicate")


@pytest.mark.parametrize(
    ("actions", "text"),
    [
        ([], "Plan: 0 actions, nothing to remove."),
        ([action()], "Plan: 1 action, nothing to remove."),
        ([action(cost=Cost(1))], "Plan: 1 action, 1 dataset to ingest or register, nothing to remove."),
        (
            [action(cost=Cost(1000, 200_000_000)), action(cost=Cost(2, 100_000_000))],
            "Plan: 2 actions, 1,002 datasets to ingest or register (300.0 MB), nothing to remove.",
        ),
        ([rule(), action()], "Plan: 2 actions, 1 rule to add, nothing to remove."),
        ([rule(), rule()], "Plan: 2 actions, 2 rules to add, nothing to remove."),
        ([action(removes=1)], "Plan: 1 action, 1 member to remove."),
        ([action(removes=1200), action(removes=1)], "Plan: 2 actions, 1,201 members to remove."),
    ],
)
def test_a_plan_is_summarized_in_one_bold_line(actions: list[Action], text: str) -> None:
    assert summarize(*actions) == Line(text, bold=True)


def outcome(name: str, status: Status, detail: str = "") -> Outcome:
    return Outcome(address(f"box.{name}"), status, detail)


def test_a_run_in_which_all_is_well_is_one_bold_line() -> None:
    outcomes = [outcome("a", Status.OK), Outcome(address("box.c"), Status.CHANGED, "", 2)]
    counts = "ok 1   changed 1   waiting 0   degraded 0   blocked 0   failed 0        acted on 1 resource"
    assert list(summarize_run(outcomes, 14.2, "run-1")) == [Line(f"{counts}   14 s       run run-1", bold=True)]


def test_a_run_of_no_resource_counts_nothing() -> None:
    assert [line.text for line in summarize_run([], 0.0, "run-1")] == [
        "ok 0   changed 0   waiting 0   degraded 0   blocked 0   failed 0        acted on 0 resources   0.0 s       run run-1"
    ]


def test_what_is_not_done_is_listed_in_the_order_of_the_run_with_the_reason() -> None:
    outcomes = [
        outcome("a", Status.DEGRADED, "differs"),
        outcome("b", Status.OK),
        outcome("c", Status.FAILED, "no space left"),
        outcome("d", Status.BLOCKED, "needs box.c, which failed"),
        outcome("g", Status.CHANGED),
    ]
    first, *rest = summarize_run(outcomes, 1.0, "run-1")
    assert first.text.startswith("ok 1   changed 1   waiting 0   degraded 1   blocked 1   failed 1        acted on 0 resources")
    assert rest == [
        Line("Degraded: box.a: differs", "magenta"),
        Line("Failed: box.c: no space left", "red"),
        Line("Blocked: box.d: needs box.c, which failed", "magenta"),
    ]


def test_what_waits_is_listed_and_followed_by_what_to_do() -> None:
    outcomes = [outcome("a", Status.WAITING, "12 of 90 files are here"), outcome("b", Status.WAITING, "no file is here")]
    assert list(summarize_run(outcomes, 1.0, "run-1"))[1:] == [
        Line("Waiting: box.a: 12 of 90 files are here", "cyan"),
        Line("Waiting: box.b: no file is here", "cyan"),
        Line("Run again, or use --wait, for what is waiting."),
    ]


def test_every_status_is_either_counted_as_done_or_listed() -> None:
    for status in Status:
        lines = list(summarize_run([outcome("a", status, "why")], 1.0, "run-1"))
        listed = any("box.a: why" in line.text for line in lines[1:])
        assert listed is (status not in (Status.OK, Status.CHANGED)), status
        assert sum(int(word) for word in lines[0].text.partition("        ")[0].split() if word.isdecimal()) == 1, status


def test_resources_of_a_kind_that_end_alike_share_a_line() -> None:
    outcomes = [
        Outcome(address("box.a"), Status.FAILED, "a: activity X refused"),
        Outcome(address("box.b"), Status.FAILED, "b: activity X refused"),
        Outcome(address("box.c"), Status.FAILED, "c: activity Y refused"),
        Outcome(address("box.d"), Status.BLOCKED, "d: activity X refused"),
        Outcome(address("bag.e"), Status.FAILED, "e: activity X refused"),
    ]
    assert [line.text for line in summarize_run(outcomes, 1.0, "r")][1:] == [
        "Failed: box.a and 1 more of box: a: activity X refused",
        "Failed: box.c: c: activity Y refused",
        "Blocked: box.d: d: activity X refused",
        "Failed: bag.e: e: activity X refused",
    ]
