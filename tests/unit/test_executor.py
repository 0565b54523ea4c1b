"""A plan is executed in order, and each resource is observed before and after what is done about it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from fakes import (
    FakeAction,
    FakeCall,
    FakeClock,
    FakeContext,
    FakeKind,
    FakeSpec,
    Recorder,
    Thing,
    address,
    fail,
    make_plan,
    make_state,
)

from reconciler.engine import executor, reconciliation
from reconciler.engine.executor import Executor
from reconciler.engine.hindrances import REASONS
from reconciler.engine.model import Condition, Cost, Delivery, DifferenceKind, Outcome, Status
from reconciler.engine.outcome_counts import DONE, count_acted, count_statuses, exit_code
from reconciler.engine.plan import Plan, PlanLimits
from reconciler.errors import (
    ApplyError,
    ConflictError,
    Interrupted,
    LockHeld,
    LockLost,
    ObserveError,
    PartlyApplied,
    ReconcileError,
    StateError,
    WorkerDied,
)

A = address("box.a")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    fake = FakeClock()
    monkeypatch.setattr(executor, "time", fake)
    return fake


class Run:
    """A state of one or more kinds, planned, and what came of executing the plan."""

    def __init__(self, tables: Mapping[str, FakeSpec], *kinds: FakeKind, context: FakeContext | None = None) -> None:
        self.kinds = kinds or (FakeKind(),)
        self.kind = self.kinds[0]
        self.context = context or FakeContext()
        self.state = make_state(tables, *self.kinds)
        self.recorder = Recorder()
        self.plan: Plan | None = None

    def make_plan(self, **options: Any) -> None:
        self.plan = make_plan(self.state, self.context, **options)
        for kind in self.kinds:
            kind.observed.clear()

    def execute(
        self, wait: float = 0.0, *, prune: bool = False, stop: Callable[[], bool] = lambda: False, **limits: Any
    ) -> dict[str, Outcome]:
        if self.plan is None:
            self.make_plan(prune=prune)
        assert self.plan is not None
        self.plan = replace(self.plan, prune=prune, limits=PlanLimits(**limits))
        outcomes = Executor(self.plan, self.context, self.recorder, stop).run(wait)
        assert [outcome.address for outcome in outcomes] == [entry.address for entry in self.plan.entries]
        return {str(outcome.address): outcome for outcome in outcomes}

    def statuses(self, wait: float = 0.0, **options: Any) -> dict[str, Status]:
        return {its: outcome.status for its, outcome in self.execute(wait, **options).items()}

    @property
    def verbs(self) -> list[tuple[str, str]]:
        return [(str(action.address), action.verb) for kind in self.kinds for action in kind.applied]


def one(spec: FakeSpec | None = None, thing: Thing | None = None) -> Run:
    run = Run({"box.a": spec or FakeSpec()})
    if thing is not None:
        run.kind.things["a"] = thing
    return run


# Outcomes of one resource


def test_what_is_in_sync_is_ok_and_not_observed_again() -> None:
    run = one(thing=Thing())
    assert run.execute() == {"box.a": Outcome(A, Status.OK)}
    assert run.kind.observed == []
    assert run.kind.applied == []
    assert run.recorder.events == [("settled", "box.a", Status.OK)]


def test_what_differs_is_changed() -> None:
    run = one(FakeSpec(value=3))
    assert run.execute() == {"box.a": Outcome(A, Status.CHANGED, "", 1)}
    assert run.kind.things["a"].value == 3
    assert run.kind.observed == [("a",), ("a",)]
    assert all(given is run.context for given in run.kind.contexts)
    assert run.recorder.events == [
        ("started", "box.a", "make"),
        ("ended", "box.a", "make", {}, None, False),
        ("settled", "box.a", Status.CHANGED),
    ]


def test_an_action_that_reveals_another_one_is_followed_by_it() -> None:
    run = one(FakeSpec(members=("x", "y")))
    assert run.execute() == {"box.a": Outcome(A, Status.CHANGED, "", 2, {"members": 2})}
    assert run.verbs == [("box.a", "make"), ("box.a", "add")]


def test_all_actions_of_one_plan_are_done_and_what_they_made_is_kept() -> None:
    run = one(FakeSpec(value=1, members=("x",)), Thing(0, {"old"}))
    (outcome,) = run.execute(prune=True).values()
    assert outcome == Outcome(A, Status.CHANGED, "", 3, {"members": 1, "removed": 1})
    assert [heard[2] for heard in run.recorder.of("ended")] == [{}, {"members": 1}, {"removed": 1}]
    assert run.kind.observed == [("a",), ("a",)]


def test_unwanted_members_stay_without_prune() -> None:
    run = one(thing=Thing(0, {"x", "y"}))
    run.make_plan(prune=True)
    assert run.execute() == {"box.a": Outcome(A, Status.DEGRADED, "unwanted (2)")}
    assert run.kind.things["a"].members == {"x", "y"}


VANISHED = "nothing was left to do when its turn came"


def test_what_another_run_did_meanwhile_is_ok_and_says_so() -> None:
    run = one()
    run.make_plan()
    run.kind.things["a"] = Thing()
    assert run.execute() == {"box.a": Outcome(A, Status.OK, VANISHED)}
    assert run.kind.applied == []


def test_what_differed_without_an_action_and_settled_by_itself_is_ok() -> None:
    run = one(thing=Thing())
    run.kind.conditions["a"] = (Condition(DifferenceKind.WAITING, "1 file to come"),)
    run.make_plan()
    run.kind.conditions.clear()
    assert run.execute() == {"box.a": Outcome(A, Status.OK)}


def test_cached_answers_are_dropped_after_each_action() -> None:
    run = Run({"did.a": FakeSpec(value=1, members=("x",))}, FakeKind("did", writes_to="rucio"))
    run.kind.things["a"] = Thing()
    run.execute()
    assert run.context.forgotten == [("rucio",), ("rucio",)]


def test_cached_answers_are_dropped_after_a_failed_action() -> None:
    run = one()
    run.kind.broken = ApplyError("no space left")
    run.execute()
    assert run.context.forgotten == [("butler",)]


def test_a_second_run_does_nothing() -> None:
    run = one(FakeSpec(value=3, members=("x",)))
    run.execute()
    again = Run({"box.a": FakeSpec(value=3, members=("x",))}, run.kind)
    run.kind.applied.clear()
    assert again.execute() == {"box.a": Outcome(A, Status.OK)}
    assert run.kind.applied == []


# Failures


def test_a_failed_action_is_a_failed_resource() -> None:
    run = one()
    run.kind.broken = ApplyError("no space left")
    assert run.execute() == {"box.a": Outcome(A, Status.FAILED, "no space left", 1)}
    assert len(run.kind.applied) == 1
    assert run.recorder.of("ended") == [("box.a", "make", {}, "no space left", False)]


def test_a_system_that_stops_answering_during_an_action_is_a_failure() -> None:
    run = one()
    run.kind.broken = ObserveError("no answer")
    assert run.execute() == {"box.a": Outcome(A, Status.FAILED, "no answer", 1)}


def test_a_wrong_input_during_an_action_is_a_failure_of_that_resource_alone() -> None:
    run = Run({"box.a": FakeSpec(), "box.b": FakeSpec()})
    run.kind.script = [lambda action: (_ for _ in ()).throw(StateError("list was deleted"))]
    outcomes = run.execute()
    assert outcomes["box.a"] == Outcome(A, Status.FAILED, "list was deleted", 1)
    assert outcomes["box.b"].status is Status.CHANGED


def test_later_actions_of_a_resource_are_not_tried_after_a_failure() -> None:
    run = one(FakeSpec(value=1, members=("x",)), Thing())
    run.kind.script = [fail("read-only")]
    assert run.execute() == {"box.a": Outcome(A, Status.FAILED, "read-only", 1)}
    assert run.verbs == [("box.a", "set")]


def test_what_was_done_before_a_failure_is_counted() -> None:
    run = one(FakeSpec(value=1, members=("x",)), Thing(0, {"old"}))
    run.kind.script = [run.kind.do, run.kind.do, fail("read-only")]
    assert run.execute(prune=True) == {"box.a": Outcome(A, Status.FAILED, "read-only", 3, {"members": 1})}
    assert run.recorder.of("ended")[-1] == ("box.a", "remove", {}, "read-only", False)


LOST = ApplyError("connection lost")
NOTHING_LEFT = "connection lost; afterwards nothing was left to do"


def test_an_action_that_failed_is_a_failure_though_nothing_is_left_to_do() -> None:
    run = one()
    run.kind.script = [run.kind.do_then_raise(LOST)]
    assert run.execute() == {"box.a": Outcome(A, Status.FAILED, NOTHING_LEFT, 1)}
    assert run.recorder.of("ended") == [("box.a", "make", {}, "connection lost", False)]


def test_a_single_call_whose_answer_was_lost_is_changed_and_its_error_reported() -> None:
    run = one()
    run.kind.action = FakeCall
    run.kind.script = [run.kind.do_then_raise(LOST)]
    assert run.execute() == {"box.a": Outcome(A, Status.CHANGED, "", 1)}
    assert run.recorder.of("ended") == [("box.a", "make", {}, "connection lost", True)]


def test_a_single_call_without_effect_is_a_failure() -> None:
    run = one()
    run.kind.action = FakeCall
    run.kind.broken = LOST
    assert run.execute() == {"box.a": Outcome(A, Status.FAILED, "connection lost", 1)}
    assert run.recorder.of("ended") == [("box.a", "make", {}, "connection lost", False)]


def test_a_single_call_whose_effect_can_not_be_checked_is_a_failure() -> None:
    run = one()
    run.kind.action = FakeCall

    def lose_contact(action: Any) -> None:
        run.kind.unobservable["a"] = ObserveError("no answer")
        raise LOST

    run.kind.script = [lose_contact]
    assert run.execute() == {"box.a": Outcome(A, Status.FAILED, "connection lost", 1)}


def test_after_a_failed_action_that_left_nothing_the_others_are_done_and_the_resource_has_failed() -> None:
    run = one(FakeSpec(value=1, members=("x",)), Thing())
    run.kind.script = [run.kind.do_then_raise(LOST)]
    assert run.execute() == {"box.a": Outcome(A, Status.FAILED, NOTHING_LEFT, 2, {"members": 1})}


def test_what_earlier_actions_made_is_not_recorded_of_one_that_failed() -> None:
    run = one(FakeSpec(members=("x",)), Thing(0, {"old"}))
    run.kind.script = [run.kind.do, run.kind.do_then_raise(LOST)]
    assert run.execute(prune=True) == {"box.a": Outcome(A, Status.FAILED, NOTHING_LEFT, 2, {"members": 1})}
    assert run.recorder.of("ended")[-1] == ("box.a", "remove", {}, "connection lost", False)


def test_a_failure_is_not_forgotten_for_what_still_differs() -> None:
    run = one(FakeSpec(value=1), Thing())
    run.kind.conditions["a"] = (Condition(DifferenceKind.WAITING, "1 file to come"),)
    run.kind.script = [run.kind.do_then_raise(LOST)]
    assert run.execute() == {"box.a": Outcome(A, Status.FAILED, "connection lost", 1)}


def test_what_needs_a_failed_resource_is_blocked_though_nothing_is_left_to_do() -> None:
    run = Run({"box.s": FakeSpec(), "box.a": FakeSpec(requires=("box.s",))})
    run.kind.script = [run.kind.do_then_raise(LOST)]
    assert run.execute()["box.a"] == Outcome(A, Status.BLOCKED, "needs box.s, which failed")


def test_what_a_failed_action_may_have_changed_is_planned_again() -> None:
    derived = FakeKind("derived", depends_on_content=True)
    derived.things["d"] = Thing()
    run = Run({"box.a": SOURCE, "derived.d": FakeSpec(after=("t:s",))}, FakeKind(), derived)
    run.make_plan()
    run.kind.broken = LOST
    run.execute()
    assert derived.observed == [("d",)]


def test_a_failed_action_that_can_not_be_checked_is_a_failure() -> None:
    run = one()

    def lose_contact(action: Any) -> None:
        run.kind.unobservable["a"] = ObserveError("no answer")
        raise ApplyError("connection lost")

    run.kind.script = [lose_contact]
    assert run.execute() == {"box.a": Outcome(A, Status.FAILED, "connection lost", 1)}


def test_a_half_done_bulk_action_is_completed_and_stays_a_failure() -> None:
    run = one(FakeSpec(members=("x", "y", "z")), Thing())
    run.kind.script = [run.kind.do_then_raise(ApplyError("one file is bad"), members=1)]
    detail = "one file is bad; afterwards nothing was left to do"
    assert run.execute() == {"box.a": Outcome(A, Status.FAILED, detail, 2, {"members": 2})}
    assert [action.members for action in run.kind.applied] == [("x", "y", "z"), ("y", "z")]
    assert run.recorder.of("ended") == [
        ("box.a", "add", {}, "one file is bad", False),
        ("box.a", "add", {"members": 2}, None, False),
    ]


def test_what_can_not_be_completed_fails_with_the_last_reason() -> None:
    run = one(FakeSpec(members=("x", "y", "z")), Thing())
    run.kind.script = [run.kind.do_then_raise(ApplyError("first"), members=1), fail("second")]
    assert run.execute() == {"box.a": Outcome(A, Status.FAILED, "second", 2)}
    assert run.kind.things["a"].members == {"x"}


def test_a_bulk_action_that_gets_a_little_further_each_time_is_tried_three_times() -> None:
    run = one(FakeSpec(members=tuple("uvwxyz")), Thing())
    run.kind.script = [run.kind.do_then_raise(ApplyError(f"failure {number}"), members=1) for number in range(9)]
    assert run.execute() == {"box.a": Outcome(A, Status.FAILED, "failure 2", 3)}
    assert len(run.kind.applied) == 3
    assert run.kind.things["a"].members == set("uvw")


def test_what_a_third_try_completes_was_a_failure() -> None:
    run = one(FakeSpec(members=("x", "y", "z")), Thing())
    run.kind.script = [run.kind.do_then_raise(ApplyError("flaky"), members=1)] * 2
    detail = "flaky; afterwards nothing was left to do"
    assert run.execute() == {"box.a": Outcome(A, Status.FAILED, detail, 3, {"members": 1})}


def test_work_of_a_worker_that_died_is_tried_again() -> None:
    run = one(FakeSpec(members=("x",)), Thing())
    run.kind.script = [lambda action: (_ for _ in ()).throw(WorkerDied("killed"))]
    assert run.execute() == {"box.a": Outcome(A, Status.CHANGED, "", 2, {"members": 1})}
    assert [heard[3] for heard in run.recorder.of("ended")] == ["killed", None]


def test_a_worker_that_died_is_a_failure_if_what_it_left_can_not_be_observed() -> None:
    run = one(FakeSpec(members=("x",)), Thing())

    def die(action: Any) -> None:
        run.kind.unobservable["a"] = ObserveError("no answer")
        raise WorkerDied("killed")

    run.kind.script = [die]
    detail = "killed; afterwards it could not be checked: no answer"
    assert run.execute() == {"box.a": Outcome(A, Status.FAILED, detail, 1)}
    assert run.recorder.of("ended") == [("box.a", "add", {}, "killed", False)]


def test_workers_that_keep_dying_are_a_failure() -> None:
    run = one(FakeSpec(members=("x",)), Thing())
    run.kind.broken = WorkerDied("killed")
    assert run.execute() == {"box.a": Outcome(A, Status.FAILED, "killed", 3)}
    assert len(run.kind.applied) == 3


def test_a_worker_that_died_having_done_all_is_a_failure() -> None:
    run = one(FakeSpec(members=("x",)), Thing())
    run.kind.script = [run.kind.do_then_raise(WorkerDied("killed"))]
    detail = "killed; afterwards nothing was left to do"
    assert run.execute() == {"box.a": Outcome(A, Status.FAILED, detail, 1)}


class Tokens(FakeKind):
    """A kind that adds each member by an action of its own."""

    cost = Cost()

    def plan(self, change):  # type: ignore[no-untyped-def]
        for action in super().plan(change):
            for member in action.members:
                yield action.model_copy(update={"members": (member,), "cost": self.cost})


def test_of_several_actions_of_one_verb_the_others_are_not_what_is_left_of_one() -> None:
    run = Run({"box.a": FakeSpec(members=("x", "y"))}, Tokens())
    run.kind.things["a"] = Thing()
    run.kind.script = [run.kind.do_then_raise(LOST)]
    assert run.execute() == {"box.a": Outcome(A, Status.FAILED, NOTHING_LEFT, 2, {"members": 1})}
    assert run.recorder.of("ended") == [
        ("box.a", "add", {}, "connection lost", False),
        ("box.a", "add", {"members": 1}, None, False),
    ]


def test_a_failed_action_is_found_among_others_of_its_verb() -> None:
    run = Run({"box.a": FakeSpec(members=("x", "y", "z"))}, Tokens())
    run.kind.things["a"] = Thing()
    run.kind.script = [run.kind.do, fail("y is bad")]
    assert run.execute() == {"box.a": Outcome(A, Status.FAILED, "y is bad", 2, {"members": 1})}
    assert [action.members for action in run.kind.applied] == [("x",), ("y",)]


def test_what_an_action_does_not_settle_is_a_failure() -> None:
    run = one()
    run.kind.never_settles = True
    assert run.execute() == {"box.a": Outcome(A, Status.FAILED, "still differs after 3 actions: make it", 3)}


def test_what_a_third_pass_settles_is_changed() -> None:
    run = one()
    run.kind.script = [lambda action: None] * 2
    assert run.execute() == {"box.a": Outcome(A, Status.CHANGED, "", 3)}


@pytest.mark.parametrize("error", [ObserveError("no answer"), StateError("list was deleted")])
def test_what_can_not_be_observed_when_its_turn_comes_is_unknown(error: Any) -> None:
    run = one()
    run.make_plan()
    run.kind.unobservable["a"] = error
    (outcome,) = run.execute().values()
    assert outcome.status is Status.FAILED
    assert outcome.detail.endswith(str(error))
    assert run.kind.applied == []


def lose_after(run: Run, count: int, error: Any) -> None:
    """Let the last of some actions be one after which a resource can't be observed."""

    def last(action: Any) -> None:
        run.kind.unobservable["a"] = error

    run.kind.script = [lambda action: None] * (count - 1) + [last]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("error", [ObserveError("no answer"), StateError("list was deleted")])
