"""A chain that is flattened has the children that its child chains will have after an apply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from reconciler.engine.model import Address, Change, Difference, DifferenceKind, Observed
from reconciler.kinds.chain import ChainKind, ChainSpec, RedefineChain


def observe(live: Mapping[str, Sequence[str]], **desired: ChainSpec) -> Mapping[str, Observed[ChainSpec]]:
    chains = {name: SimpleNamespace(type="CHAINED", children=tuple(children), doc="") for name, children in live.items()}
    runs = {run: SimpleNamespace(type="RUN", children=(), doc="") for run in "abcx"}
    context: Any = SimpleNamespace(butler=SimpleNamespace(collections=lambda: runs | chains))
    return ChainKind().observe(context, desired)


def agrees(live: Mapping[str, Sequence[str]], **desired: ChainSpec) -> bool:
    found = observe(live, **desired)["all"]
    return found.spec == found.resolved and not found.conditions


ALL = ChainSpec(children=("part",), flatten=True)


def test_a_child_chain_is_taken_as_its_table_has_it() -> None:
    part = ChainSpec(children=("a", "b"))
    assert agrees({"all": "ab", "part": "ab"}, all=ALL, part=part)
    assert not agrees({"all": "a", "part": "a"}, all=ALL, part=part)


def test_a_child_chain_that_is_not_managed_is_taken_as_it_is() -> None:
    assert agrees({"all": "a", "part": "a"}, all=ALL, part=ChainSpec(children=("a", "b"), manage="observe"))
    assert agrees({"all": "a", "part": "a"}, all=ALL, part=ChainSpec(children=("a", "b"), manage="create"))


def test_an_unwanted_child_keeps_the_place_in_which_an_apply_leaves_it() -> None:
    part = ChainSpec(children=("a", "b"), mode="exact")
    assert agrees({"all": "xab", "part": "xab"}, all=ALL, part=part)
    assert agrees({"all": "xac", "part": "xa"}, all=ChainSpec(children=("part", "c"), flatten=True), part=part) is False


def test_a_child_chain_that_is_flattened_itself_has_the_flat_children() -> None:
    inner = ChainSpec(children=("b",), mode="exact")
    part = ChainSpec(children=("a", "inner"), flatten=True, mode="exact")
    assert agrees({"all": "xab", "part": "xab", "inner": "b"}, all=ALL, part=part, inner=inner)


def test_a_chain_that_an_unlisted_child_contains_is_reported_and_not_searched_for_ever() -> None:
    found = observe({"all": ["x0"], "x0": ["all"]}, all=ChainSpec(children=("x0",), flatten=True))["all"]
    assert [(condition.kind, condition.text) for condition in found.conditions] == [
        (DifferenceKind.BLOCKED, "children: x0 contains all, and a chain can't contain itself")
    ]


def test_an_unlisted_chain_stays_a_child_of_a_chain_that_is_flattened() -> None:
    spec = ChainSpec(children=("a", "b"), flatten=True)
    found = observe({"all": ["a", "other"], "other": ["x"]}, all=spec)["all"]
    differences = (Difference(Address("chain", "all"), "children", ["a"], ["a", "b"]),)
    (action,) = ChainKind().plan(Change(Address("chain", "all"), spec, found, differences))
    assert isinstance(action, RedefineChain)
    assert (action.children, action.flatten, action.removes) == (("a", "b", "other"), False, ())


def test_a_chain_that_a_child_with_a_table_goes_on_containing_is_reported() -> None:
    part = ChainSpec(children=("c",), mode="contains")
    found = observe({"all": ["a"], "part": ["c", "all"]}, all=ChainSpec(children=("a", "part")), part=part)["all"]
    assert [condition.kind for condition in found.conditions] == [DifferenceKind.BLOCKED]
