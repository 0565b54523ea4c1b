"""The Python API on real repositories: the documented example, and the protection that an apply has without a command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, Bench

from reconciler import (
    Action,
    ApplyError,
    ConflictError,
    Listener,
    LockHeld,
    ObserveError,
    Outcome,
    PlanError,
    RemovalRefused,
    Session,
    StateError,
    Status,
    open_session,
)
from reconciler.kinds.collection import CollectionKind

PAGE = (ROOT / "docs" / "how-to" / "use-from-python.md").read_text()
RUN_PROGRAM = """
import runpy, sys

sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    assert "reconciler.cli" not in sys.modules
"""
RUNS = "".join(f'[collection.{name}]\ntype = "RUN"\n' for name in "abcd")
CHAIN = '[chain.top]\nchildren = ["a", "b", "c", "d"]\n'


def saved_files(page: str) -> Iterator[tuple[str, str]]:
    return iter(re.findall(r"```\{code-block\} \w+\n:caption: (\S+)\n\n(.*?)```", page, re.DOTALL))


def shown_runs(page: str) -> Iterator[tuple[str, str]]:
    """Yield each program that the page runs, and what it shows as its output."""
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        yield from re.findall(r"^\$ python (\S+)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)


@pytest.fixture(autouse=True)
def state_folder(empty_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", empty_bench.environment["XDG_STATE_HOME"])


def test_the_examples_of_the_page_work_and_print_what_it_shows_without_the_command_line(empty_bench: Bench) -> None:
    for name, text in saved_files(PAGE):
        (empty_bench.folder / name).write_text(text)
    runs = list(shown_runs(PAGE))
    assert len(runs) == 4
    for program, output in runs:
        words = [sys.executable, "-c", RUN_PROGRAM, program]
        done = subprocess.run(
            words, cwd=empty_bench.folder, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == output


def make_chain(bench: Bench) -> Path:
    """Apply a chain of four runs, then take two out of the state, so that two children are unwanted."""
    state = bench.state(RUNS + CHAIN)
    bench.apply(state)
    state.write_text(state.read_text().replace('"a", "b", "c", "d"', '"a", "b"'))
    return state


def children(bench: Bench) -> tuple[str, ...]:
    return tuple(bench.butler.collections.get_info("top").children)


def statuses(outcomes: tuple[Outcome, ...]) -> dict[str, Status]:
    return {str(outcome.address): outcome.status for outcome in outcomes}


def test_an_apply_makes_what_is_missing_records_it_and_a_second_one_changes_nothing(bench: Bench) -> None:
    state = bench.state(RUNS + CHAIN)
    with open_session(str(state)) as session:
        result = session.apply(session.plan())
        again = session.apply(session.plan())
    assert (result.in_sync, result.exit_code, len(result.changed), result.failures) == (True, 0, 5, [])
    assert (again.in_sync, again.changed) == (True, [])
    assert result.run in bench.run("log", expect=0).output
    assert children(bench) == ("a", "b", "c", "d")


def test_removals_are_refused_unless_both_the_plan_and_the_apply_allow_them(bench: Bench) -> None:
    state = make_chain(bench)
    with open_session(state) as session:
        session.apply(session.plan(), prune=True)
        assert children(bench) == ("a", "b", "c", "d")
        with pytest.raises(RemovalRefused, match="removes 2 members, and removal isn't allowed") as refused:
            session.apply(session.plan(prune=True))
        assert refused.value.count == 2
        assert children(bench) == ("a", "b", "c", "d")


def test_removals_have_the_limits_of_the_command_line(bench: Bench) -> None:
    state = make_chain(bench)
    with open_session(state) as session:
        with pytest.raises(RemovalRefused, match="2 of 4 members would be removed, more than 30%"):
            session.apply(session.plan(prune=True), prune=True)
        with pytest.raises(RemovalRefused, match="more than --prune-limit 1"):
            session.apply(session.plan(prune=True), prune=True, prune_limit=1)
        assert children(bench) == ("a", "b", "c", "d")
        assert session.apply(session.plan(prune=True), prune=True, prune_limit=2).in_sync
    assert children(bench) == ("a", "b")


def test_an_apply_needs_the_lock_that_another_session_holds(bench: Bench) -> None:
    state = bench.state(RUNS)
    with open_session(state) as one, open_session(state) as two:
        plan = two.plan()
        with one.locked(), pytest.raises(LockHeld):
            two.apply(plan)
        assert two.apply(plan).in_sync


def test_a_resource_that_changed_after_the_plan_was_made_is_refused_and_the_others_are_applied(bench: Bench) -> None:
    state = bench.state(RUNS + CHAIN)
    with open_session(state) as session:
        session.apply(session.plan(["collection.*"]))
        plan = session.plan()
        bench.butler.collections.register("other")
        bench.butler.registry.registerCollection("top", bench.butler.collections.get_info("other").type.CHAINED)
        bench.butler.collections.redefine_chain("top", ["other"])
        result = session.apply(plan)
    assert statuses(result.outcomes)["chain.top"] is Status.BLOCKED
    assert result.exit_code == 2
    assert children(bench) == ("other",)


def test_what_began_to_differ_after_the_plan_was_made_is_not_changed(bench: Bench) -> None:
    state = bench.state(RUNS)
    with open_session(state) as session:
        session.apply(session.plan(["collection.a", "collection.b"]))
        plan = session.plan()
        bench.butler.collections.x_remove("a")
        result = session.apply(plan)
    assert statuses(result.outcomes)["collection.a"] is Status.BLOCKED
    assert "a" not in bench.butler.collections.query("*")
    assert "c" in bench.butler.collections.query("*")


def test_a_plan_that_is_made_under_the_lock_is_executed_without_planning_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed = []
    monkeypatch.setattr(Session, "renew", lambda self, plan: renewed.append(plan))
    with open_session(bench.state(RUNS)) as session, session.locked():
        assert session.apply(session.plan()).in_sync
    assert renewed == []


def test_what_changed_since_a_plan_was_made_under_the_lock_is_observed_before_anything_is_removed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other programs, such as butler collection-chain, take no lock."""
    monkeypatch.setattr("reconciler.session.FRESH", -1.0)
    text = (
        "".join(f'[collection.{name}]\ntype = "RUN"\n' for name in "abcdefg") + '[chain.top]\nchildren = ["a", "b", "c", "d"]\n'
    )
    state = bench.state(text)
    bench.apply(state)
    bench.butler.collections.redefine_chain("top", ["a", "b", "c", "d", "e"])
    with open_session(state) as session, session.locked():
        plan = session.plan(prune=True)
        bench.butler.collections.redefine_chain("top", ["a", "b", "c", "d", "e", "f"])
        result = session.apply(plan, prune=True)
    assert [str(outcome.address) for outcome in result.outcomes if outcome.status is Status.BLOCKED] == ["chain.top"]
    assert tuple(bench.butler.collections.get_info("top").children) == ("a", "b", "c", "d", "e", "f")


