"""The report of a plan as text, of fake kinds."""

from __future__ import annotations

from fakes import FakeContext, FakeKind, FakeSpec, Thing, make_plan, make_state

from reconciler.engine.plan import Plan
from reconciler.errors import ObserveError
from reconciler.report.text import list_changes, report_plan


def box(*names: str) -> FakeKind:
    """A kind of which some resources exist."""
    kind = FakeKind()
    kind.things = {name: Thing() for name in names}
    return kind


def report(plan: Plan) -> str:
    return "\n".join(line.text for line in report_plan(plan, 1.0))


def test_nothing_to_remove_is_not_claimed_if_something_could_not_be_checked() -> None:
    kind = box("a", "b")
    kind.unobservable["b"] = ObserveError("the server is down")
    text = report(make_plan(make_state({"box.a": FakeSpec(), "box.b": FakeSpec()}, kind), FakeContext()))
    assert "1 resource could not be checked." in text
    assert "Nothing to remove" not in text
    assert "is in sync" not in text


def test_nothing_to_remove_is_said_if_everything_was_checked() -> None:
    text = report(make_plan(make_state({"box.a": FakeSpec()}, FakeKind())))
    assert text.splitlines()[-1].startswith("1 of 1 resource differs: 1 to change. Nothing to remove.")


def test_a_state_in_sync_is_one_line() -> None:
    text = report(make_plan(make_state({"box.a": FakeSpec()}, box("a"))))
    assert text == "fake is in sync: 1 resource, checked in 1.0 s."


def test_a_list_that_changes_is_shown_by_what_is_added_removed_and_moved() -> None:
    assert list_changes(["a", "b", "x"], ["b", "a", "c"]) == ["+ c at 3 (of 3)", "- x", "↕ b from 2 to 1", "↕ a from 1 to 2"]
