"""The explanation of one resource, of fake kinds: what it needs, what is live, what differs and since when, what hinders it."""

from __future__ import annotations

import datetime
import json
from typing import Any

import jsonschema
import pytest
from fakes import FakeAction, FakeKind, FakeSpec, GivenKind, Thing, address, make_plan, make_state

from reconciler.engine.address_selection import find_address
from reconciler.engine.commands import Command
from reconciler.engine.model import Condition, Cost, DifferenceKind, Members, Observed
from reconciler.engine.plan import Plan
from reconciler.errors import ObserveError, StateError
from reconciler.report.explanation import ExplainReport, KnownFacts, SeenDifference, explain, explain_schema
from reconciler.report.explanation_text import format_explanation
from reconciler.report.journal import RecordedAction

NOW = datetime.datetime(2026, 11, 28, 12, tzinfo=datetime.UTC)


def text_of(plan: Plan, name: str, **facts: Any) -> str:
    report = explain(plan, address(name), KnownFacts(**facts))
    jsonschema.validate(json.loads(report.model_dump_json()), explain_schema())
    return "\n".join(line.text for line in format_explanation(report, plan, NOW))


def report_of(plan: Plan, name: str, **facts: Any) -> ExplainReport:
    return explain(plan, address(name), KnownFacts(**facts))


def chain_of_three(kind: FakeKind) -> Plan:
    tables = {
        "box.a": FakeSpec(provides=("cup:a",)),
        "box.b": FakeSpec(needs=("cup:a", "cup:elsewhere"), provides=("cup:b",)),
        "box.c": FakeSpec(needs=("cup:b",)),
    }
    return make_plan(make_state(tables, kind))


def test_a_required_address_with_a_colon_is_no_token() -> None:
    tables = {"box.raw:x": FakeSpec(), "box.b": FakeSpec(requires=('box."raw:x"',))}
    report = report_of(make_plan(make_state(tables, FakeKind())), "box.b")
    assert [need.because for need in report.needs] == ["requires"]


def test_an_explanation_names_the_line_the_needs_and_those_that_need_it() -> None:
    text = text_of(chain_of_three(FakeKind()), "box.b", source="[box.b]", existing={"cup:elsewhere": False})
    assert text.splitlines()[:3] == [
        "box.b   missing: it doesn't exist",
        "  asked for by  /states/fake.toml:20",
        " " * 16 + "[box.b]",
    ]
    assert '  needs         box.a (line 10, missing, for cup "a")\n' in text
    assert 'cup "elsewhere" (doesn\'t exist; no table provides it)' in text
    assert '  needed by     box.c (line 30, missing, for cup "b")\n' in text
    assert '  hindered by   cup "elsewhere" doesn\'t exist, and no table provides it\n' in text
    assert "  to do         make: make it\n" in text


@pytest.mark.parametrize(("existing", "words"), [({}, "could not be checked"), ({"cup:elsewhere": True}, "exists live")])
def test_what_no_table_provides_is_explained_by_what_exists(existing: dict[str, bool], words: str) -> None:
    text = text_of(chain_of_three(FakeKind()), "box.b", existing=existing)
    assert f'cup "elsewhere" ({words}; no table provides it)' in text
    assert "hindered by" not in text


def test_a_resource_that_could_not_be_checked_is_explained_with_what_to_do() -> None:
    kind = FakeKind()
    kind.unobservable["a"] = ObserveError("the server is down", ("is it up?",))
    text = text_of(make_plan(make_state({"box.a": FakeSpec()}, kind)), "box.a")
    assert "  live          unknown\n                the server is down\n                is it up?\n" in text
    assert "  hindered by   the server is down\n" in text


def test_a_need_that_could_not_be_checked_hinders_what_needs_it() -> None:
    kind = FakeKind()
    kind.unobservable["a"] = ObserveError("the server is down")
    report = report_of(chain_of_three(kind), "box.b", existing={"cup:a": True})
    assert report.blocked_by == ["needs box.a, which could not be checked"]