def test_what_can_not_be_observed_after_an_action_has_failed(count: int, error: Any) -> None:
    run = one()
    lose_after(run, count, error)
    (outcome,) = run.execute().values()
    assert (outcome.status, outcome.actions) == (Status.FAILED, count)
    assert outcome.detail.endswith(str(error))


def test_a_resource_that_could_not_be_observed_stays_unknown() -> None:
    run = one()
    run.kind.unobservable["a"] = ObserveError("no answer")
    assert run.execute() == {"box.a": Outcome(A, Status.FAILED, "could not be checked: no answer")}
    assert run.kind.observed == []


def test_a_resource_that_could_not_be_observed_is_tried_after_what_it_needs_has_changed() -> None:
    run = Run({"box.gate": FakeSpec(), "box.a": FakeSpec(requires=("box.gate",))})
    run.kind.unobservable["a"] = ObserveError("no repository")
    run.make_plan()
    run.kind.unobservable.clear()
    assert run.statuses() == {"box.gate": Status.CHANGED, "box.a": Status.CHANGED}


# Dependencies

SOURCE = FakeSpec(provides=("t:s",))
NEEDY = FakeSpec(needs=("t:s",))


def test_a_failure_blocks_only_what_needs_it() -> None:
    tables = {
        "box.s": SOURCE,
        "box.a": NEEDY,
        "box.deep": FakeSpec(requires=("box.a",)),
        "box.after": FakeSpec(after=("t:s",)),
        "box.free": FakeSpec(),
    }
    run = Run(tables, context=FakeContext(existing={"t:s"}))
    run.kind.script = [fail()]
    outcomes = run.execute()
    assert outcomes["box.a"] == Outcome(A, Status.BLOCKED, "needs box.s, which failed")
    assert outcomes["box.deep"] == Outcome(address("box.deep"), Status.BLOCKED, "needs box.a, which is blocked")
    assert outcomes["box.after"].status is outcomes["box.free"].status is Status.CHANGED


