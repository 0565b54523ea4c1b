"""Observation asks each kind once, and keeps what is known when a part can't be."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import pytest
from fakes import FakeContext, FakeKind, FakeSpec, Thing, address, make_state
from pydantic import Field

from reconciler.engine.graph import build_graph
from reconciler.engine.model import DesiredState, Observed
from reconciler.engine.observe import Observation, check_unprovided, observe
from reconciler.engine.spec import NotObserved
from reconciler.errors import ObserveError, PlanError, StateError


def observe_all(state: DesiredState, context: FakeContext | None = None) -> Observation:
    return observe(state, context or FakeContext(), state.resources)


def boxes(*names: str) -> dict[str, FakeSpec]:
    return {f"box.{name}": FakeSpec() for name in names}


def reasons(observation: Observation) -> dict[str, str]:
    return {str(its): str(error) for its, error in observation.unknown.items()}


def test_a_kind_observes_all_of_its_resources_in_one_call() -> None:
    kind = FakeKind()
    kind.things = {"a": Thing(7), "b": Thing(8)}
    observation = observe_all(make_state(boxes("a", "b"), kind))
    assert kind.observed == [("a", "b")]
    assert {its.name: found.spec.value for its, found in observation.observed.items()} == {"a": 7, "b": 8}
    assert observation.unknown == {}


def test_a_resource_that_its_kind_leaves_out_is_absent() -> None:
    observation = observe_all(make_state(boxes("a")))
    assert observation.observed == {address("box.a"): Observed(None)}


class LabelledSpec(FakeSpec):
    """A spec with keys that leave no trace."""

    how: Annotated[str, NotObserved()] = "gently"
    where: Annotated[str | None, NotObserved()] = Field(None, alias="in")


def test_a_key_that_leaves_no_trace_is_marked_where_a_table_sets_it_and_the_resource_exists() -> None:
    kind = FakeKind()
    kind.things = {"a": Thing(7), "b": Thing(7)}
    tables = {"box.a": LabelledSpec(**{"how": "gently", "in": "x"}), "box.b": LabelledSpec(), "box.gone": LabelledSpec(how="x")}
    found = {its.name: observed.unobserved for its, observed in observe_all(make_state(tables, kind)).observed.items()}
    assert found == {"a": ("how", "in"), "b": (), "gone": ()}


def test_only_the_chosen_resources_are_observed() -> None:
    kind = FakeKind()
    state = make_state(boxes("a", "b", "c"), kind)
    observation = observe(state, FakeContext(), {address("box.b")})
    assert kind.observed == [("b",)]
    assert list(observation.observed) == [address("box.b")]


def test_resources_of_one_kind_that_need_different_systems_are_observed_separately() -> None:
    kind = FakeKind()
    tables = {
        "box.a": FakeSpec(),
        "box.both": FakeSpec(systems=("rucio", "butler")),
        "box.b": FakeSpec(),
        "box.same": FakeSpec(systems=("butler", "rucio")),
    }
    observe_all(make_state(tables, kind))
    assert kind.observed == [("a", "b"), ("both", "same")]


def test_kinds_are_observed_in_their_order_and_timed_by_name() -> None:
    kinds = FakeKind("late", order=90), FakeKind("early", order=10), FakeKind("gate", order=99, opens="butler")
    context = FakeContext()
    observe_all(make_state({"late.a": FakeSpec(), "early.b": FakeSpec(), "gate.": FakeSpec()}, *kinds), context)
    assert context.phases == ["gate", "early", "late"]


def test_a_kind_is_given_the_live_systems() -> None:
    kind = FakeKind()
    kind.unobservable = {"b": ObserveError("odd answer")}
    context = FakeContext()
    observe_all(make_state(boxes("a", "b"), kind), context)
    assert len(kind.contexts) == 3
    assert all(given is context for given in kind.contexts)


def test_the_libraries_of_the_butler_are_loaded_only_where_it_is_asked() -> None:
    both = {"mix.m": FakeSpec(systems=("butler", "rucio"))}
    alone = {"did.r": FakeSpec(systems=("rucio",))}
    for tables, times in ((boxes("a"), 1), (both, 1), (boxes("a") | both | alone, 1), (alone, 0)):
        context = FakeContext()
        observe_all(make_state(tables, FakeKind(), FakeKind("mix"), FakeKind("did")), context)
        assert context.prepared == times


class Prefetching(FakeKind):
    """A kind that asks early."""

    def __init__(self, name: str, ask: Callable[[], object], rest: Callable[[], object] | None = None, **traits: Any) -> None:
        super().__init__(name, **traits)
        self.ask, self.rest = ask, rest
        self.prefetched: list[tuple[str, ...]] = []

    def prefetch(self, context: Any, desired: Mapping[str, FakeSpec]) -> Callable[[], object] | None:
        self.prefetched.append(tuple(desired))
        self.ask()
        return self.rest


MIXED = {"box.a": FakeSpec(), "slow.m": FakeSpec(systems=("butler", "rucio")), "mix.n": FakeSpec(systems=("butler", "rucio"))}


def ask_nothing() -> None:
    pass


def fail_to_ask() -> None:
    raise ObserveError("no answer")


def find_a_wrong_input() -> None:
    raise StateError("wrong list")


def observe_mixed(tables: Mapping[str, FakeSpec], *kinds: FakeKind, down: str = "") -> Observation:
    given = {"box": FakeKind(), "mix": FakeKind("mix"), "did": FakeKind("did"), **{kind.name: kind for kind in kinds}}
    for kind in given.values():
        kind.things = {"a": Thing(), "m": Thing(), "n": Thing()}
    return observe_all(make_state(tables, *given.values()), FakeContext(down={down}))


def test_a_kind_that_needs_both_systems_asks_rucio_early_and_goes_on_at_the_side() -> None:
    meetings = threading.Barrier(2, timeout=5), threading.Barrier(2, timeout=5)
    events: list[str] = []

    class Meeting(FakeKind):
        def observe(self, context: Any, desired: Mapping[str, FakeSpec]) -> Mapping[str, Observed[FakeSpec]]:
            for meeting in meetings:
                meeting.wait()
            return super().observe(context, desired)

    def go_on() -> None:
        meetings[1].wait()
        time.sleep(0.05)
        events.append("end")

    slow = Prefetching("slow", meetings[0].wait, go_on, order=1)
    context = FakeContext()
    observe_all(make_state(MIXED, Meeting(), slow, FakeKind("mix", order=2)), context)
    assert slow.prefetched == [("m",)]
    assert context.phases == ["box", "mix", "slow"]  # of what goes on, the answers are used last
    assert events == ["end"]


def test_a_failure_to_ask_early_is_left_to_the_observation() -> None:
    for ask, rest in ((fail_to_ask, None), (find_a_wrong_input, None), (ask_nothing, fail_to_ask)):
        observation = observe_mixed(MIXED, Prefetching("slow", ask, rest))
        assert (len(observation.observed), reasons(observation)) == (3, {})


def test_a_system_that_is_found_to_be_down_early_is_not_asked_again() -> None:
    slow, mix, did = Prefetching("slow", fail_to_ask, order=1), Prefetching("mix", ask_nothing), FakeKind("did")
    observation = observe_mixed({**MIXED, "did.r": FakeSpec(systems=("rucio",))}, slow, mix, did, down="rucio")
    assert reasons(observation) == dict.fromkeys(["slow.m", "mix.n", "did.r"], "no answer")
    assert (slow.observed, mix.prefetched, mix.observed, did.observed) == ([], [], [], [])


def test_resources_that_need_no_system_are_observed_too() -> None:
    kind = FakeKind()
    observe_all(make_state({"box.a": FakeSpec(systems=())}, kind))
    assert kind.observed == [("a",)]


def test_the_two_systems_are_queried_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=5)

    class Meeting(FakeKind):
        def observe(self, context, desired):  # type: ignore[no-untyped-def]
            meeting.wait()
            return super().observe(context, desired)

    tables = {"box.a": FakeSpec(), "did.r": FakeSpec(systems=("rucio",))}
    observation = observe_all(make_state(tables, Meeting("box"), Meeting("did")))
    assert len(observation.observed) == 2


def test_kinds_that_need_both_systems_are_observed_after_kinds_that_need_one() -> None:
    kinds = FakeKind("box", order=50), FakeKind("did", order=60), FakeKind("mix", order=1)
    tables = {"box.a": FakeSpec(), "did.r": FakeSpec(systems=("rucio",)), "mix.m": FakeSpec(systems=("butler", "rucio"))}
    context = FakeContext()
    observation = observe_all(make_state(tables, *kinds), context)
    assert len(observation.observed) == 3
    assert context.phases[-1] == "mix"
    assert sorted(context.phases) == ["box", "did", "mix"]


def test_an_invalid_input_of_rucio_is_reported_although_the_butler_is_queried_at_the_same_time() -> None:
    did = FakeKind("did")
    did.unobservable = {"r": StateError("bad list")}
    tables = {"box.a": FakeSpec(), "did.r": FakeSpec(systems=("rucio",))}
    with pytest.raises(StateError, match=r"fake\.toml:20: did\.r: bad list"):
        observe_all(make_state(tables, FakeKind("box"), did))


@pytest.mark.parametrize("others", [{}, {"did.r": FakeSpec(systems=("rucio",))}])
def test_what_rucio_has_is_observed_although_the_butler_is_not_installed(others: Mapping[str, FakeSpec]) -> None:
    class Uninstalled(FakeKind):
        def observe(self, context, desired):  # type: ignore[no-untyped-def]
            raise ObserveError("no module named lsst")

    context = FakeContext(down={"butler"}, not_installed=ObserveError("no module named lsst"))
    tables = {"box.a": FakeSpec(), **others}
    observation = observe_all(make_state(tables, Uninstalled("box"), FakeKind("did")), context)
    assert reasons(observation) == {"box.a": "no module named lsst"}
    assert set(map(str, observation.observed)) == set(others)


def test_a_system_that_is_down_is_not_queried_by_the_next_kind() -> None:
    first, second = FakeKind("first", order=1), FakeKind("second", order=2)
    first.unobservable = {"a": ObserveError("no answer")}
    tables = {"first.a": FakeSpec(), "first.b": FakeSpec(), "second.c": FakeSpec()}
    context = FakeContext(down={"butler"})
    observation = observe_all(make_state(tables, first, second), context)
    assert reasons(observation) == dict.fromkeys(["first.a", "first.b", "second.c"], "no answer")
    assert first.observed == [("a", "b")]
    assert second.observed == []
    assert context.phases == ["first"]


def test_resources_of_one_system_are_observed_while_the_other_is_down() -> None:
    kind, did = FakeKind("box"), FakeKind("did")
    kind.unobservable = {"a": ObserveError("no answer")}
    did.things = {"r": Thing(1)}
    tables = {"box.a": FakeSpec(), "did.r": FakeSpec(systems=("rucio",)), "box.m": FakeSpec(systems=("butler", "rucio"))}
    observation = observe_all(make_state(tables, kind, did), FakeContext(down={"butler"}))
    assert list(observation.observed) == [address("did.r")]
    assert set(reasons(observation)) == {"box.a", "box.m"}


def test_a_system_that_answers_is_queried_again_by_the_next_kind() -> None:
    first, second = FakeKind("first", order=1), FakeKind("second", order=2)
    first.unobservable = {"a": ObserveError("odd answer")}
    second.things = {"b": Thing()}
    observation = observe_all(make_state({"first.a": FakeSpec(), "second.b": FakeSpec()}, first, second))
    assert reasons(observation) == {"first.a": "odd answer"}
    assert list(observation.observed) == [address("second.b")]


def test_resources_that_each_kind_could_not_observe_are_recorded() -> None:
    first, second = FakeKind("first", order=1), FakeKind("second", order=2)
    first.unobservable = {"a": ObserveError("odd answer")}
    second.unobservable = {"b": ObserveError("no answer")}
    observation = observe_all(make_state({"first.a": FakeSpec(), "second.b": FakeSpec()}, first, second))
    assert reasons(observation) == {"first.a": "odd answer", "second.b": "no answer"}


def test_a_single_resource_is_not_observed_twice() -> None:
    kind = FakeKind()
    kind.unobservable = {"a": ObserveError("odd answer")}
    observe_all(make_state(boxes("a"), kind))
    assert kind.observed == [("a",)]


def test_a_resource_that_cannot_be_observed_does_not_affect_the_others() -> None:
    kind = FakeKind()
    kind.things = {"a": Thing(), "c": Thing()}
    kind.unobservable = {"b": ObserveError("odd answer")}
    observation = observe_all(make_state(boxes("a", "b", "c", "d"), kind))
    assert reasons(observation) == {"box.b": "odd answer"}
    assert {str(its): found.spec is not None for its, found in observation.observed.items()} == {
        "box.a": True,
        "box.c": True,
        "box.d": False,
    }


def test_one_wrong_input_among_many_is_reported_with_its_place() -> None:
    kind = FakeKind()
    kind.unobservable = {"b": StateError("line 3 is cut")}
    with pytest.raises(StateError) as caught:
        observe_all(make_state(boxes("a", "b", "c"), kind))
    assert caught.value.problems == ["fake.toml:20: box.b: line 3 is cut"]


def test_wrong_inputs_of_all_kinds_are_reported_at_once() -> None:
    first, second = FakeKind("first", order=1), FakeKind("second", order=2)
    first.unobservable = {"a": StateError("cut")}
    second.unobservable = {"b": StateError("empty"), "c": StateError("empty")}
    tables = {"first.a": FakeSpec(), "second.b": FakeSpec(), "second.c": FakeSpec()}
    with pytest.raises(StateError) as caught:
        observe_all(make_state(tables, first, second))
    assert caught.value.problems == [
        "fake.toml:10: first.a: cut",
        "fake.toml:20: second.b: empty",
        "fake.toml:30: second.c: empty",
    ]


def test_an_invalid_input_is_reported_for_its_own_table_and_not_for_an_unobservable_one() -> None:
    kind = FakeKind()
    kind.refusal = StateError("cut")
    kind.unobservable = {"a": ObserveError("odd answer"), "b": StateError("cut")}
    with pytest.raises(StateError) as caught:
        observe_all(make_state(boxes("a", "b"), kind))
    assert caught.value.problems == ["fake.toml:20: box.b: cut"]


def test_each_table_is_reported_with_all_problems_of_its_own() -> None:
    kind = FakeKind()
    kind.unobservable = {"a": StateError(["cut", "empty"]), "b": StateError("unreadable")}
    with pytest.raises(StateError) as caught:
        observe_all(make_state(boxes("a", "b"), kind))
    assert caught.value.problems == ["fake.toml:10: box.a: cut", "fake.toml:10: box.a: empty", "fake.toml:20: box.b: unreadable"]


def test_a_wrong_input_that_belongs_to_no_table_is_reported_without_one() -> None:
    kind = FakeKind()
    kind.refusal = StateError("two lists contradict each other")
    with pytest.raises(StateError) as caught:
        observe_all(make_state(boxes("a", "b"), kind))
    assert caught.value.problems == ["two lists contradict each other"]


def test_a_wrong_input_behind_an_unobservable_resource_has_its_place_too() -> None:
    kind = FakeKind()
    kind.unobservable = {"a": ObserveError("odd answer"), "b": StateError("cut"), "c": StateError("empty")}
    with pytest.raises(StateError) as caught:
        observe_all(make_state(boxes("a", "b", "c"), kind))
    assert caught.value.problems == ["fake.toml:20: box.b: cut", "fake.toml:30: box.c: empty"]


def check(tables: dict[str, FakeSpec], context: FakeContext, *chosen: str) -> None:
    state = make_state(tables)
    check_unprovided(state, context, build_graph(state), {address(text) for text in chosen or tables})


def test_a_token_that_no_table_provides_may_exist_in_a_live_system() -> None:
    context = FakeContext(existing={"t:live"})
    check({"box.a": FakeSpec(needs=("t:live", "t:b")), "box.b": FakeSpec(provides=("t:b",))}, context)
    assert context.asked == [{"t:live"}]


def test_a_token_that_neither_a_table_nor_a_system_provides_is_reported_with_a_suggestion() -> None:
    tables = {
        "box.a": FakeSpec(needs=("collection:HSC/raw/al", "dataset_type:zzz")),
        "box.b": FakeSpec(provides=("collection:HSC/raw/all",)),
    }
    with pytest.raises(PlanError) as caught:
        check(tables, FakeContext())
    assert str(caught.value).splitlines() == [
        'fake.toml:10: box.a: needs collection "HSC/raw/al", which no table provides and which doesn\'t exist'
        '; did you mean "HSC/raw/all"?',
        'fake.toml:10: box.a: needs dataset type "zzz", which no table provides and which doesn\'t exist',
    ]


def test_the_name_of_a_rucio_dataset_is_suggested_with_its_scope() -> None:
    tables = {"box.a": FakeSpec(needs=("did:raw:nigth1",)), "box.b": FakeSpec(provides=("did:raw:night1",))}
    with pytest.raises(PlanError, match=r'needs Rucio DID "raw:nigth1", .*; did you mean "raw:night1"'):
        check(tables, FakeContext())


def test_a_name_that_exists_live_is_suggested() -> None:
    with pytest.raises(PlanError, match=r'collection "HSC/raw/al", .*; did you mean "HSC/raw/all"'):
        check({"box.a": FakeSpec(needs=("collection:HSC/raw/al",))}, FakeContext(existing={"collection:HSC/raw/all"}))


def test_missing_providers_are_reported_in_order() -> None:
    tables = {"box.z": FakeSpec(needs=("t:x",), requires=("box.a",)), "box.a": FakeSpec(needs=("t:y",))}
    with pytest.raises(PlanError) as caught:
        check(tables, FakeContext())
    assert [line.split()[1] for line in str(caught.value).splitlines()] == ["box.a:", "box.z:"]


def test_missing_providers_of_unselected_resources_are_not_reported() -> None:
    context = FakeContext()
    check({"box.a": FakeSpec(needs=("t:x",)), "box.b": FakeSpec()}, context, "box.b")
    assert context.asked == [set()]


def test_a_failed_existence_check_is_reported_for_the_resource_that_needs_it() -> None:
    with pytest.raises(ObserveError, match="no answer"):
        check({"box.a": FakeSpec(needs=("t:x",))}, FakeContext(silent=ObserveError("no answer")))
