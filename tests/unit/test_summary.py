"""The counts of a plan, and the lines that are made of them."""

from __future__ import annotations

from fakes import FakeKind, FakeSpec, GivenKind, Thing, make_plan, make_state

from reconciler.engine.model import Condition, DifferenceKind, Members, Observed
from reconciler.engine.plan import Plan
from reconciler.errors import ObserveError
from reconciler.report import text
from reconciler.report.summary import WITHOUT_ACTION, add, describe, summarize


def a_mixed_plan() -> Plan:
    kind = FakeKind()
    kind.things |= {"fine": Thing(), "late": Thing(), "stuck": Thing(), "full": Thing(members={"x"}), "new": Thing()}
    kind.conditions["late"] = (Condition(DifferenceKind.WAITING, "1 file to come"),)
    kind.conditions["stuck"] = (Condition(DifferenceKind.DEGRADED, "stuck for 3 d"),)
    kind.unobservable["gone"] = ObserveError("the server is down")
    names = ("fine", "late", "stuck", "full", "gone")
    return make_plan(make_state({**{f"box.{name}": FakeSpec() for name in names}, "box.new": FakeSpec(members=("y",))}, kind))


def test_each_resource_is_counted_once() -> None:
    counts = summarize(a_mixed_plan())
    assert (counts.resources, counts.in_sync, counts.differing, counts.unknown) == (6, 1, 4, 1)
    assert (counts.to_change, counts.waiting, counts.degraded, counts.with_unwanted) == (1, 1, 1, 1)
    assert (counts.actions, counts.datasets, counts.bytes) == (1, 1, 10)
    assert counts.in_sync + counts.differing + counts.unknown == counts.resources


def test_the_text_has_the_same_counts() -> None:
    plan = a_mixed_plan()
    counts = summarize(plan)
    line = text.summarize(plan, 1.0).text
    assert line.startswith(f"{counts.differing} of {counts.resources} resources differ: {counts.to_change} to change")
    for name, _ in WITHOUT_ACTION:
        count = getattr(counts, name)
        assert (f"{count} {name.replace('_', ' ')}" in line) == bool(count)
    assert f"{counts.unknown} resource could not be checked" in line


def test_one_line_begins_with_the_worst_that_is_known() -> None:
    assert describe("s", summarize(a_mixed_plan())) == (
        "UNKNOWN s: 4 of 6 differ, 1 to change, 1 waiting, 1 degraded, 1 with unwanted members, 1 unknown"
    )
    kind = FakeKind()
    assert describe("s", summarize(make_plan(make_state({"box.a": FakeSpec()}, kind)))) == (
        "DRIFT s: 1 of 1 differs, 1 to change, 0 unknown"
    )
    kind.things["a"] = Thing()
    assert (
        describe("s", summarize(make_plan(make_state({"box.a": FakeSpec()}, kind))))
        == "OK s: 0 of 1 differ, 0 to change, 0 unknown"
    )


def test_one_line_reports_what_was_compared_by_count_only() -> None:
    kind = GivenKind()
    kind.given = {"a": Observed(FakeSpec(), (Members.counted("raws", 12),))}
    line = describe("s", summarize(make_plan(make_state({"box.a": FakeSpec()}, kind))))
    assert line == "OK s: 0 of 1 differ, 0 to change, 0 unknown, 1 by count only"


def test_the_counts_of_several_plans_are_added_up() -> None:
    counts = summarize(a_mixed_plan())
    both = add([counts, counts])
    assert {name: value / 2 for name, value in both.model_dump().items()} == counts.model_dump()
    assert add([]).resources == 0