def test_a_partly_applied_action_is_not_repeated_and_holds_up_only_what_requires_it() -> None:
    tables = {
        "box.s": FakeSpec(provides=("t:s",), members=("1", "2", "3")),
        "box.a": NEEDY,
        "box.strict": FakeSpec(requires=("box.s",)),
    }
    run = Run(tables, context=FakeContext(existing={"t:s"}))
    run.kind.things["s"] = Thing()
    error = PartlyApplied(["1 of 3 can't be added", "3: it is too large"], {"members": 2})
    run.kind.script = [run.kind.do_then_raise(error, members=2)]
    outcomes = run.execute()
    failed = Outcome(address("box.s"), Status.FAILED, "1 of 3 can't be added", 1, {"members": 2})
    assert outcomes["box.s"] == failed
    assert outcomes["box.s"].error is error
    assert run.verbs.count(("box.s", "add")) == 1
    assert outcomes["box.a"].status is Status.CHANGED
    assert outcomes["box.strict"] == Outcome(address("box.strict"), Status.BLOCKED, "needs box.s, which failed")
    assert exit_code(list(outcomes.values())) == 1


def test_what_could_not_be_checked_blocks_what_needs_it() -> None:
    run = Run({"box.s": SOURCE, "box.a": NEEDY}, context=FakeContext(existing={"t:s"}))
    run.kind.unobservable["s"] = ObserveError("no answer")
    run.kind.things["a"] = Thing()
    assert run.execute()["box.a"] == Outcome(A, Status.BLOCKED, "needs box.s, which failed")


