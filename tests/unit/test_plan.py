"""What is done about differences, and what is only reported."""

import pytest
from fakes import FakeAction, FakeContext, FakeKind, FakeSpec, Recorder, Thing, address, make_plan, make_state
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine.executor import Executor
from reconciler.engine.graph import build_graph
from reconciler.engine.model import Condition, Cost, Difference, DifferenceKind, Observed, Status
from reconciler.engine.observe import observe
from reconciler.engine.plan import Entry, Plan, plan, plan_once_delivered, plan_resource
from reconciler.errors import ObserveError

A = address("box.a")


def box(**things: Thing) -> FakeKind:
    kind = FakeKind()
    kind.things = things
    return kind


def verbs(plan: Plan) -> list[tuple[str, str]]:
    return [(str(action.address), action.verb) for action in plan.actions]


def test_each_difference_that_a_kind_can_remove_has_its_action() -> None:
    kind = box(b=Thing(1), c=Thing(1, {"x"}), d=Thing(1))
    tables = {
        "box.a": FakeSpec(),
        "box.b": FakeSpec(value=2),
        "box.c": FakeSpec(value=1, members=("x", "y")),
        "box.d": FakeSpec(value=1),
    }
    plan = make_plan(make_state(tables, kind))
    assert verbs(plan) == [("box.a", "make"), ("box.b", "set"), ("box.c", "add")]
    assert plan.cost == Cost(1, 10)
    assert [str(entry.address) for entry in plan.differing] == ["box.a", "box.b", "box.c"]
    assert [entry.in_sync for entry in plan.entries] == [False, False, False, True]
    assert not plan.in_sync


def test_a_state_that_exists_as_desired_is_in_sync() -> None:
    plan = make_plan(make_state({"box.a": FakeSpec(value=1)}, box(a=Thing(1))))
    assert plan.in_sync
    assert plan.actions == plan.differing == plan.unknown == plan.conflicts == []
    assert plan.cost == Cost()


def test_entries_come_in_the_order_of_the_graph() -> None:
    tables = {"box.a": FakeSpec(requires=("box.b",)), "box.b": FakeSpec()}
    plan = make_plan(make_state(tables))
    assert [str(entry.address) for entry in plan.entries] == ["box.b", "box.a"]
    assert verbs(plan) == [("box.b", "make"), ("box.a", "make")]


def test_a_plan_can_be_made_of_some_resources() -> None:
    kind = box()
    plan = make_plan(make_state({"box.a": FakeSpec(), "box.b": FakeSpec()}, kind), only=["box.b"])
    assert verbs(plan) == [("box.b", "make")]
    assert kind.observed == [("b",)]


@pytest.mark.parametrize(
    ("manage", "of_absent", "of_present"), [("full", ["make"], ["set"]), ("create", ["make"], []), ("observe", [], [])]
)
def test_how_a_resource_is_managed_decides_what_is_done(manage: str, of_absent: list[str], of_present: list[str]) -> None:
    tables = {"box.absent": FakeSpec(manage=manage), "box.present": FakeSpec(manage=manage, value=2)}
    plan = make_plan(make_state(tables, box(present=Thing(1))))
    assert [[action.verb for action in entry.actions] for entry in plan.entries] == [of_absent, of_present]
    assert len(plan.differing) == 2


def test_unwanted_members_are_removed_only_with_prune() -> None:
    state = make_state({"box.a": FakeSpec(members=("x",))}, box(a=Thing(0, {"x", "old"})))
    observation = observe(state, FakeContext(), state.resources)
    assert plan(state, build_graph(state), observation).actions == []
    (action,) = make_plan(state, prune=True).actions
    assert isinstance(action, FakeAction)
    assert (action.verb, action.members, action.removes) == ("remove", ("old",), ("old",))


def test_a_kind_plans_only_resources_that_differ() -> None:
    class Never(FakeKind):
        def plan(self, change):  # type: ignore[no-untyped-def]
            raise AssertionError

    kind = Never()
    kind.things = {"a": Thing(1)}
    assert make_plan(make_state({"box.a": FakeSpec(value=1)}, kind)).in_sync


def test_a_kind_plans_with_the_address_the_specs_the_differences_and_the_prune_option() -> None:
    changes = []

    class Curious(FakeKind):
        def plan(self, change):  # type: ignore[no-untyped-def]
            changes.append(change)
            return ()

    spec, observed = FakeSpec(value=1), Observed(FakeSpec())
    state = make_state({"box.a": spec}, Curious())
    differences = [Difference(A, "value", 0, 1)]
    plan_resource(state, A, observed, differences, prune=True)
    (change,) = changes
    assert (change.address, change.desired, change.observed, change.prune) == (A, spec, observed, True)
    assert change.differences == tuple(differences)


