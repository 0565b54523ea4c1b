"""Addresses, members, actions and states."""

from pathlib import Path
from typing import Any

import pytest
from fakes import FakeAction, FakeKind, FakeSpec, address, make_state
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from reconciler.engine.commands import Command
from reconciler.engine.kind import Kind, KindTraits, Links, MemberText, Requirements
from reconciler.engine.model import (
    Action,
    Address,
    Change,
    Comparison,
    Condition,
    Cost,
    Difference,
    DifferenceKind,
    Members,
    Observed,
    Outcome,
    Status,
)
from reconciler.engine.spec import InputPath, Spec

A = address("box.a")


@pytest.mark.parametrize(
    ("name", "text", "plain"),
    [
        ("a_b-c1", "box.a_b-c1", "box.a_b-c1"),
        ("a/b", 'box."a/b"', "box.a/b"),
        ("é", 'box."é"', "box.é"),
        ("a b", 'box."a b"', "box.a b"),
        ("", "box", "box"),
    ],
)
def test_an_address_is_written_as_in_a_state_file(name: str, text: str, plain: str) -> None:
    assert str(Address("box", name)) == text
    assert Address("box", name).plain == plain


class FileSpec(Spec):
    """A table that names a file."""

    path: InputPath


@pytest.mark.parametrize(
    ("path", "base", "found"),
    [
        ("list.txt", Path("/states"), "/states/list.txt"),
        ("/data/list.txt", Path("/states"), "/data/list.txt"),
        ("s3://bucket/list.txt", Path("/states"), "s3://bucket/list.txt"),
        ("list.txt", None, "list.txt"),
    ],
)
def test_input_files_are_found_next_to_the_state_file(path: str, base: Path | None, found: str) -> None:
    context = None if base is None else {"base": base}
    assert FileSpec.model_validate({"path": path}, context=context).path == found
    assert FileSpec.model_validate({"path": path}, context={}).path == path


def test_a_table_takes_no_unknown_key_and_can_not_be_changed() -> None:
    with pytest.raises(ValidationError):
        FakeSpec.model_validate({"vaule": 1})
    with pytest.raises(ValidationError):
        FakeSpec().value = 1  # type: ignore[misc]


@given(st.dictionaries(st.integers(0, 9), st.integers()), st.sets(st.integers(0, 12)))
def test_members_are_compared_by_key(numbers: dict[int, int], present: set[int]) -> None:
    desired = {key: {"id": value} for key, value in numbers.items()}
    found = Members.compare("datasets", desired, present)
    assert found.missing == tuple(member for key, member in desired.items() if key not in present)
    assert found.present == len(set(desired) & present)
    assert found.desired == len(desired)
    assert (found.unwanted, found.unmanaged, found.changed, found.awaited) == ((), (), (), ())


def test_members_keep_what_the_kind_found() -> None:
    one, two, three = {"id": 1}, {"id": 2}, {"id": 3}
    found = Members.compare("files", {}, (), unwanted=[one], unmanaged=[two], changed=[three])
    assert found == Members("files", 0, 0, unwanted=(one,), unmanaged=(two,), changed=(three,))
    assert found.compared is Comparison.MEMBERS


def test_counted_members_are_all_present_and_marked() -> None:
    assert Members.counted("files", 7) == Members("files", 7, 7, compared=Comparison.COUNT)


def test_costs_add_up() -> None:
    assert Cost(1, 10) + Cost(3, 30) == Cost(4, 40)


def test_what_is_not_said_is_nothing() -> None:
    action = Action(address=A, verb="make")
    assert (action.cost, action.removes, action.reason) == (Cost(0, 0), (), "")
    assert (Outcome(A, Status.OK).actions, dict(Outcome(A, Status.OK).made)) == (0, {})
    assert (Difference(A, None).awaited, Difference(A, None).members) == (False, ())


def test_reports_list_members_unless_they_are_not_to() -> None:
    assert Difference(A, None).listed
    assert Condition(DifferenceKind.WAITING, "").listed


class AliasAction(Action):
    """An action with a field that is named otherwise in the state file."""

    long_name: str = Field(alias="long-name")


def test_the_arguments_of_an_action_are_named_as_in_the_state_file() -> None:
    action = AliasAction.model_validate({"address": A, "verb": "set", "long-name": "x"})
    assert action.arguments == {"long-name": "x"}


def test_the_arguments_of_an_action_are_its_own_fields_as_json() -> None:
    action = FakeAction(address=A, verb="add", reason="because", members=("x",), cost=Cost(1), removes=("x", "y"))
    assert action.arguments == {"value": 0, "members": ["x"]}
    assert action.subject == ""


@pytest.mark.parametrize(
    ("change", "same"),
    [({"reason": "other"}, True), ({"cost": Cost(9)}, True), ({"verb": "set"}, False), ({"value": 1}, False)],
)
def test_actions_are_the_same_work_by_verb_and_arguments(change: dict[str, Any], same: bool) -> None:
    action = FakeAction(address=A, verb="add", reason="because")
    assert action.is_same_work(action.model_copy(update=change)) is same


def test_a_plain_action_has_no_arguments() -> None:
    assert Action(address=A, verb="make").arguments == {}


def test_a_change_lists_the_fields_that_differ() -> None:
    differences = (Difference(A, None), Difference(A, "value"), Difference(A, "value"), Difference(A, "label"))
    change: Change[FakeSpec] = Change(A, FakeSpec(), Observed(None), differences)
    assert change.fields == {"value", "label"}
    assert not change.exists
    assert Change(A, FakeSpec(), Observed(FakeSpec()), differences).exists


def test_a_command_keeps_its_words() -> None:
    assert Command("butler", "create", "$REPO").words == ("butler", "create", "$REPO")


def test_a_state_knows_its_name_and_the_place_of_its_tables() -> None:
    kind = FakeKind()
    state = make_state({"box.a": FakeSpec(), "box.b": FakeSpec()}, kind)
    assert state.name == "fake"
    assert state.where(address("box.b")) == "fake.toml:20"
    assert state.where(address("box.unknown")) == "fake.toml:1"
    assert state.kind_of(A) is kind


class PlainKind(Kind[Spec, Action]):
    """A kind that says only what it must."""

    name = "plain"
    spec = Spec
    traits = KindTraits("plain")

    def observe(self, context: Any, desired: Any) -> Any:
        return {}

    def plan(self, change: Any) -> Any:
        return ()

    def apply(self, context: Any, action: Any) -> Any:
        return None


def test_a_kind_requires_only_the_butler_by_default() -> None:
    kind = PlainKind()
    assert kind.links("a", Spec()) == Links((), (), (), ())
    assert kind.requirements(Spec()) == Requirements(frozenset({"butler"}), (), (), ())
    assert list(kind.validate("a", Spec())) == []
    assert list(kind.commands(Action(address=A, verb="make"))) == []


@pytest.mark.parametrize(
    ("member", "text"),
    [
        ({"exposure": 12, "detector": 3, "path": "/x", "id": 7, "bytes": 1, "run": "r"}, "exposure=12  detector=3"),
        ({"exposure": 12, "id": 7}, "12"),
        ({"id": 7}, "7"),
        ({"id": 7, "path": "/x"}, "id=7  path=/x"),
    ],
)
def test_a_member_is_shown_by_its_short_fields(member: dict[str, Any], text: str) -> None:
    assert PlainKind().describe(member) == MemberText(text)