def hold(run: Run, name: str, kind: DifferenceKind = DifferenceKind.DEGRADED) -> None:
    """Let a resource exist in a condition that nobody can end."""
    run.kind.things[name] = Thing()
    run.kind.conditions[name] = (Condition(kind, "so it is"),)


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [
        (DifferenceKind.DEGRADED, Status.BLOCKED, "is not in sync"),
        (DifferenceKind.CONFLICT, Status.BLOCKED, "is blocked"),
        (DifferenceKind.WAITING, Status.WAITING, "is waiting"),
    ],
)
def test_what_needs_something_that_does_not_exist_yet_is_held_up(kind: DifferenceKind, status: Status, reason: str) -> None:
    run = Run({"box.s": SOURCE, "box.a": NEEDY})
    hold(run, "s", kind)
    assert run.execute()["box.a"] == Outcome(A, status, f"needs box.s, which {reason}")
    assert run.context.asked == [{"t:s"}]
    assert run.kind.applied == []


def test_what_needs_a_refused_resource_is_blocked() -> None:
    run = Run({"box.s": SOURCE, "box.a": NEEDY})
    outcomes = run.execute(refused={address("box.s"): "it changed"})
    assert outcomes["box.s"] == Outcome(address("box.s"), Status.BLOCKED, "refused: it changed")
    assert outcomes["box.a"] == Outcome(A, Status.BLOCKED, "needs box.s, which is blocked")


@pytest.mark.parametrize("kind", [DifferenceKind.DEGRADED, DifferenceKind.WAITING])
def test_what_exists_is_enough_for_what_needs_it(kind: DifferenceKind) -> None:
    run = Run({"box.s": SOURCE, "box.a": NEEDY}, context=FakeContext(existing={"t:s"}))
    hold(run, "s", kind)
    assert run.execute()["box.a"].status is Status.CHANGED


def test_what_is_required_by_address_must_be_in_sync() -> None:
    run = Run({"box.s": FakeSpec(), "box.a": FakeSpec(requires=("box.s",))}, context=FakeContext(existing={"box.s"}))
    hold(run, "s")
    assert run.execute()["box.a"] == Outcome(A, Status.BLOCKED, "needs box.s, which is not in sync")
    assert run.context.asked == []


def test_what_may_not_exist_counts_as_absent() -> None:
    run = Run({"box.s": SOURCE, "box.a": NEEDY}, context=FakeContext(existing={"t:s"}, silent=ObserveError("no answer")))
    hold(run, "s")
    assert run.execute()["box.a"].status is Status.BLOCKED


@pytest.mark.parametrize("first", ["waits", "stuck"])
def test_being_blocked_is_worse_than_waiting(first: str) -> None:
    second = "stuck" if first == "waits" else "waits"
    tables = {"box.waits": FakeSpec(), "box.stuck": FakeSpec(), "box.a": FakeSpec(requires=(f"box.{first}", f"box.{second}"))}
    run = Run(tables)
    hold(run, "waits", DifferenceKind.WAITING)
    hold(run, "stuck")
    assert run.execute()["box.a"] == Outcome(A, Status.BLOCKED, "needs box.stuck, which is not in sync")


def test_of_two_reasons_to_wait_the_first_is_reported() -> None:
    tables = {"box.s": FakeSpec(), "box.t": FakeSpec(), "box.a": FakeSpec(requires=("box.s", "box.t"))}
    run = Run(tables)
    hold(run, "s", DifferenceKind.WAITING)
    hold(run, "t", DifferenceKind.WAITING)
    assert run.execute()["box.a"].detail == "needs box.s, which is waiting"


def test_a_failure_is_worse_than_anything_else_that_is_needed() -> None:
    tables = {"box.s": FakeSpec(), "box.t": FakeSpec(), "box.a": FakeSpec(requires=("box.s", "box.t"))}
    run = Run(tables)
    hold(run, "s")
    run.kind.broken = ApplyError("no space left")
    assert run.execute()["box.a"].detail == "needs box.t, which failed"


def test_a_needed_resource_outside_of_the_plan_hinders_nothing() -> None:
    run = Run({"box.s": FakeSpec(), "box.a": FakeSpec(requires=("box.s",))})
    run.make_plan(only=["box.a"])
    assert run.statuses() == {"box.a": Status.CHANGED}


def test_what_is_in_sync_or_changed_hinders_nothing() -> None:
    names = ("ok", "changed", "vanished")
    run = Run({**{f"box.{name}": FakeSpec() for name in names}, "box.a": FakeSpec(requires=tuple(f"box.{n}" for n in names))})
    run.kind.things["ok"] = Thing()
    run.make_plan()
    run.kind.things["vanished"] = Thing()
    statuses = run.statuses()
    assert [statuses[f"box.{name}"] for name in names] == [Status.OK, Status.CHANGED, Status.OK]
    assert statuses["box.a"] is Status.CHANGED


def test_each_status_that_holds_others_up_has_its_reason() -> None:
    assert set(REASONS) == set(Status) - set(DONE)


def test_what_is_derived_is_planned_again_after_its_source_has_changed() -> None:
    derived = FakeKind("derived", depends_on_content=True)
    derived.things["d"] = Thing()
    run = Run({"box.a": FakeSpec(), "derived.d": FakeSpec(members=("x",), requires=("box.a",))}, FakeKind(), derived)
    derived.things["d"].members = {"x"}
    run.make_plan()
    derived.things["d"].members = set()
    assert run.statuses()["derived.d"] is Status.CHANGED


@pytest.mark.parametrize(("depends_on_content", "changes"), [(False, True), (True, False)])
def test_what_is_in_sync_is_not_planned_again_without_reason(depends_on_content: bool, changes: bool) -> None:
    other = FakeKind("other", depends_on_content=depends_on_content)
    other.things["d"] = Thing()
    source = FakeKind(affects_content=False)
    if not changes:
        source.things["a"] = Thing()
    run = Run({"box.a": FakeSpec(), "other.d": FakeSpec(requires=("box.a",))}, source, other)
    run.make_plan()
    assert run.statuses()["other.d"] is Status.OK
    assert other.observed == [("d",)] * changes  # the last check