@pytest.mark.parametrize(
    ("name", "nights", "lacking"),
    [
        ("cat", "", 5),
        ("cta", "", 0),
        ("raw", 'nights = "20241108..20241110"\ninstrument = "Cam"\n', 1),
        ("rwa", 'nights = "20241108..20241110"\ninstrument = "Cam"\n', 0),
    ],
)
def test_an_expectation_of_a_misspelt_dataset_type_lacks_nothing_that_could_be_delivered(
    bench: Bench, name: str, nights: str, lacking: int
) -> None:
    bench.butler.collections.register("a")
    text = '[dataset_type.raw]\ndimensions = ["instrument", "exposure", "detector"]\nstorage_class = "Exposure"\n'
    text += '[dataset_type.cat]\ndimensions = ["htm7"]\nstorage_class = "SimpleCatalog"\n'
    state = bench.state(f'{text}[expect.x]\ndataset_type = "{name}"\ncollections = ["a"]\ncount = 5\n{nights}')
    with open_session(state) as session:
        (entry,) = [entry for entry in session.plan().entries if entry.address.kind == "expect"]
    assert [difference.lacking for difference in entry.differences if difference.kind == "failed"] == [lacking]


def test_answers_that_are_remembered_are_as_old_as_the_first_question(bench: Bench) -> None:
    times = iter(range(9))
    with open_session(bench.state(RUNS)) as session:
        asked = [session.context.butler.asked_since(lambda: next(times)) for _ in range(2)]  # type: ignore[arg-type,return-value]
        session.context.forget()
        assert [*asked, session.context.butler.asked_since(lambda: next(times))] == [0, 0, 1]  # type: ignore[arg-type,return-value]