UNHEALTHY = [
    (DifferenceKind.BLOCKED, "is blocked"),
    (DifferenceKind.WAITING, "is waiting"),
    (DifferenceKind.DEGRADED, "is not in sync"),
    (DifferenceKind.FAILED, "is not in sync"),
]


@pytest.mark.parametrize(("condition", "reason"), UNHEALTHY)
@pytest.mark.parametrize("existing", [{"cup:a": True}, {"cup:a": False}, {}])
def test_an_unhealthy_need_hinders_only_if_what_is_needed_of_it_does_not_exist(
    condition: DifferenceKind, reason: str, existing: dict[str, bool]
) -> None:
    kind = FakeKind()
    kind.things["a"] = Thing()
    kind.conditions["a"] = (Condition(condition, "so it is"),)
    report = report_of(chain_of_three(kind), "box.b", existing=existing)
    assert report.blocked_by == ([] if existing.get("cup:a") else [f"needs box.a, which {reason}"])


@pytest.mark.parametrize(("condition", "reason"), UNHEALTHY)
def test_an_unhealthy_table_hinders_the_one_that_requires_it(condition: DifferenceKind, reason: str) -> None:
    kind = FakeKind()
    kind.things["a"] = Thing()
    kind.conditions["a"] = (Condition(condition, "so it is"),)
    plan = make_plan(make_state({"box.a": FakeSpec(), "box.b": FakeSpec(requires=("box.a",))}, kind))
    assert report_of(plan, "box.b").blocked_by == [f"needs box.a, which {reason}"]


def test_nothing_delivered_hinders_all_that_needs_it_at_any_distance() -> None:
    imports, chains = GivenKind("import"), FakeKind("chain")
    imports.given["i"] = Observed(None, (Members("datasets", 1, 0, awaited=({"id": "x"},)),))
    tables = {
        "import.i": FakeSpec(contributes=("collection:run",)),
        "chain.c": FakeSpec(needs=("collection:run",), provides=("collection:c",)),
        "chain.d": FakeSpec(needs=("collection:c",)),
    }
    plan = make_plan(make_state(tables, imports, chains))
    report = report_of(plan, "chain.c")
    assert ([action.verb for action in report.actions], report.blocked_by) == (["make"], ["needs import.i, which is waiting"])
    assert report_of(plan, "chain.d").blocked_by == ["needs chain.c, which is waiting"]


def test_a_hindrance_that_the_plan_has_found_too_is_reported_once() -> None:
    kind = FakeKind()
    kind.conditions["a"] = (Condition(DifferenceKind.CONFLICT, "it is a cup"),)
    assert report_of(chain_of_three(kind), "box.b").blocked_by == ["needs box.a, which is in conflict"]
    plan = make_plan(make_state({"box.a": FakeSpec(manage="observe"), "box.b": FakeSpec(requires=("box.a",))}))
    assert report_of(plan, "box.b").blocked_by == ["needs box.a, which is absent and only observed"]


def test_differences_are_shown_as_in_a_diff_with_their_age_and_cause() -> None:
    kind = FakeKind()
    kind.things["a"] = Thing(value=1)
    plan = make_plan(make_state({"box.a": FakeSpec(value=2)}, kind))
    seen = {("change", "value"): SeenDifference("2026-11-25T12:00:00.000Z", "2026-11-28T11:00:00.000Z", 12, "drifted")}
    text = text_of(plan, "box.a", seen=seen, last_in_sync="2026-11-25T11:00:00.000Z")
    assert "  differs       ~ value   1 → 2\n" in text
    since = "value: 2026-11-25T12:00:00.000Z (3 d ago), seen by 12 checks, last 2026-11-28T11:00:00.000Z; cause: drifted"
    assert f"  since         {since}\n" in text
    assert "  last in sync  2026-11-25T11:00:00.000Z (3 d ago)\n" in text
    assert report_of(plan, "box.a", seen=seen).differences[0].times_seen == 12