def test_a_resource_that_could_not_be_observed_is_unknown_and_never_in_sync() -> None:
    kind = box()
    error = ObserveError("no answer")
    kind.unobservable = {"a": error}
    plan = make_plan(make_state({"box.a": FakeSpec()}, kind))
    (entry,) = plan.entries
    assert entry == Entry(A, FakeSpec(), None, error=error)
    assert plan.unknown == [entry]
    assert plan.differing == []
    assert not plan.in_sync


def test_an_action_that_can_not_be_executed_here_is_replaced_by_the_reason() -> None:
    tables = {"box.a": FakeSpec(), "box.b": FakeSpec()}
    plan = make_plan(make_state(tables), unmet={A: "needs a command"})
    assert verbs(plan) == [("box.b", "make")]
    assert plan.entries[0].differences[-1] == Difference(A, None, detail="needs a command", kind=DifferenceKind.BLOCKED)
    assert len(plan.entries[1].differences) == 1


def test_an_unmet_requirement_is_ignored_if_there_is_nothing_to_do() -> None:
    plan = make_plan(make_state({"box.a": FakeSpec(value=1)}, box(a=Thing(1))), unmet={A: "needs a command"})
    assert plan.in_sync


def plan_derived(source: FakeKind, *, value: int = 0) -> Plan:
    derived = FakeKind("derived", depends_on_content=True, order=99)
    derived.things = {"d": Thing(value)}
    tables = {
        "box.a": FakeSpec(provides=("t:a",)),
        "box.b": FakeSpec(provides=("t:b",)),
        "box.c": FakeSpec(provides=("t:c",)),
        "derived.d": FakeSpec(needs=("t:b",), after=("t:a",)),
    }
    return make_plan(make_state(tables, source, derived))


def test_a_derived_resource_may_differ_after_its_sources_have_changed() -> None:
    plan = plan_derived(box())
    entry = plan.entries[-1]
    assert entry.differences == (
        Difference(address("derived.d"), None, detail="more known after box.a, box.b", kind=DifferenceKind.LATER),
    )
    assert entry.actions == ()
    assert entry not in plan.differing
    assert not plan.in_sync


def test_a_derived_resource_may_differ_both_now_and_after_its_sources_have_changed() -> None:
    plan = plan_derived(box(), value=9)
    assert [difference.kind for difference in plan.entries[-1].differences] == [DifferenceKind.CHANGE, DifferenceKind.LATER]
    assert plan.entries[-1] in plan.differing


def test_a_derived_resource_with_unchanged_sources_is_in_sync() -> None:
    plan = plan_derived(box(a=Thing(), b=Thing()))
    assert plan.entries[-1].in_sync


def test_changed_sources_without_datasets_do_not_affect_derived_resources() -> None:
    plan = plan_derived(FakeKind(affects_content=False))
    assert plan.entries[-1].in_sync


def test_a_kind_that_is_not_derived_never_differs_later() -> None:
    tables = {"box.a": FakeSpec(), "box.b": FakeSpec(requires=("box.a",))}
    plan = make_plan(make_state(tables, box(b=Thing())))
    assert plan.entries[-1].in_sync


def test_a_derived_resource_does_not_wait_for_sources_outside_the_plan() -> None:
    derived = FakeKind("derived", depends_on_content=True)
    derived.things = {"d": Thing()}
    tables = {"box.a": FakeSpec(), "derived.d": FakeSpec(requires=("box.a",))}
    assert make_plan(make_state(tables, box(), derived), only=["derived.d"]).in_sync


@pytest.mark.parametrize(("manage", "conflicting"), [("full", True), ("create", True), ("observe", False)])
def test_a_conflict_counts_unless_the_resource_is_only_observed(manage: str, conflicting: bool) -> None:
    kind = box(a=Thing(), b=Thing())
    kind.conditions = {"a": (Condition(DifferenceKind.CONFLICT, "taken"),), "b": (Condition(DifferenceKind.WAITING, "wait"),)}
    plan = make_plan(make_state({"box.a": FakeSpec(manage=manage), "box.b": FakeSpec()}, kind))
    assert plan.conflicts == ([plan.entries[0]] if conflicting else [])


def test_an_entry_knows_the_kinds_of_its_differences() -> None:
    entry = Entry(A, FakeSpec(), None, (Difference(A, None, kind=DifferenceKind.MAKE),))
    assert entry.has(DifferenceKind.MAKE, DifferenceKind.LATER)
    assert not entry.has(DifferenceKind.CHANGE)