def test_what_is_derived_is_planned_again_even_if_it_was_in_sync() -> None:
    derived = FakeKind("derived", depends_on_content=True)
    derived.things["d"] = Thing()
    run = Run({"box.a": FakeSpec(), "derived.d": FakeSpec(requires=("box.a",))}, FakeKind(affects_content=False), derived)
    assert run.statuses()["derived.d"] is Status.OK
    assert derived.observed == [("d",)]


def test_an_unmet_requirement_blocks_what_differs() -> None:
    run = Run({"box.a": FakeSpec(), "box.b": FakeSpec()})
    run.kind.things["b"] = Thing()
    unmet = dict.fromkeys([A, address("box.b")], "needs a command")
    run.make_plan(unmet=unmet)
    assert run.execute() == {
        "box.a": Outcome(A, Status.BLOCKED, "needs a command"),
        "box.b": Outcome(address("box.b"), Status.OK),
    }
    assert run.kind.observed == []


# What is left


@pytest.mark.parametrize(
    ("kind", "status", "detail"),
    [
        (DifferenceKind.CONFLICT, Status.BLOCKED, "so it is"),
        (DifferenceKind.BLOCKED, Status.BLOCKED, "so it is"),
        (DifferenceKind.WAITING, Status.WAITING, "so it is"),
        (DifferenceKind.FAILED, Status.DEGRADED, "so it is"),
        (DifferenceKind.DEGRADED, Status.DEGRADED, "so it is"),
        (DifferenceKind.REMOVE, Status.DEGRADED, "so it is"),
        (DifferenceKind.MAKE, Status.DEGRADED, "so it is"),
        (DifferenceKind.CHANGE, Status.DEGRADED, "so it is"),
        (DifferenceKind.LATER, Status.OK, ""),
    ],
)
def test_what_nobody_can_end_is_reported_as_what_it_is(kind: DifferenceKind, status: Status, detail: str) -> None:
    run = one()
    hold(run, "a", kind)
    assert run.execute() == {"box.a": Outcome(A, status, detail)}


def test_the_worst_of_several_conditions_decides() -> None:
    kinds = [kind for kind, _ in reconciliation.REMAINDERS]
    for number in range(len(kinds)):
        run = one(thing=Thing())
        run.kind.conditions["a"] = tuple(Condition(kind, str(kind)) for kind in reversed(kinds[number:]))
        assert run.execute()["box.a"].detail.split()[0] == str(kinds[number])


def test_what_is_left_after_an_action_is_not_called_changed() -> None:
    run = one(FakeSpec(value=1), Thing())
    run.kind.conditions["a"] = (Condition(DifferenceKind.DEGRADED, "stuck"),)
    assert run.execute() == {"box.a": Outcome(A, Status.DEGRADED, "stuck", 1)}


def test_what_was_not_made_is_counted() -> None:
    run = one(FakeSpec(manage="observe", members=("x", "y")), Thing())
    assert run.execute() == {"box.a": Outcome(A, Status.DEGRADED, "missing (2)")}


def test_a_reason_of_its_own_comes_before_a_count() -> None:
    run = one(FakeSpec(manage="observe", members=("x", "y")), Thing())
    run.kind.conditions["a"] = (Condition(DifferenceKind.MAKE, "the list is closed"),)
    assert run.execute()["box.a"].detail == "the list is closed (2)"


def test_a_difference_without_words_is_named_by_its_kind() -> None:
    run = one(FakeSpec(manage="observe"))
    assert run.execute()["box.a"].detail == "missing"


@pytest.mark.parametrize(("after", "status"), [((), Status.DEGRADED), (("t:s",), Status.WAITING)])
def test_what_is_left_after_something_that_waits_is_waiting_too(after: tuple[str, ...], status: Status) -> None:
    run = Run({"box.s": SOURCE, "box.a": FakeSpec(after=after)})
    hold(run, "s", DifferenceKind.WAITING)
    hold(run, "a", DifferenceKind.FAILED)
    assert run.execute()["box.a"] == Outcome(A, status, "so it is")


def test_what_is_blocked_after_something_that_waits_stays_blocked() -> None:
    run = Run({"box.s": SOURCE, "box.a": FakeSpec(after=("t:s",))})
    hold(run, "s", DifferenceKind.WAITING)
    hold(run, "a", DifferenceKind.CONFLICT)
    assert run.execute()["box.a"] == Outcome(A, Status.BLOCKED, "so it is")


# Saved plans


def allowed(**verbs: str | None) -> dict[str, Any]:
    return {"allowed": {address(f"box.{name}"): None if its is None else frozenset(its.split()) for name, its in verbs.items()}}


def test_what_a_saved_plan_contains_is_done() -> None:
    run = one(FakeSpec(value=1, members=("x",)), Thing())
    assert run.statuses(**allowed(a="set add")) == {"box.a": Status.CHANGED}


def test_a_verb_that_a_saved_plan_does_not_contain_is_left() -> None:
    run = one(FakeSpec(value=1, members=("x",)), Thing())
    assert run.execute(**allowed(a="set")) == {"box.a": Outcome(A, Status.BLOCKED, "not in the plan: add 1", 1)}
    assert run.verbs == [("box.a", "set")]


def test_a_failure_is_reported_though_what_is_left_is_not_in_a_saved_plan() -> None:
    run = one(FakeSpec(value=1, members=("x",)), Thing(1))
    run.make_plan()

    def do_half(action: Any) -> None:
        run.kind.things["a"] = Thing(0, {"x"})  # somebody changed the value meanwhile
        raise LOST

    run.kind.script = [do_half]
    outcome = run.execute(**allowed(a="add"))["box.a"]
    assert (outcome.status, outcome.error) == (Status.FAILED, LOST)


def test_what_an_action_of_a_saved_plan_does_not_settle_is_a_failure() -> None:
    run = one()
    run.kind.never_settles = True
    outcomes = run.execute(**allowed(a="make"))
    assert outcomes == {"box.a": Outcome(A, Status.FAILED, "still differs after 3 actions: make it", 3)}


def test_a_resource_that_a_saved_plan_does_not_contain_is_left() -> None:
    run = Run({"box.a": FakeSpec(), "box.b": FakeSpec()})
    outcomes = run.execute(**allowed(b="make"))
    assert outcomes["box.a"] == Outcome(A, Status.BLOCKED, "not in the plan: make it")
    assert outcomes["box.b"].status is Status.CHANGED


def test_a_saved_plan_allows_anything_where_planning_happens_later() -> None:
    run = one(FakeSpec(members=("x",)))
    assert run.statuses(**allowed(a=None)) == {"box.a": Status.CHANGED}


def test_a_saved_plan_matters_not_where_nothing_is_to_be_done() -> None:
    run = one()
    hold(run, "a")
    assert run.execute(**allowed()) == {"box.a": Outcome(A, Status.DEGRADED, "so it is")}