def test_waiting_is_found_in_the_history_without_its_field_and_what_would_follow_is_shown() -> None:
    kind = FakeKind()
    kind.things["a"] = Thing()
    plan = make_plan(make_state({"box.a": FakeSpec(awaited=("x", "y"))}, kind))
    report = report_of(plan, "box.a", seen={("waiting", ""): SeenDifference("2026-11-28T11:00:00Z", "", 1, "waiting")})
    assert report.differences[0].cause == "waiting"
    assert [(action.verb, action.once_delivered) for action in report.actions] == [("add", True)]
    assert "add: add 2, 2 datasets (20 bytes), once Rucio has delivered it" in text_of(plan, "box.a")


def test_unwanted_members_are_counted_and_it_is_explained_why_they_stay() -> None:
    kind = FakeKind()
    kind.things["a"] = Thing(members={"x"})
    for spec, reason in ((FakeSpec(), "without --prune"), (FakeSpec(protect=True), "protect = true")):
        text = text_of(make_plan(make_state({"box.a": spec}, kind)), "box.a")
        assert "  differs       - 1 unwanted member\n" in text
        assert reason in text.partition("hindered by")[2]


@pytest.mark.parametrize(("manage", "reason"), [("observe", "only reported"), ("create", "what exists is never changed")])
def test_it_is_explained_why_nothing_is_done_about_a_difference(manage: Any, reason: str) -> None:
    kind = FakeKind()
    kind.things["a"] = Thing(value=1)
    text = text_of(make_plan(make_state({"box.a": FakeSpec(value=2, manage=manage)}, kind)), "box.a")
    assert f'manage = "{manage}": ' in text
    assert reason in text
    assert "  to do         nothing\n" in text


def test_what_exists_is_explained_by_facts_members_and_keys_that_nothing_shows() -> None:
    kind = GivenKind()
    parts = (Members("chains", 1, 1), Members("tags", 0, 0), Members("raws", 3, 2, missing=({"id": 1},)))
    kind.given = {"a": Observed(FakeSpec(), parts, facts=("7 datasets, 7 expected",), unobserved=("transfer",))}
    report = report_of(make_plan(make_state({"box.a": FakeSpec()}, kind)), "box.a")
    text = text_of(make_plan(make_state({"box.a": FakeSpec()}, kind)), "box.a")
    assert (report.live.facts, report.live.unobserved) == (["7 datasets, 7 expected"], ["transfer"])
    assert text.partition("  live          ")[2].startswith(
        "7 datasets, 7 expected\n"
        "                1 of 1 chain present, compared one by one\n"
        "                2 of 3 raws present, compared one by one\n"
        "                not compared, because nothing live shows it: transfer\n"
    )


def test_nothing_hinders_what_is_in_sync() -> None:
    kind = FakeKind()
    kind.things["a"] = Thing()
    report = report_of(make_plan(make_state({"box.a": FakeSpec(manage="observe")}, kind)), "box.a")
    assert (report.status, report.blocked_by, report.actions) == ("ok", [], [])


class Risky(FakeAction):
    """An action with a risk."""

    @property
    def risk(self) -> str:
        return "closes it"


def test_actions_have_their_size_their_risk_and_their_commands() -> None:
    kind = GivenKind()
    made = Risky(address=address("box.a"), verb="close", reason="it is open", cost=Cost(3, 3_000_000), removes=("x",))
    kind.given["a"] = Observed(FakeSpec(value=1))
    kind.actions["a"] = [made]
    kind.typed["close"] = [Command("rucio", "did", "update", "a b")]
    text = text_of(make_plan(make_state({"box.a": FakeSpec()}, kind)), "box.a")
    assert "  to do         close: it is open, 3 datasets (3.0 MB)\n" in text
    assert "                  ! closes it\n                  $ rucio did update 'a b'\n" in text


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (Members("raws", 2, 2), "2 of 2 raws present, compared one by one"),
        (Members.counted("raws", 2), "2 of 2 raws present, by their number only"),
        (Members.proven("raws", 2), "by proof: they were listed in an earlier run, and dates and numbers show"),
    ],
)
def test_it_is_explained_how_members_were_compared(members: Members, words: str) -> None:
    kind = GivenKind()
    kind.given["a"] = Observed(FakeSpec(), (members,))
    assert words in text_of(make_plan(make_state({"box.a": FakeSpec()}, kind)), "box.a")