def test_awaited_members_can_be_planned_as_if_they_had_been_delivered() -> None:
    seen = []

    class Curious(FakeKind):
        def plan(self, change):  # type: ignore[no-untyped-def]
            seen.append(change)
            return super().plan(change)

    curious = Curious()
    curious.things = {"a": Thing(0, {"old"})}
    curious.conditions = {
        "a": (Condition(DifferenceKind.WAITING, "9 files to come"), Condition(DifferenceKind.DEGRADED, "one copy lost"))
    }
    state = make_state({"box.a": FakeSpec(members=("m",), awaited=("x", "y"))}, curious)
    (entry,) = make_plan(state).entries
    seen.clear()
    (action,) = plan_once_delivered(state, entry)
    assert isinstance(action, FakeAction)
    assert (action.verb, action.members) == ("add", ("m", "x", "y"))
    assert [condition.text for condition in seen[0].observed.conditions] == ["one copy lost"]
    assert seen[0].observed.members[0].awaited == ()
    assert not seen[0].prune


def test_removals_stay_in_a_plan_after_delivery() -> None:
    state = make_state({"box.a": FakeSpec(awaited=("x",))}, box(a=Thing(0, {"old"})))
    (entry,) = make_plan(state, prune=True).entries
    assert [action.verb for action in entry.actions] == ["remove"]
    assert [action.verb for action in plan_once_delivered(state, entry)] == ["add", "remove"]


def test_a_resource_without_awaited_members_has_the_same_plan_after_delivery() -> None:
    state = make_state({"box.a": FakeSpec(members=("m",))}, box(a=Thing()))
    (entry,) = make_plan(state).entries
    assert plan_once_delivered(state, entry) == list(entry.actions)


def test_a_resource_that_could_not_be_observed_has_no_actions_after_delivery() -> None:
    state = make_state({"box.a": FakeSpec()})
    assert plan_once_delivered(state, Entry(A, FakeSpec(), None)) == []


def test_the_actions_once_delivered_remove_what_the_plan_removes() -> None:
    kind = FakeKind()
    kind.things = {"a": Thing(members={"gone"})}
    state = make_state({"box.a": FakeSpec(awaited=("x",))}, kind)
    for prune, verbs in ((False, ["add"]), (True, ["add", "remove"])):
        (entry,) = make_plan(state, prune=prune).entries
        assert [action.verb for action in plan_once_delivered(state, entry)] == verbs


SPECS = st.builds(
    FakeSpec,
    value=st.integers(0, 2),
    members=st.lists(st.sampled_from("abcd"), unique=True).map(tuple),
    manage=st.just("full"),
)
THINGS = st.builds(Thing, st.integers(0, 2), st.sets(st.sampled_from("abcdef")))


@given(st.dictionaries(st.sampled_from("pqrs"), SPECS), st.dictionaries(st.sampled_from("pqrs"), THINGS))
def test_after_an_apply_nothing_is_left_to_plan(specs: dict[str, FakeSpec], things: dict[str, Thing]) -> None:
    kind = box(**{name: Thing(thing.value, set(thing.members)) for name, thing in things.items()})
    state = make_state({f"box.{name}": spec for name, spec in specs.items()}, kind)
    first = make_plan(state, prune=True)
    outcomes = Executor(first, FakeContext(), Recorder()).run()
    assert make_plan(state, prune=True).in_sync
    assert {outcome.address for outcome in outcomes if outcome.status is Status.CHANGED} == {
        action.address for action in first.actions
    }
    assert {outcome.status for outcome in outcomes} <= {Status.OK, Status.CHANGED}
    untouched = {name: thing for name, thing in things.items() if name not in specs}
    assert {name: kind.things[name] for name in untouched} == untouched


@pytest.mark.parametrize("complete", [False, True])
def test_a_failed_expectation_refers_to_what_it_needs_that_lacks_members_instead_of_listing_them(complete: bool) -> None:
    box, hope = FakeKind("box"), FakeKind("hope", depends_on_content=True)
    box.things["a"] = Thing(members={"x", "y"} if complete else {"x"})
    hope.things["h"] = Thing()
    hope.conditions["h"] = (Condition(DifferenceKind.FAILED, "1 of 2", ({"id": "y"},), "count"),)
    tables = {
        "box.a": FakeSpec(members=("x", "y"), provides=("collection:a",)),
        "hope.h": FakeSpec(needs=("collection:a",)),
    }
    made = make_plan(make_state(tables, box, hope))
    (failed,) = [d for entry in made.entries for d in entry.differences if d.kind is DifferenceKind.FAILED]
    if complete:
        assert (failed.detail, len(failed.members)) == ("1 of 2", 1)
    else:
        assert (failed.detail, failed.members) == ("1 of 2; box.a lacks 1 of its members", ())