def test_a_failure_of_a_saved_plan_is_a_failure() -> None:
    run = one(FakeSpec(members=("x",)), Thing())
    run.kind.broken = WorkerDied("killed")
    assert run.execute(**allowed(a="add")) == {"box.a": Outcome(A, Status.FAILED, "killed", 3)}


def test_a_refused_part_of_a_saved_plan_is_not_observed() -> None:
    run = one()
    run.make_plan()
    assert run.execute(refused={A: "it changed"}) == {"box.a": Outcome(A, Status.BLOCKED, "refused: it changed")}
    assert run.kind.observed == []


# Removals


def unwanted(*members: str) -> Run:
    return one(FakeSpec(members=("x",)), Thing(0, {"x", *members}))


def test_members_that_were_confirmed_are_removed() -> None:
    run = unwanted("old")
    assert run.statuses(prune=True) == {"box.a": Status.CHANGED}
    assert run.kind.things["a"].members == {"x"}


def test_nothing_is_removed_that_became_unwanted_after_the_plan_was_confirmed() -> None:
    run = unwanted("old")
    run.make_plan(prune=True)
    run.kind.things["a"].members.add("new")
    detail = "1 member was not confirmed for removal, such as new; run again to see and confirm what is removed now"
    assert run.execute(prune=True) == {"box.a": Outcome(A, Status.BLOCKED, detail)}
    assert run.kind.things["a"].members == {"x", "old", "new"}


def test_fewer_members_than_were_confirmed_are_removed() -> None:
    run = unwanted("old", "gone")
    run.make_plan(prune=True)
    run.kind.things["a"].members.discard("gone")
    assert run.statuses(prune=True) == {"box.a": Status.CHANGED}
    assert run.kind.things["a"].members == {"x"}


def test_what_adds_is_done_though_what_removes_was_not_confirmed() -> None:
    run = one(FakeSpec(members=("x",)), Thing())
    run.make_plan(prune=True)
    run.kind.things["a"].members = {"new", "newer"}
    outcome = run.execute(prune=True)["box.a"]
    assert (outcome.status, outcome.actions) == (Status.BLOCKED, 1)
    assert outcome.detail.startswith("2 members were not confirmed for removal")
    assert run.kind.things["a"].members == {"x", "new", "newer"}


def test_a_resource_in_sync_when_planned_loses_nothing_later() -> None:
    derived = FakeKind("derived", depends_on_content=True)
    derived.things["d"] = Thing()
    run = Run({"box.a": FakeSpec(), "derived.d": FakeSpec(requires=("box.a",))}, FakeKind(), derived)
    run.make_plan(prune=True)
    derived.things["d"].members = {"came later"}
    assert run.statuses(prune=True)["derived.d"] is Status.BLOCKED
    assert derived.things["d"].members == {"came later"}


@pytest.mark.parametrize(("given", "left"), [({A: frozenset({"old"})}, {"x"}), ({}, {"x", "old"})])
def test_a_limit_from_an_earlier_decision_counts_for_more_than_the_plan(given: Any, left: set[str]) -> None:
    run = unwanted("old")
    run.execute(prune=True, removals=given)
    assert run.kind.things["a"].members == left


# Stopping


def stop_after(count: int) -> Callable[[], bool]:
    answers = iter([False] * count + [True] * 99)
    return lambda: next(answers)


def test_a_run_that_is_stopped_at_once_does_nothing() -> None:
    run = one()
    with pytest.raises(Interrupted):
        run.execute(stop=lambda: True)
    assert run.recorder.events == []


def test_a_run_stops_between_two_actions() -> None:
    run = one(FakeSpec(value=1, members=("x",)), Thing())
    with pytest.raises(Interrupted):
        run.execute(stop=stop_after(2))
    assert run.verbs == [("box.a", "set")]


def test_a_run_stops_between_two_resources() -> None:
    run = Run({"box.a": FakeSpec(), "box.b": FakeSpec()})
    with pytest.raises(Interrupted):
        run.execute(stop=stop_after(2))
    assert run.verbs == [("box.a", "make")]
    assert run.recorder.of("settled") == [("box.a", Status.CHANGED)]


def test_a_lock_that_cannot_be_acquired_fails_what_needs_it_and_is_no_end_of_the_run() -> None:
    run = Run({"box.a": FakeSpec(), "box.b": FakeSpec()})
    run.context.lock_error = ApplyError("the folder of the registry can't be created")
    outcomes = run.execute().values()
    assert {(outcome.status, str(outcome.error)) for outcome in outcomes} == {
        (Status.FAILED, "the folder of the registry can't be created")
    }
    assert run.verbs == []


@pytest.mark.parametrize("error", [LockLost("lost"), LockHeld("held")])
def test_a_lock_that_is_lost_or_held_ends_the_run(error: ReconcileError) -> None:
    run = one(FakeSpec())
    run.context.lock_error = error
    with pytest.raises(type(error)):
        run.execute()


def test_an_action_that_is_stopped_is_recorded_as_such() -> None:
    run = one(FakeSpec(value=1, members=("x", "y")), Thing())
    run.kind.script = [lambda action: {"values": 1}, run.kind.do_then_raise(Interrupted(["b.zip is broken"]), members=1)]
    with pytest.raises(Interrupted):
        run.execute()
    assert run.recorder.of("ended")[-1] == (
        "box.a",
        "add",
        {},
        "stopped between two chunks; what is done stays\nb.zip is broken",
        False,
    )
    assert run.context.forgotten == [("butler",), ("butler",)]


# Waiting


def waiting_run() -> Run:
    run = Run({"box.s": SOURCE, "box.a": NEEDY, "box.free": FakeSpec()})
    hold(run, "s", DifferenceKind.WAITING)
    return run


def test_without_wait_nothing_is_waited_for(clock: FakeClock) -> None:
    run = waiting_run()
    run.make_plan()
    assert run.plan is not None
    outcomes = Executor(run.plan, run.context, run.recorder).run()
    assert [outcome.status for outcome in outcomes] == [Status.WAITING, Status.WAITING, Status.CHANGED]
    assert clock.slept == []


def test_a_delivery_ends_the_waiting(clock: FakeClock) -> None:
    run = waiting_run()
    clock.at = {4.0: run.kind.conditions.clear}
    assert run.statuses(wait=60) == {"box.s": Status.OK, "box.a": Status.CHANGED, "box.free": Status.CHANGED}
    assert clock.now - 1000 == pytest.approx(0.5 + 1 + 2 + 3, abs=0.4)
    waits = run.recorder.of("waiting")
    assert [heard[0] for heard in waits] == 4 * [["box.s", "box.a"]]
    assert [heard[1] for heard in waits] == pytest.approx([60, 59.5, 58.5, 56.5], abs=0.4)
    assert [heard[2] for heard in waits] == [0.5, 1, 2, 3]
    assert run.context.forgotten.count(()) == 4


def test_waiting_ends_when_the_time_is_over(clock: FakeClock) -> None:
    run = waiting_run()
    assert run.statuses(wait=7.5)["box.s"] is Status.WAITING
    assert clock.now - 1000 == pytest.approx(7.5, abs=0.2)
    assert [heard[2] for heard in run.recorder.of("waiting")] == pytest.approx([0.5, 1, 2, 3, 1], abs=0.4)