def test_members_that_a_proof_is_about_are_explained_with_the_time_since_which_each_was_listed() -> None:
    kind = GivenKind()
    kind.given["a"] = Observed(FakeSpec(), (Members.proven("raws", 2, NOW), Members("tags", 1, 1)))
    plan = make_plan(make_state({"box.a": FakeSpec()}, kind))
    assert [part.listed for part in report_of(plan, "box.a").live.members] == ["2026-11-28T12:00:00Z", None]
    assert "2 of 2 raws present, by proof: each was listed at 2026-11-28T12:00:00Z or later, and dates" in text_of(plan, "box.a")


def test_it_is_explained_how_it_was_found_out_by_the_systems_that_were_asked() -> None:
    facts = {"systems": {"butler": "repo", "rucio": "rucio.example.org"}, "statements": 14, "calls": 1, "seconds": 1.2}
    text = text_of(chain_of_three(FakeKind()), "box.a", **facts)
    assert "  found out by  queries of the Butler repo\n" in text
    assert "in 1.2 s: 14 SQL statements, 1 Rucio call, together with 2 resources that it needs\n" in text


def test_long_lists_are_cut_with_how_many_more_there_are_and_runs_are_shown() -> None:
    tables = {"box.a": FakeSpec(provides=("cup:a",)), **{f"box.b{n}": FakeSpec(needs=("cup:a",)) for n in range(12)}}
    run = RecordedAction(
        run="r1",
        time="T1",
        address="box.a",
        kind="box",
        name="a",
        verb="make",
        outcome="failed",
        reason="make it",
        detail="no space",
    )
    text = text_of(make_plan(make_state(tables)), "box.a", runs=[run])
    assert "… and 2 more; --format json lists all" in text
    assert text.endswith("  runs          T1   r1   make   failed   make it: no space")


def test_a_condition_that_blocks_is_a_hindrance() -> None:
    kind = FakeKind()
    kind.conditions["a"] = (Condition(DifferenceKind.CONFLICT, "it is a cup"),)
    report = report_of(make_plan(make_state({"box.a": FakeSpec()}, kind)), "box.a")
    assert (report.status, report.blocked_by) == ("conflict", ["conflict: it is a cup"])


def test_a_resource_whose_name_something_else_has_does_not_exist() -> None:
    kind = GivenKind()
    conflict = Condition(DifferenceKind.CONFLICT, "it is a container")
    kind.given = {
        "a": Observed(FakeSpec(), conditions=(conflict,), taken=True),
        "b": Observed(FakeSpec(), conditions=(conflict,)),
    }
    tables = {"box.a": FakeSpec(manage="create"), "box.b": FakeSpec(manage="create")}
    plan = make_plan(make_state(tables, kind))
    taken, existing = report_of(plan, "box.a"), report_of(plan, "box.b")
    assert (taken.live.exists, taken.blocked_by) == (False, ["conflict: it is a container"])
    assert (existing.live.exists, existing.blocked_by[1:]) == (True, ['manage = "create": what exists is never changed'])
    assert "  live          doesn't exist\n" in text_of(plan, "box.a")


def test_an_address_is_found_with_and_without_quotes_and_by_a_glob_that_matches_one() -> None:
    state = make_state({"box.a/b": FakeSpec(), "box.a[1]": FakeSpec(), "box.c": FakeSpec()})
    for text in ("box.a/b", 'box."a/b"', "box.a/*"):
        assert str(find_address(state, text)) == 'box."a/b"'
    assert find_address(state, "box.a[1]").name == "a[1]"
    with pytest.raises(StateError, match=r'box\.a\* matches 2 addresses; name one, such as box\."a/b"'):
        find_address(state, "box.a*")
    with pytest.raises(StateError, match=r'no address bix\.c; did you mean "box\.c"\?'):
        find_address(state, "bix.c")