def test_a_second_plan_under_the_lock_does_not_make_old_answers_fresh(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.session.FRESH", 0.5)
    with open_session(bench.state(RUNS)) as session, session.locked():
        session.plan()
        bench.butler.collections.register("a")  # by another program
        time.sleep(0.6)
        result = session.apply(session.plan())
    assert statuses(result.outcomes)["collection.a"] is Status.OK


def test_a_plan_is_executed_without_planning_again_only_once(bench: Bench) -> None:
    with open_session(bench.state(RUNS)) as session, session.locked():
        plan = session.plan()
        session.apply(plan)
        bench.butler.collections.x_remove("a")
        session.context.forget()
        assert session.apply(plan).in_sync  # observed again: a is absent as it was when the plan was made
    assert "a" in bench.butler.collections.query("*")


def test_a_renewed_plan_keeps_its_limits(bench: Bench) -> None:
    with open_session(bench.state(RUNS)) as session:
        with session.locked():
            renewed = session.renew(session.plan(["collection.a"]))
        with pytest.raises(PlanError, match="renewed only once"):
            session.apply(renewed)


def test_a_plan_of_another_session_is_refused(bench: Bench) -> None:
    state = bench.state(RUNS)
    with open_session(state) as one, open_session(state) as two, pytest.raises(StateError, match="made by another session"):
        two.apply(one.plan())
    assert list(bench.butler.collections.query("*")) == []


def test_a_conflict_is_the_error_of_its_outcome(bench: Bench) -> None:
    bench.butler.collections.register("a")
    state = bench.state('[collection.a]\ntype = "TAGGED"\n[collection.b]\ntype = "RUN"\n')
    with open_session(state) as session:
        result = session.apply(session.plan())
    error = next(outcome.error for outcome in result.outcomes if outcome.address.name == "a")
    assert result.exit_code == 1
    assert isinstance(error, ConflictError)
    assert error.problems == [
        "test.toml:5: collection.a: the name is taken by a RUN collection, and the type of a collection can't be changed"
    ]
    assert sorted(bench.butler.collections.query("*")) == ["a", "b"]


def test_a_failed_action_is_an_outcome_with_its_error_and_blocks_only_what_needs_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply, error = CollectionKind.apply, ApplyError("the registry is full", ("delete something",))

    def fail_for_b(self: CollectionKind, context: object, action: Action) -> None:
        if action.address.name == "b":
            raise error
        apply(self, context, action)  # type: ignore[arg-type]

    monkeypatch.setattr(CollectionKind, "apply", fail_for_b)
    with open_session(bench.state(RUNS + CHAIN)) as session:
        result = session.apply(session.plan())
    found = statuses(result.outcomes)
    assert (found["collection.b"], found["chain.top"], found["collection.c"]) == (Status.FAILED, Status.BLOCKED, Status.CHANGED)
    assert [outcome.error for outcome in result.failures] == [error]
    assert (result.in_sync, result.exit_code) == (False, 1)
    with pytest.raises(ApplyError, match=r"collection\.b failed: the registry is full") as caught:
        result.raise_for_failures()
    assert caught.value.hints == ("delete something",)


def test_a_run_that_is_stopped_returns_what_it_did_and_the_next_one_continues(bench: Bench) -> None:
    class Counter(Listener):
        def __init__(self) -> None:
            self.begun: list[str] = []

        def started(self, action: Action) -> None:
            self.begun.append(str(action.address))

    counter = Counter()
    journal = bench.folder / "journal.jsonl"
    with open_session(bench.state(RUNS)) as session:
        result = session.apply(session.plan(), listener=counter, stop=lambda: len(counter.begun) >= 2, journal=journal)
        assert (result.interrupted, result.in_sync, result.exit_code) == (True, False, 130)
        assert counter.begun == ["collection.a", "collection.b"]
        assert json.loads(journal.read_text().splitlines()[-1])["interrupted"] is True
        assert session.apply(session.plan()).in_sync


def test_what_can_not_be_observed_is_in_the_plan_and_in_the_result_with_its_error(
    sqlite_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = ObserveError("the registry doesn't answer")

    def fail(self: CollectionKind, context: object, desired: object) -> None:
        raise error

    monkeypatch.setattr(CollectionKind, "observe", fail)
    with open_session(sqlite_bench.state('[collection.a]\ntype = "RUN"\n')) as session:
        plan = session.plan()
        assert [(str(entry.address), entry.error) for entry in plan.unknown] == [("collection.a", error)]
        result = session.apply(plan)
    assert [(outcome.status, outcome.error) for outcome in result.failures] == [(Status.FAILED, error)]
    with pytest.raises(ApplyError, match=r"collection\.a failed: could not be checked: the registry doesn't answer"):
        result.raise_for_failures()
