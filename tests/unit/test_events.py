"""JSON of an apply: events as they happen, and one object at the end."""

from __future__ import annotations

import json

import jsonschema
import pytest
from fakes import FakeContext, FakeKind, FakeSpec, Thing, fail, make_plan, make_state

from reconciler.engine.executor import Executor
from reconciler.engine.model import Condition, DifferenceKind, Outcome, Status
from reconciler.errors import StateError
from reconciler.report import events
from reconciler.report.apply_summary import describe_run
from reconciler.report.events import Event, EventListener, error_event, event_schema, format_event, summary_event
from reconciler.report.json import error_schema, make_error_document, make_schema, report_diff
from reconciler.report.markdown import format_runs
from reconciler.report.run import RunDocument, RunReport, make_run_document, report_run
from reconciler.report.summary import summarize

VALIDATOR = jsonschema.Draft202012Validator(event_schema())


def a_run(*, wait: float = 0.0) -> tuple[list[Event], RunReport]:
    """Execute a plan in which each status occurs; return its events and its report."""
    tables = {
        "box.fine": FakeSpec(),
        "box.broken": FakeSpec(),
        "box.made": FakeSpec(members=("x",)),
        "box.held": FakeSpec(requires=("box.broken",)),
        "box.late": FakeSpec(),
    }
    kind = FakeKind()
    kind.things |= {"fine": Thing(), "late": Thing()}
    kind.conditions["late"] = (Condition(DifferenceKind.WAITING, "1 file to come"),)
    kind.script = [fail("no space left")]
    state, context = make_state(tables, kind), FakeContext()
    plan = make_plan(state, context)
    emitted: list[Event] = []
    listener = EventListener(emitted.append)
    outcomes = Executor(plan, context, listener).run(wait)
    return emitted, make_report(outcomes, plan)


def make_report(outcomes: list[Outcome], plan: object) -> RunReport:
    return report_run(
        ("/states/fake.toml", "fake"), summarize(plan), outcomes, run="r1", seconds=2.0, interrupted=False, exit_code=1
    )  # fmt: skip


def test_an_action_begins_and_ends_and_its_resource_is_settled() -> None:
    emitted, _ = a_run()
    about = [event for event in emitted if '"box.made"' in format_event(event)]
    assert [event.event for event in about] == ["started", "ended", "started", "ended", "settled"]
    assert (about[1].kind, about[1].name, about[1].verb, about[1].outcome) == ("box", "made", "make", "done")
    assert about[-1].outcome.status is Status.CHANGED


def test_the_error_of_a_failed_action_is_in_its_event_and_in_its_outcome() -> None:
    emitted, made = a_run()
    (ended,) = [event for event in emitted if event.event == "ended" and event.outcome == "failed"]
    assert ended.error.message == "no space left"
    (outcome,) = [outcome for outcome in made.outcomes if outcome.status is Status.FAILED]
    assert outcome.detail == "no space left"


def test_every_line_keeps_to_the_schema() -> None:
    emitted, made = a_run(wait=0.01)
    kinds = {event.event for event in emitted}
    assert kinds == {"started", "ended", "settled", "waiting"}
    plan = make_plan(make_state({"box.a": FakeSpec()}))
    diff = report_diff(plan, None, None, 1.0)
    more = [*events.diff_events([diff]), events.PlanEvent(report=diff), summary_event(made), error_event(StateError("no"), 1)]
    listener = EventListener(more.append)
    listener.started(plan.actions[0])
    listener.report_bulk("datasets", 3, 3)
    assert {event.event for event in more} >= {"diff", "diff summary", "plan", "summary", "error", "progress"}
    for event in [*emitted, *more]:
        line = format_event(event)
        assert "\n" not in line
        VALIDATOR.validate(json.loads(line))


@pytest.mark.parametrize("broken", [{"format": 2}, {"event": "unheard of"}, {"seconds_left": None}])
def test_the_schema_refuses_other_lines(broken: dict[str, object]) -> None:
    line = json.loads(format_event(events.WaitingEvent(addresses=["box.a"], seconds_left=1.0)))
    assert VALIDATOR.is_valid(line)
    assert not VALIDATOR.is_valid({**line, **broken})


def test_progress_is_reported_at_most_once_a_second_and_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("reconciler.report.events.time.monotonic", lambda: now)
    emitted: list[Event] = []
    listener = EventListener(emitted.append)
    listener.started(make_plan(make_state({"box.a": FakeSpec()})).actions[0])
    for done in range(1, 11):
        now += 0.3
        listener.report_bulk("datasets", done, 10)
    assert [event.done for event in emitted[1:]] == [1, 5, 9, 10]


def test_the_counts_of_json_are_those_of_the_outcomes_with_zeros() -> None:
    emitted, made = a_run()
    assert made.counts == {"ok": 1, "changed": 1, "waiting": 1, "degraded": 0, "blocked": 1, "failed": 1}
    assert made.acted == 2
    assert {event.outcome.address for event in emitted if event.event == "settled"} == {each.address for each in made.outcomes}
    jsonschema.validate(make_run_document([made], 1).model_dump(mode="json"), make_schema(RunDocument))


def test_an_error_after_some_states_is_listed_with_what_was_done_before() -> None:
    _, made = a_run()
    document = make_run_document([made], 1, StateError(["a.toml:3: one", "a.toml:4: two"], ["repair it"]))
    assert [state.name for state in document.states] == ["fake"]
    assert [error.message for error in document.errors] == ["a.toml:3: one", "a.toml:4: two"]


def test_the_hints_of_an_error_come_with_its_last_problem() -> None:
    document = make_error_document(StateError(["one", "two"], ["repair it"]), 1)
    assert [error.hints for error in document.errors] == [[], ["repair it"]]
    jsonschema.validate(document.model_dump(mode="json"), error_schema())


def test_one_line_of_a_run_begins_with_how_it_ended() -> None:
    _, made = a_run()
    assert describe_run(made) == "FAILED fake: ok 1, changed 1, waiting 1, degraded 0, blocked 1, failed 1"
    assert describe_run(made.model_copy(update={"exit_code": 2})).startswith("DRIFT fake: ")
    assert describe_run(made.model_copy(update={"exit_code": 0})).startswith("CHANGED fake: ")
    assert describe_run(made.model_copy(update={"exit_code": 0, "acted": 0})).startswith("OK fake: ")
    assert describe_run(made.model_copy(update={"interrupted": True})).startswith("INTERRUPTED fake: ")
    assert describe_run(made.model_copy(update={"run": None})) == "DECLINED fake: 3 to change, nothing was changed"


def test_the_markdown_of_a_run_lists_what_is_not_done() -> None:
    _, made = a_run()
    text = format_runs([made])
    assert text.startswith("### reconcile apply: acted on 2 resources\n\n| state | result |\n")
    assert "failed box.broken: no space left" in text
    assert "box.fine" not in text
