"""One run removes little, unless it is allowed to remove more."""

from dataclasses import replace
from typing import ClassVar

import pytest
from fakes import FakeAction, FakeKind, FakeSpec, GivenKind, Thing, address, make_plan, make_state

from reconciler.engine.graph import build_graph
from reconciler.engine.plan import Entry, Plan, PlanLimits
from reconciler.engine.removal_limits import check_removal_limits, count_pruned, count_removals
from reconciler.errors import PlanError
from reconciler.report.summary import summarize


def plan_removals(*counts: tuple[int, int]) -> Plan:
    """Plan to remove some members of each resource, of a number that are present."""
    kind = FakeKind()
    tables = {}
    for number, (removed, present) in enumerate(counts):
        members = [f"m{index}" for index in range(present)]
        kind.things[f"b{number}"] = Thing(0, set(members))
        tables[f"box.b{number}"] = FakeSpec(members=tuple(members[removed:]))
    return make_plan(make_state(tables, kind), prune=True)


def problems(plan: Plan, limit: int | None = None) -> list[str]:
    with pytest.raises(PlanError) as caught:
        check_removal_limits(plan, limit)
    return str(caught.value).splitlines()


def test_removals_of_all_resources_are_counted() -> None:
    assert count_removals(plan_removals((2, 9), (0, 5), (3, 10))) == 5


def test_a_plan_that_removes_nothing_is_within_the_limits() -> None:
    check_removal_limits(plan_removals((0, 5), (0, 0)), None)
    check_removal_limits(plan_removals((0, 5)), 0)


def test_removing_three_tenths_of_a_resource_is_allowed() -> None:
    check_removal_limits(plan_removals((3, 10)), None)


def test_removing_more_than_three_tenths_of_a_resource_is_refused() -> None:
    plan = plan_removals((3, 10), (4, 10), (1, 10), (1300, 2000))
    assert problems(plan) == [
        "box.b1: 4 of 10 members would be removed, more than 30%",
        "box.b3: 1,300 of 2,000 members would be removed, more than 30%",
    ]
    with pytest.raises(PlanError) as caught:
        check_removal_limits(plan, None)
    assert caught.value.hints == ("if that is intended, use --prune-limit 1308; nothing was changed",)


def test_removing_members_of_ten_resources_is_allowed() -> None:
    check_removal_limits(plan_removals(*[(1, 10)] * 10, (0, 5)), None)


def test_removing_members_of_more_than_ten_resources_is_refused() -> None:
    assert problems(plan_removals(*[(1, 10)] * 11)) == ["11 resources would lose members, more than 10"]


def test_all_exceeded_removal_limits_are_reported_at_once() -> None:
    assert len(problems(plan_removals(*[(1, 10)] * 10, (9, 10)))) == 2


def test_what_a_renewed_plan_does_not_permit_is_not_counted() -> None:
    plan = plan_removals((1, 10), (9, 10), *[(1, 10)] * 10)
    limited = replace(plan, limits=PlanLimits(allowed={address("box.b0"): None}))
    assert (count_removals(limited), count_pruned(limited)) == (1, 1)
    check_removal_limits(limited, None)
    check_removal_limits(limited, 1)
    assert summarize(limited).removals == 1


def test_a_prune_limit_of_the_operator_replaces_the_default_limits() -> None:
    check_removal_limits(plan_removals(*[(9, 10)] * 12), 108)


def test_removals_beyond_the_prune_limit_of_the_operator_are_refused() -> None:
    plan = plan_removals((600, 1000), (600, 1000))
    assert problems(plan, 1199) == ["1,200 members would be removed, more than --prune-limit 1,199"]
    with pytest.raises(PlanError) as caught:
        check_removal_limits(plan, 1199)
    assert caught.value.hints == ("nothing was changed",)


def test_the_share_of_removals_is_relative_to_the_part_that_loses_members() -> None:
    """Removing from a small part is judged by that part, not by a larger one that loses nothing."""
    from reconciler.engine.model import Members, Observed

    its = address("box.a")
    gone = ({"id": 1}, {"id": 2})
    parts = (Members("files", 100, 100), Members("rules", 1, 1, unwanted=gone))
    action = FakeAction(address=its, verb="remove", removes=("x", "y"))
    state = make_state({"box.a": FakeSpec()})
    entry = Entry(its, FakeSpec(), Observed(FakeSpec(), parts), (), (action,))
    assert problems(Plan(state, build_graph(state), (entry,))) == ["box.a: 2 of 3 members would be removed, more than 30%"]


@pytest.mark.parametrize("observed", [True, False])
def test_removals_of_an_unknown_share_are_refused(observed: bool) -> None:
    from reconciler.engine.model import Observed

    its = address("box.a")
    action = FakeAction(address=its, verb="remove", removes=("x", "y"))
    state = make_state({"box.a": FakeSpec()})
    entry = Entry(its, FakeSpec(), Observed(FakeSpec()) if observed else None, (), (action, action))
    assert problems(Plan(state, build_graph(state), (entry,))) == ["box.a: 4 of 4 members would be removed, more than 30%"]


class Replacement(FakeAction):
    """An action that removes because a key of the state asks for it."""

    removes_by_key: ClassVar[bool] = True


def test_what_a_key_of_the_state_removes_is_limited_and_needs_no_prune() -> None:
    kind = GivenKind()
    kind.actions["a"] = [Replacement(address=address("box.a"), verb="move", reason="replaces old", removes=("old",))]
    plan = make_plan(make_state({"box.a": FakeSpec()}, kind))
    assert (count_removals(plan), count_pruned(plan)) == (1, 0)
    assert problems(plan) == ["box.a: replaces old"]
    check_removal_limits(plan, 1)
