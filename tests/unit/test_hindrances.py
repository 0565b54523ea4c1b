"""What a plan lets expect of an apply: what hinders a resource is what the executor then reports of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pytest
from fakes import FakeAction, FakeContext, FakeKind, FakeSpec, Recorder, Thing, address, make_plan, make_state
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine.executor import Executor
from reconciler.engine.hindrances import describe_expected_hindrances, find_tokens_that_decide
from reconciler.engine.model import Change, Condition, DifferenceKind
from reconciler.engine.plan import Plan
from reconciler.errors import ObserveError

SITES = {
    "ok": (True, None),
    "missing": (False, None),
    "partly here": (False, DifferenceKind.WAITING),
    "nothing here": (False, DifferenceKind.WAITING),
    "impossible": (False, DifferenceKind.BLOCKED),
    "waiting": (True, DifferenceKind.WAITING),
    "blocked": (True, DifferenceKind.BLOCKED),
    "degraded": (True, DifferenceKind.DEGRADED),
    "failing": (True, DifferenceKind.FAILED),
    "in conflict": (True, DifferenceKind.CONFLICT),
    "unknown": (True, None),
    "unwanted": (True, None),
}
"""Whether a resource exists, and its condition."""
NO_ACTION = ("nothing here", "impossible")


class SiteKind(FakeKind):
    """A kind with resources at several sites, each as one of `SITES`."""

    def __init__(self, sites: Mapping[str, str], **traits: Any) -> None:
        super().__init__(**traits)
        self.sites = sites
        self.ending: dict[str, set[str]] = {}
        """Resources whose conditions end once one of some others is acted on."""
        for name, site in sites.items():
            exists, condition = SITES[site]
            if exists:
                self.things[name] = Thing(members={"x"} if site == "unwanted" else set())
            if condition is not None:
                self.conditions[name] = (Condition(condition, "so it is"),)
            if site == "unknown":
                self.unobservable[name] = ObserveError("no answer")

    def plan(self, change: Change[FakeSpec]) -> Iterator[FakeAction]:
        if self.sites[change.address.name] not in NO_ACTION:
            yield from super().plan(change)

    def do(self, action: FakeAction) -> Any:
        lasting = {DifferenceKind.CONFLICT, *({DifferenceKind.WAITING} if self.traits.writes_to != "rucio" else ())}
        for name, others in self.ending.items():
            if action.address.name in others:
                self.conditions[name] = tuple(c for c in self.conditions.get(name, ()) if c.kind in lasting)
        return super().do(action)


class SiteContext(FakeContext):
    """A context in which a token such as ``t:ab`` exists if one of the resources a and b does."""

    def __init__(self, kind: FakeKind) -> None:
        super().__init__()
        self.kind = kind

    def find_existing(self, tokens: Collection[str]) -> set[str]:
        return {token for token in tokens if set(token.partition(":")[2]) & self.kind.things.keys()}


class Scene:
    """A state that is planned and then executed; box.a provides t:a, and box.a and box.b contribute t:ab."""

    def __init__(self, sites: Mapping[str, str], links: Mapping[str, Mapping[str, Any]], **traits: Any) -> None:
        self.kind = SiteKind(sites, **traits)
        tables = {
            f"box.{name}": FakeSpec.model_validate(
                {"provides": [f"t:{name}"], "contributes": ["t:ab"] if name in "ab" else [], **links.get(name, {})}
            )
            for name in sites
        }
        self.state = make_state(tables, self.kind)
        self.context: Any = SiteContext(self.kind)

    def plan(self, **options: Any) -> Plan:
        return make_plan(self.state, self.context, **options)

    def expect(self, plan: Plan) -> dict[str, list[str]]:
        """Return what is expected to hinder each resource that differs."""
        existing = self.context.find_existing(find_tokens_that_decide(plan))
        differing = [entry.address for entry in plan.entries if not entry.in_sync and entry.error is None]
        return {its.name: describe_expected_hindrances(plan, its, existing.__contains__) for its in differing}

    def execute(self, plan: Plan) -> dict[str, str]:
        """Return what hindered each resource in an execution of the plan, in the words of a report; nothing for the others."""
        details = {outcome.address.name: outcome.detail for outcome in Executor(plan, self.context, Recorder()).run()}
        return {name: text if text.startswith("needs ") else "" for name, text in details.items()}


NEEDS, REQUIRES = {"needs": ["t:a"]}, {"requires": ["box.a"]}


@pytest.mark.parametrize(
    ("site", "link", "reason"),
    [
        ("missing", NEEDS, ""),
        ("missing", REQUIRES, ""),
        ("partly here", NEEDS, ""),  # what it is going to make is enough
        ("partly here", REQUIRES, "is waiting"),
        ("nothing here", NEEDS, "is waiting"),
        ("impossible", NEEDS, "is blocked"),
        ("waiting", NEEDS, ""),
        ("waiting", REQUIRES, "is waiting"),
        ("blocked", NEEDS, ""),
        ("blocked", REQUIRES, "is blocked"),
        ("degraded", NEEDS, ""),
        ("degraded", REQUIRES, "is not in sync"),
        ("failing", REQUIRES, "is not in sync"),
        ("unwanted", REQUIRES, "is not in sync"),
        ("in conflict", NEEDS, "is in conflict"),
        ("unknown", NEEDS, "could not be checked"),
    ],
)
def test_a_resource_is_hindered_as_the_executor_reports_it(site: str, link: Mapping[str, Any], reason: str) -> None:
    scene = Scene({"a": site, "b": "missing"}, {"b": link})
    plan = scene.plan()
    assert scene.expect(plan)["b"] == ([f"needs box.a, which {reason}"] if reason else [])
    assert bool(scene.execute(plan)["b"]) == bool(reason)


def test_what_another_provider_is_going_to_make_is_enough() -> None:
    scene = Scene({"a": "nothing here", "b": "missing", "c": "missing"}, {"c": {"needs": ["t:ab"]}})
    plan = scene.plan()
    assert (scene.expect(plan)["c"], scene.execute(plan)["c"]) == ([], "")


def test_what_exists_is_enough_though_its_own_needs_do_not() -> None:
    scene = Scene({"a": "nothing here", "b": "ok", "c": "missing"}, {"b": NEEDS, "c": {"needs": ["t:b"]}})
    plan = scene.plan()
    assert (scene.expect(plan)["c"], scene.execute(plan)["c"]) == ([], "")


@pytest.mark.parametrize(
    ("first", "second", "third", "reason"),
    [
        ("nothing here", "ok", "missing", "is waiting"),
        ("nothing here", "degraded", "missing", "is blocked"),
        ("in conflict", "ok", "missing", "is blocked"),
        ("in conflict", "ok", "degraded", "is blocked"),
        ("unknown", "ok", "missing", "is blocked"),
    ],
)
def test_what_is_hindered_hinders_others_in_turn(first: str, second: str, third: str, reason: str) -> None:
    links = {"c": {"needs": ["t:a"], "requires": ["box.b"]}, "d": {"requires": ["box.c"]}}
    scene = Scene({"a": first, "b": second, "c": third, "d": "missing"}, links)
    plan = scene.plan()
    text = f"needs box.c, which {reason}"
    assert (scene.expect(plan)["d"], scene.execute(plan)["d"]) == ([text], text)


@pytest.mark.parametrize(
    ("site", "writes_to", "reason"),
    [
        ("degraded", "butler", ""),
        ("waiting", "butler", "is waiting"),
        ("waiting", "rucio", ""),
        ("in conflict", "rucio", "is in conflict"),
    ],
)
def test_what_an_earlier_action_may_end_is_not_expected_to_hinder(site: str, writes_to: str, reason: str) -> None:
    links = {"b": {"after": ["t:a"]}, "c": {"requires": ["box.b"]}}
    scene = Scene({"a": "missing", "b": site, "c": "missing"}, links, writes_to=writes_to)
    assert scene.expect(scene.plan())["c"] == ([f"needs box.b, which {reason}"] if reason else [])


def test_what_is_degraded_after_something_that_waits_is_waiting() -> None:
    scene = Scene({"a": "waiting", "b": "failing", "c": "missing"}, {"b": {"after": ["t:a"]}, "c": {"requires": ["box.b"]}})
    plan = scene.plan()
    text = "needs box.b, which is waiting"
    assert (scene.expect(plan)["c"], scene.execute(plan)["c"]) == ([text], text)


def test_unwanted_members_that_are_removed_hinder_nothing() -> None:
    scene = Scene({"a": "unwanted", "b": "missing"}, {"b": REQUIRES})
    plan = scene.plan(prune=True)
    assert (scene.expect(plan)["b"], scene.execute(plan)["b"]) == ([], "")


def test_what_is_outside_of_the_plan_hinders_nothing() -> None:
    scene = Scene({"a": "degraded", "b": "missing"}, {"b": REQUIRES})
    assert describe_expected_hindrances(scene.plan(only=["box.b"]), address("box.b"), lambda token: False) == []


NAMES = "abcd"
LINKS = st.tuples(st.sampled_from(["needs", "requires", "after"]), st.sampled_from(["a", "b", "c", "ab"]))
TABLES = st.fixed_dictionaries({name: st.tuples(st.sampled_from(sorted(SITES)), LINKS, st.booleans()) for name in NAMES})


@given(TABLES, st.sampled_from(["butler", "rucio"]))
def test_nothing_is_expected_to_hinder_that_the_executor_does_not_report_and_the_reverse(
    drawn: Mapping[str, tuple[str, tuple[str, str], bool]], writes_to: str
) -> None:
    links: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(NAMES):
        _, (link, needed), observed = drawn[name]
        links[name] = {"manage": "observe" if observed else "full"}
        if set(needed) <= set(NAMES[:number]):
            links[name][link] = [f"box.{other}" if link == "requires" else f"t:{other}" for other in needed]
    scene = Scene({name: drawn[name][0] for name in NAMES}, links, writes_to=writes_to)
    plan = scene.plan()
    acting = {entry.address for entry in plan.entries if entry.actions}
    before = {its.name: plan.graph.with_predecessors([its]) - {its} for its in plan.graph.order}
    scene.kind.ending = {its.name: {other.name for other in plan.graph.predecessors(its)} for its in plan.graph.order}
    expected = scene.expect(plan)
    reported = scene.execute(plan)
    for name, texts in expected.items():
        if texts:
            assert reported[name].partition(",")[0] in [text.partition(",")[0] for text in texts]
        else:  # what comes before it may turn out well or not
            assert not reported[name] or before[name] & acting
