"""Differences of fields, members and conditions."""

from typing import Any

import pytest
from fakes import FakeSpec, address
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from reconciler.engine.diff import META, canonical, diff
from reconciler.engine.model import Condition, Difference, DifferenceKind, Members, Observed
from reconciler.engine.spec import Spec

A = address("box.a")
NAMES = [name for name in FakeSpec.model_fields if name not in META]


class NestedSpec(Spec):
    """A table with a table in it, and a key that begins as a private name does."""

    options: dict[str, Any] = Field(default_factory=dict)
    other: dict[str, Any] = Field(default_factory=dict)


def compare(desired: Spec, observed: Observed[Any]) -> tuple[Difference, ...]:
    return diff({A: desired}, {A: observed})[A]


def test_equal_specs_do_not_differ() -> None:
    assert compare(FakeSpec(value=1), Observed(FakeSpec(value=1))) == ()


def test_a_changed_field_is_one_difference_with_both_values() -> None:
    assert compare(FakeSpec(value=2), Observed(FakeSpec(value=1))) == (Difference(A, "value", 1, 2),)


def test_a_field_is_named_as_in_the_state_file() -> None:
    (found,) = compare(FakeSpec(long_name="new"), Observed(FakeSpec(long_name="old")))
    assert (found.field, found.observed, found.desired) == ("long-name", "old", "new")


def test_values_are_json() -> None:
    (found,) = compare(FakeSpec(needs=("b", "a")), Observed(FakeSpec(needs=("a",))))
    assert (found.observed, found.desired) == (["a"], ["b", "a"])


def test_keys_that_control_management_are_not_differences() -> None:
    treated = FakeSpec(manage="create", protect=True, requires=("box.b",), note="a remark")
    assert compare(treated, Observed(FakeSpec())) == ()
    assert compare(treated.model_copy(update={"value": 1}), Observed(FakeSpec()))[0].field == "value"


def test_several_changes_in_one_field_are_one_difference() -> None:
    before, after = {"x": 1, "y": 2, "__z": 3}, {"x": 2, "y": 3, "__z": 4}
    assert compare(NestedSpec(options=after), Observed(NestedSpec(options=before))) == (Difference(A, "options", before, after),)


def test_a_change_of_a_private_name_alone_is_a_difference() -> None:
    assert len(compare(NestedSpec(options={"__z": 1}), Observed(NestedSpec(options={"__z": 2})))) == 1


def test_a_section_that_has_little_in_common_is_compared_field_by_field() -> None:
    desired = NestedSpec(options={"a": 1, "b": 2}, other={"c": 3})
    found = compare(desired, Observed(NestedSpec(options={"q": 9}, other={"r": 8, "s": 7})))
    assert sorted(str(difference.field) for difference in found) == ["options", "other"]


def test_changes_of_several_resources_are_kept_apart() -> None:
    b, c = address("box.b/x"), address("box.c")
    desired = {A: FakeSpec(value=1), b: FakeSpec(value=2, systems=()), c: FakeSpec()}
    found = diff(desired, dict.fromkeys(desired, Observed(FakeSpec())))
    assert {its: sorted(str(d.field) for d in differences) for its, differences in found.items()} == {
        A: ["value"],
        b: ["systems", "value"],
        c: [],
    }
    assert {difference.address for difference in found[b]} == {b}


def test_fields_that_were_not_observed_are_not_compared() -> None:
    b = address("box.b")
    found = diff({A: FakeSpec(value=1), b: FakeSpec(value=1)}, {b: Observed(FakeSpec())})
    assert list(found) == [b]
    assert [difference.field for difference in found[b]] == ["value"]


@given(st.dictionaries(st.sampled_from(["value", "long_name", "members"]), st.integers(0, 1)))
def test_the_fields_that_differ_are_those_whose_values_differ(changes: dict[str, int]) -> None:
    values: dict[str, Any] = {"value": [0, 1], "long_name": ["", "x"], "members": [(), ("x",)]}
    desired = FakeSpec(**{name: values[name][which] for name, which in changes.items()})
    before, after = canonical(FakeSpec()), canonical(desired)
    found = compare(desired, Observed(FakeSpec()))
    assert {difference.field for difference in found} == {key for key in after if after[key] != before[key]}


def test_a_resource_that_is_absent_is_one_difference() -> None:
    assert compare(FakeSpec(value=1), Observed(None)) == (Difference(A, None, kind=DifferenceKind.MAKE),)


def test_a_resource_that_may_appear_later_has_its_own_difference() -> None:
    conditions = (Condition(DifferenceKind.WAITING, "on its way"), Condition(DifferenceKind.LATER, "made by the next step"))
    found = compare(FakeSpec(), Observed(None, conditions=conditions))
    assert found[0] == Difference(A, None, detail="made by the next step", kind=DifferenceKind.MAKE)
    assert [difference.kind for difference in found] == [DifferenceKind.MAKE, DifferenceKind.WAITING, DifferenceKind.LATER]


def test_a_condition_is_a_difference_of_its_kind() -> None:
    member = {"id": 1}
    condition = Condition(DifferenceKind.DEGRADED, "stuck", (member,), "rules", listed=False)
    (found,) = compare(FakeSpec(), Observed(FakeSpec(), conditions=(condition,)))
    assert found == Difference(A, "rules", detail="stuck", kind=DifferenceKind.DEGRADED, members=(member,), listed=False)


PARTS = {
    "missing": (DifferenceKind.MAKE, "missing", 3, 5),
    "awaited": (DifferenceKind.WAITING, "not delivered yet", 3, 5),
    "changed": (DifferenceKind.BLOCKED, "present with different properties (never overwritten)", None, None),
    "unwanted": (DifferenceKind.REMOVE, "unwanted", None, None),
    "unmanaged": (DifferenceKind.DEGRADED, "not in the state; reconcile never removes them", None, None),
}


@pytest.mark.parametrize("part", PARTS)
def test_each_part_of_the_members_is_one_difference(part: str) -> None:
    kind, detail, present, desired = PARTS[part]
    its = ({"id": 1}, {"id": 2})
    (found,) = compare(FakeSpec(), Observed(FakeSpec(), (Members("datasets", 5, 3, **{part: its}),)))
    assert found == Difference(A, "datasets", present, desired, detail, kind, its, part == "awaited", uncounted=present is None)


def test_all_parts_of_all_members_are_reported_in_order() -> None:
    parts: dict[str, Any] = {part: ({"id": part},) for part in PARTS}
    members = (Members("datasets", 5, 3, **parts), Members("files", 1, 0, missing=({"id": 1},)))
    conditions = (Condition(DifferenceKind.WAITING, "later"),)
    found = compare(FakeSpec(value=1), Observed(FakeSpec(), members, conditions))
    assert [(d.field, d.kind) for d in found] == [
        ("value", DifferenceKind.CHANGE),
        *[("datasets", kind) for kind, *_ in PARTS.values()],
        ("files", DifferenceKind.MAKE),
        ("", DifferenceKind.WAITING),
    ]


def test_members_that_agree_do_not_differ() -> None:
    assert compare(FakeSpec(), Observed(FakeSpec(), (Members("datasets", 5, 5),))) == ()
