"""The one word for each resource of a plan, and the list that consists of them."""

from __future__ import annotations

import pytest
from fakes import FakeKind, FakeSpec, Thing, make_plan, make_state

from reconciler.engine.model import Condition, DifferenceKind
from reconciler.errors import ObserveError
from reconciler.report.entry_status import EntryStatus, find_status
from reconciler.report.listing import ListReport, format_list, list_state


def status_of(kind: FakeKind, spec: FakeSpec) -> EntryStatus:
    state = make_state({"box.a": spec}, kind)
    return find_status(make_plan(state).entries[0])


def test_a_resource_that_is_as_desired_is_ok_and_one_that_is_absent_is_missing() -> None:
    kind = FakeKind()
    assert status_of(kind, FakeSpec()) is EntryStatus.MISSING
    kind.things["a"] = Thing()
    assert status_of(kind, FakeSpec()) is EntryStatus.OK
    assert status_of(kind, FakeSpec(value=1)) is EntryStatus.DIFFERS


def test_a_resource_that_is_only_observed_has_the_status_of_its_differences() -> None:
    kind = FakeKind()
    assert status_of(kind, FakeSpec(manage="observe")) is EntryStatus.MISSING
    kind.things["a"] = Thing()
    assert status_of(kind, FakeSpec(value=1, manage="observe")) is EntryStatus.DIFFERS


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (DifferenceKind.CONFLICT, EntryStatus.CONFLICT),
        (DifferenceKind.BLOCKED, EntryStatus.BLOCKED),
        (DifferenceKind.WAITING, EntryStatus.WAITING),
        (DifferenceKind.FAILED, EntryStatus.FAILING),
        (DifferenceKind.DEGRADED, EntryStatus.DEGRADED),
        (DifferenceKind.LATER, EntryStatus.LATER),
    ],
)
def test_a_condition_is_the_status_of_a_resource_without_actions(condition: DifferenceKind, expected: EntryStatus) -> None:
    kind = FakeKind()
    kind.things["a"] = Thing()
    kind.conditions["a"] = (Condition(condition, "so it is"),)
    assert status_of(kind, FakeSpec()) is expected


def test_a_conflict_is_reported_before_what_would_be_done_otherwise() -> None:
    kind = FakeKind()
    kind.conditions["a"] = (Condition(DifferenceKind.CONFLICT, "it is a cup"),)
    assert status_of(kind, FakeSpec()) is EntryStatus.CONFLICT


def test_unwanted_members_are_the_status_of_a_resource_that_has_everything_else() -> None:
    kind = FakeKind()
    kind.things["a"] = Thing(members={"x", "y"})
    assert status_of(kind, FakeSpec(members=("x",))) is EntryStatus.UNWANTED


def test_what_could_not_be_checked_is_unknown() -> None:
    kind = FakeKind()
    kind.unobservable["a"] = ObserveError("no answer")
    assert status_of(kind, FakeSpec()) is EntryStatus.UNKNOWN


def test_a_list_has_a_line_for_each_chosen_resource_in_the_order_of_the_file() -> None:
    state = make_state({"box.b": FakeSpec(), "box.a/c": FakeSpec(), "box.d": FakeSpec()})
    b, ac, _ = state.resources
    report = ListReport(states=[list_state(state, {b, ac}, {ac: EntryStatus.MISSING})])
    assert [line.text for line in format_list(report)] == [
        "-         box  box.b      /states/fake.toml:10",
        'missing   box  box."a/c"  /states/fake.toml:20',
    ]
    assert [line.colour for line in format_list(report)] == [None, "green"]