def test_an_unchanged_outcome_is_reported_once(clock: FakeClock) -> None:
    run = waiting_run()
    run.execute(wait=10)
    assert run.recorder.of("settled") == [
        ("box.s", Status.WAITING),
        ("box.a", Status.WAITING),
        ("box.free", Status.CHANGED),
    ]


def test_what_is_waited_for_is_observed_in_one_batch_and_nothing_else_is(clock: FakeClock) -> None:
    run = Run({"box.s": FakeSpec(), "box.t": FakeSpec(), "box.free": FakeSpec()})
    hold(run, "s", DifferenceKind.WAITING)
    hold(run, "t", DifferenceKind.WAITING)
    run.kind.things["free"] = Thing()
    run.make_plan()
    run.execute(wait=0.4)
    assert run.kind.observed == [("s",), ("t",), ("s", "t"), ("s",), ("t",), ("free",)]  # the last one checks it again


def test_waiting_ends_when_the_operator_stops_it(clock: FakeClock) -> None:
    run = waiting_run()
    stopped: list[int] = []
    clock.at = {1.0: lambda: stopped.append(1)}
    with pytest.raises(Interrupted):
        run.execute(wait=60, stop=lambda: bool(stopped))
    assert clock.now - 1000 == pytest.approx(1.0, abs=0.2)


def test_what_was_blocked_by_something_that_waited_is_tried_again(clock: FakeClock) -> None:
    tables = {"box.s": SOURCE, "box.stuck": FakeSpec(), "box.a": FakeSpec(needs=("t:s",), requires=("box.stuck",))}
    run = Run({**tables, "box.deep": FakeSpec(requires=("box.a",))})
    hold(run, "s", DifferenceKind.WAITING)
    hold(run, "stuck")
    clock.at = {0.25: run.kind.conditions.clear}
    statuses = run.statuses(wait=60)
    assert statuses["box.s"] is Status.OK
    assert statuses["box.stuck"] is Status.DEGRADED
    assert statuses["box.a"] is statuses["box.deep"] is Status.BLOCKED
    assert len(run.recorder.of("waiting")) == 1


def test_what_was_held_up_is_tried_again_at_any_distance_and_the_rest_is_left_alone(clock: FakeClock) -> None:
    tables = {
        "box.s": SOURCE,
        "box.a": FakeSpec(after=("t:s",)),
        "box.deep": FakeSpec(requires=("box.a",)),
        "box.done": FakeSpec(after=("t:s",)),
        "box.stuck": FakeSpec(),
    }
    run = Run(tables)
    hold(run, "s", DifferenceKind.WAITING)
    hold(run, "a", DifferenceKind.CONFLICT)
    hold(run, "stuck", DifferenceKind.CONFLICT)
    run.make_plan()
    clock.at = {0.25: lambda: (run.kind.conditions.clear(), run.kind.observed.clear())}
    statuses = run.statuses(wait=60)
    assert statuses == {
        "box.s": Status.OK,
        "box.a": Status.OK,
        "box.deep": Status.CHANGED,
        "box.done": Status.CHANGED,
        "box.stuck": Status.BLOCKED,
    }
    assert {name for names in run.kind.observed for name in names} == {"s", "a", "deep"}


def test_what_was_in_sync_is_observed_again_after_what_it_waited_for(clock: FakeClock) -> None:
    run = Run({"box.s": SOURCE, "box.a": NEEDY})
    hold(run, "s", DifferenceKind.WAITING)
    run.kind.things["a"] = Thing()
    run.make_plan()

    def deliver() -> None:
        run.kind.conditions.clear()
        run.kind.things["a"].value = 9

    clock.at = {0.25: deliver}
    assert run.statuses(wait=60) == {"box.s": Status.OK, "box.a": Status.CHANGED}


def test_what_was_done_before_the_waiting_is_kept(clock: FakeClock) -> None:
    run = one(FakeSpec(members=("x",)), Thing())
    run.kind.conditions["a"] = (Condition(DifferenceKind.WAITING, "1 file to come"),)
    outcomes = run.execute(wait=4)
    assert outcomes == {"box.a": Outcome(A, Status.WAITING, "1 file to come", 1, {"members": 1})}


def test_what_was_acted_on_and_then_delivered_is_changed(clock: FakeClock) -> None:
    run = one(FakeSpec(members=("x",)), Thing())
    run.kind.conditions["a"] = (Condition(DifferenceKind.WAITING, "1 file to come"),)
    clock.at = {0.25: run.kind.conditions.clear}
    assert run.execute(wait=60) == {"box.a": Outcome(A, Status.CHANGED, "", 1, {"members": 1})}
    assert run.recorder.of("settled") == [("box.a", Status.WAITING), ("box.a", Status.CHANGED)]


def test_actions_before_and_after_the_waiting_are_counted_together(clock: FakeClock) -> None:
    run = one(FakeSpec(value=1, members=("x",)), Thing(1))
    run.kind.conditions["a"] = (Condition(DifferenceKind.WAITING, "1 file to come"),)

    def deliver() -> None:
        run.kind.conditions.clear()
        run.kind.things["a"].value = 0

    clock.at = {0.25: deliver}
    assert run.execute(wait=60) == {"box.a": Outcome(A, Status.CHANGED, "", 2, {"members": 1})}


def test_a_wrong_input_during_the_waiting_is_a_failure_and_ends_no_run(clock: FakeClock) -> None:
    run = Run({"box.s": FakeSpec(), "box.t": FakeSpec()})
    hold(run, "s", DifferenceKind.WAITING)
    hold(run, "t", DifferenceKind.WAITING)

    def deliver() -> None:
        run.kind.conditions.clear()
        run.kind.unobservable["s"] = StateError("list was deleted")

    clock.at = {0.25: deliver}
    assert run.statuses(wait=60) == {"box.s": Status.FAILED, "box.t": Status.OK}


# What was in sync when planned is checked again


def interfere(run: Run, effect: Callable[[], Any]) -> None:
    """Let somebody else do something while the first action runs."""

    def step(action: Any) -> Any:
        effect()
        return run.kind.do(action)

    run.kind.script = [step]


def calm_and_busy() -> Run:
    run = Run({"box.calm": FakeSpec(members=("x",)), "box.busy": FakeSpec()})
    run.kind.things["calm"] = Thing(0, {"x"})
    return run


CALM = address("box.calm")


def test_what_somebody_broke_during_the_run_is_not_ok() -> None:
    run = calm_and_busy()
    interfere(run, run.kind.things["calm"].members.clear)
    detail = "in sync when planned, and not any more: missing (1)"
    assert run.execute()["box.calm"] == Outcome(CALM, Status.DEGRADED, detail)
    assert run.recorder.of("settled")[-1] == ("box.calm", Status.DEGRADED)
    assert run.verbs == [("box.busy", "make")]


def test_what_is_still_in_sync_is_ok_after_one_more_observation_without_cached_answers() -> None:
    run = calm_and_busy()
    assert run.statuses() == {"box.calm": Status.OK, "box.busy": Status.CHANGED}
    assert run.kind.observed == [("busy",), ("busy",), ("calm",)]
    assert run.context.forgotten[-1] == ()


def test_what_can_not_be_checked_again_is_a_failure() -> None:
    run = calm_and_busy()
    interfere(run, lambda: run.kind.unobservable.update(calm=ObserveError("no answer")))
    detail = "in sync when planned, and could not be checked again: no answer"
    assert run.execute()["box.calm"] == Outcome(CALM, Status.FAILED, detail)


def test_a_wrong_input_in_the_last_check_is_a_failure() -> None:
    run = calm_and_busy()
    interfere(run, lambda: run.kind.unobservable.update(calm=StateError("list was deleted")))
    outcome = run.execute()["box.calm"]
    assert outcome.status is Status.FAILED
    assert outcome.detail.endswith("list was deleted")


def test_nothing_is_checked_again_by_a_run_that_did_nothing() -> None:
    run = calm_and_busy()
    run.kind.things["busy"] = Thing()
    run.execute()
    assert run.kind.observed == []


def test_all_is_checked_again_after_a_failure(clock: FakeClock) -> None:
    run = calm_and_busy()

    def step(action: Any) -> Any:
        run.kind.things["calm"].members.clear()
        raise LOST

    run.kind.script = [step]
    assert run.statuses() == {"box.calm": Status.DEGRADED, "box.busy": Status.FAILED}


# Exit codes


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([], 0),
        ([Status.OK, Status.CHANGED], 0),
        ([Status.OK, Status.WAITING], 2),
        ([Status.OK, Status.BLOCKED], 2),
        ([Status.DEGRADED], 2),
        ([Status.FAILED], 1),
        ([Status.DEGRADED, Status.FAILED], 1),
        ([Status.WAITING, Status.FAILED], 1),
    ],
)
def test_the_exit_code_is_that_of_the_worst_outcome(statuses: list[Status], code: int) -> None:
    assert exit_code([Outcome(A, status) for status in statuses]) == code


def test_outcomes_are_counted_by_status() -> None:
    outcomes = [Outcome(A, status) for status in (Status.OK, Status.DEGRADED, Status.OK)]
    assert count_statuses(outcomes) == {Status.OK: 2, Status.DEGRADED: 1}


def test_resources_that_were_acted_on_are_counted_whatever_came_of_it() -> None:
    run = Run({"box.a": FakeSpec(), "box.b": FakeSpec(), "box.c": FakeSpec()})
    run.kind.things["c"] = Thing()
    run.kind.script = [fail()]
    outcomes = run.execute()
    assert [outcomes[f"box.{name}"].status for name in "abc"] == [Status.FAILED, Status.CHANGED, Status.OK]
    assert count_acted(outcomes.values()) == 2


def test_what_several_actions_made_is_added_up_by_noun() -> None:
    assert reconciliation.add_made({"datasets": 2, "rules": ["a"]}, {"datasets": 3, "rules": ["b"], "tags": 1}) == {
        "datasets": 5,
        "rules": ["a", "b"],
        "tags": 1,
    }


def test_the_lock_is_checked_before_each_action_and_its_loss_ends_the_run() -> None:
    run = Run({"box.a": FakeSpec(), "box.b": FakeSpec()})
    run.make_plan()
    run.execute()
    assert run.context.lock_checks == [False, False]
    lost = Run({"box.a": FakeSpec()}, context=FakeContext(lock_error=LockLost("gone")))
    with pytest.raises(LockLost, match="gone"):
        lost.execute()
    assert lost.verbs == []


# Conflicts


def taken() -> tuple[Condition, ...]:
    return (Condition(DifferenceKind.CONFLICT, "the name is taken"),)


def conflicting(manage: str = "full") -> Run:
    """A conflicting resource whose token exists, one that needs it, one that needs that one, and one that needs neither."""
    tables = {
        "box.a": FakeSpec.model_validate({"provides": ("t:a",), "manage": manage}),
        "box.b": FakeSpec(provides=("t:b",), needs=("t:a",)),
        "box.c": FakeSpec(needs=("t:b",)),
        "box.d": FakeSpec(),
    }
    run = Run(tables, context=FakeContext(existing={"t:a"}))
    run.kind.things["a"] = Thing()
    run.kind.conditions["a"] = taken()
    return run


def test_a_conflict_blocks_what_needs_it_and_nothing_else() -> None:
    run = conflicting()
    run.make_plan()
    assert run.plan is not None
    assert [str(action.address) for action in run.plan.actions] == ["box.d"]
    outcomes = run.execute()
    assert [outcome.status for outcome in outcomes.values()] == [Status.BLOCKED] * 3 + [Status.CHANGED]
    error = outcomes["box.a"].error
    assert isinstance(error, ConflictError)
    assert error.problems == ["fake.toml:10: box.a: the name is taken"]
    assert outcomes["box.b"].detail == "needs box.a, which is in conflict"
    assert exit_code(outcomes.values()) == 1


def test_a_conflict_does_not_block_what_is_in_sync() -> None:
    run = conflicting()
    run.kind.things |= {"b": Thing(), "c": Thing()}
    assert run.statuses() == {"box.a": Status.BLOCKED, "box.b": Status.OK, "box.c": Status.OK, "box.d": Status.CHANGED}


def test_a_conflict_that_is_only_observed_blocks_nothing() -> None:
    outcomes = conflicting("observe").execute()
    assert [outcome.status for outcome in outcomes.values()] == [Status.BLOCKED] + [Status.CHANGED] * 3
    assert outcomes["box.a"].error is None
    assert exit_code(outcomes.values()) == 2


# How much is here, and how much was done


def test_a_resource_that_waits_has_how_much_was_delivered() -> None:
    (outcome,) = one(FakeSpec(members=("x",), awaited=("y", "z")), Thing(0, {"x"})).execute().values()
    assert outcome.status is Status.WAITING
    assert outcome.delivery == Delivery(1, 3, 0, "members")


def test_a_resource_that_does_not_wait_has_no_delivery() -> None:
    run = one(FakeSpec(awaited=("y",)), Thing())
    run.kind.conditions["a"] = (Condition(DifferenceKind.BLOCKED, "its input is wrong"),)
    (outcome,) = run.execute().values()
    assert (outcome.status, outcome.delivery) == (Status.BLOCKED, None)


@pytest.mark.parametrize(
    ("spec", "done"), [(FakeSpec(members=("x",)), "1 action was"), (FakeSpec(value=1, members=("x",)), "2 actions were")]
)
def test_what_can_not_be_checked_after_actions_has_their_number(spec: FakeSpec, done: str) -> None:
    run = one(spec, Thing(0))
    run.make_plan()

    def break_after(action: FakeAction) -> None:
        run.kind.do(action)
        run.kind.unobservable["a"] = ObserveError("no answer")

    run.kind.script += [run.kind.do, break_after] if done.startswith("2") else [break_after]
    (outcome,) = run.execute().values()
    assert outcome.detail == f"{done} done, and then it could not be checked: no answer"
