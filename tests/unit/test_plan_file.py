"""A plan file holds what was decided and on which facts, and is never trusted."""

import datetime
import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeContext, FakeKind, FakeSpec, Recorder, Thing, address, make_plan, make_state
from jsonschema import Draft202012Validator

from reconciler.engine import plan_file
from reconciler.engine.executor import Executor
from reconciler.engine.model import Condition, Difference, DifferenceKind, Status
from reconciler.engine.plan import Entry, Plan, PlanLimits
from reconciler.engine.plan_file import (
    FORMAT,
    SavedPlan,
    allowed_verbs,
    check_origin,
    find_done_entries,
    find_limits,
    find_stale_entries,
    fingerprint,
    is_plan,
    load_plan,
    plan_schema,
    save_plan,
)
from reconciler.errors import ObserveError, StateError
from reconciler.report.saved_plan import format_saved_plan, introduce, report_limits, report_saved_plan, show_schema
from reconciler.version import __version__

A, B, C, D = (address(f"box.{name}") for name in "abcd")
FACTS: dict[str, Any] = {"digest": "0" * 64, "variables": {"night": "20241101", "copies": 2, "deep": True, "share": 0.5}}


def make_kind() -> FakeKind:
    """Make a kind of which a is absent, b lacks a member and has one too many, c is as desired and d is waiting."""
    kind = FakeKind()
    kind.things = {"b": Thing(0, {"old"}), "c": Thing(), "d": Thing()}
    kind.conditions = {"d": (Condition(DifferenceKind.WAITING, "1 file to come"),)}
    return kind


TABLES = {
    "box.a": FakeSpec(value=3),
    "box.b": FakeSpec(members=("x", "y")),
    "box.c": FakeSpec(),
    "box.d": FakeSpec(),
}


def plan_tables(kind: FakeKind | None = None, tables: dict[str, FakeSpec] = TABLES, **facts: Any) -> Plan:
    return make_plan(make_state(tables, kind or make_kind(), **{**FACTS, **facts}), prune=True)


def save(plan: Plan, folder: Path) -> SavedPlan:
    save_plan(plan, folder / "plan.json", "/repo", "https://rucio", prune=True)
    return load_plan(folder / "plan.json")


def test_a_plan_can_be_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    plan = plan_tables()
    assert save_plan(plan, path, "/repo", "https://rucio", prune=True) == 3
    saved = load_plan(path)
    assert (saved.format, saved.version, saved.state, saved.digest) == (FORMAT, __version__, "/states/fake.toml", "0" * 64)
    assert (saved.butler, saved.rucio, saved.prune) == ("/repo", "https://rucio", True)
    assert saved.variables == FACTS["variables"]
    assert {name: type(value) for name, value in saved.variables.items()} == {
        "night": str,
        "copies": int,
        "deep": bool,
        "share": float,
    }
    assert saved.made["pid"] == str(os.getpid())
    assert list(saved.by_address) == [A, B, D]
    a, b, d = saved.entries
    assert [action.verb for action in a.actions] == ["make"]
    add, remove = b.actions
    assert add.model_dump() == {
        "verb": "add",
        "reason": "add 2",
        "datasets": 2,
        "removes": 0,
        "arguments": {"value": 0, "members": ["x", "y"]},
    }
    assert (remove.verb, remove.datasets, remove.removes) == ("remove", 0, 1)
    assert d.actions == []
    assert [entry.later for entry in saved.entries] == [False, False, True]
    assert [entry.fingerprint for entry in saved.entries] == [fingerprint(plan.entries[number]) for number in (0, 1, 3)]


def test_a_plan_file_is_readable_by_its_owner_alone_and_by_people(tmp_path: Path) -> None:
    save(plan_tables(), tmp_path)
    path = tmp_path / "plan.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith('{\n  "format": 2,\n')
    assert path.read_text().endswith("}\n")


def test_a_plan_file_fits_its_schema(tmp_path: Path) -> None:
    save(plan_tables(), tmp_path)
    schema = plan_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(json.loads((tmp_path / "plan.json").read_text()))


def test_long_arguments_are_cut_for_the_reader(tmp_path: Path) -> None:
    saved = save(plan_tables(tables={"box.c": FakeSpec(members=tuple(f"m{n}" for n in range(99)))}), tmp_path)
    ((action,),) = [entry.actions for entry in saved.entries]
    assert action.arguments["members"]["count"] == action.datasets == 99


@pytest.mark.parametrize(
    "variables",
    [
        {"db_password": "x"},
        {"TOKEN": "x"},
        {"my_secret": 1},
        {"credentials": "x"},
        {"passwd": "x"},
        {"pass": "x"},
        {"db_pass": "x"},
        {"PGPASSFILE": "x"},
        {"api_key": "x"},
        {"uri": "postgresql://user:hunter2@host/db"},
        {"options": "token=abc"},
    ],
)
def test_variables_that_look_like_secrets_are_not_saved(tmp_path: Path, variables: dict[str, Any]) -> None:
    with pytest.raises(StateError, match=f"variables {next(iter(variables))} seem to be secrets") as caught:
        save(plan_tables(variables={"night": "x", **variables}), tmp_path)
    assert "hunter2" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["passband", "bypass", "compass", "passes"])
def test_variables_that_only_contain_the_letters_of_a_password_are_saved(tmp_path: Path, name: str) -> None:
    save(plan_tables(variables={name: "x"}), tmp_path)
    assert list(tmp_path.iterdir()) != []


def test_all_variables_that_look_like_secrets_are_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="variables a_token, b_secret seem"):
        save(plan_tables(variables={"a_token": 1, "night": 2, "b_secret": 3}), tmp_path)


def test_a_plan_that_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"gone/plan\.json: can't be written: No such file or directory"):
        save_plan(plan_tables(), tmp_path / "gone" / "plan.json", None, None, prune=False)


def test_the_same_facts_have_the_same_fingerprint() -> None:
    for one, other in zip(plan_tables().entries, plan_tables().entries, strict=True):
        assert fingerprint(one) == fingerprint(other)


MEMBER = {"id": 1, "path": "/x"}
DIFFERENCE = Difference(A, "members", 1, 2, "missing", DifferenceKind.MAKE, (MEMBER,))


def entry_with(**changes: Any) -> Entry:
    facts = {**DIFFERENCE.__dict__, **changes}
    return Entry(A, FakeSpec(), None, (Difference(**facts),))


@pytest.mark.parametrize(
    "changes",
    [
        {"field": "files"},
        {"kind": DifferenceKind.CHANGE},
        {"kind": DifferenceKind.REMOVE},
        {"observed": 0},
        {"desired": 3},
        {"detail": "lost"},
        {"members": (MEMBER, MEMBER)},
        {"members": ({**MEMBER, "id": 2},)},
    ],
)
def test_a_fingerprint_changes_with_each_fact_of_a_difference(changes: dict[str, Any]) -> None:
    assert fingerprint(entry_with(**changes)) != fingerprint(entry_with())


def test_a_fingerprint_does_not_depend_on_the_order_of_a_members_keys() -> None:
    assert fingerprint(entry_with(members=({"path": "/x", "id": 1},))) == fingerprint(entry_with())


def test_a_fingerprint_changes_with_the_resource_and_its_actions() -> None:
    entry = plan_tables().entries[0]
    others = [
        Entry(B, entry.spec, entry.observed, entry.differences, entry.actions),
        Entry(A, entry.spec, entry.observed, entry.differences, ()),
        Entry(A, entry.spec, entry.observed, entry.differences, (entry.actions[0].model_copy(update={"value": 9}),)),
        Entry(A, entry.spec, entry.observed, entry.differences, (entry.actions[0].model_copy(update={"verb": "set"}),)),
    ]
    assert len({fingerprint(found) for found in (entry, *others)}) == 5


@pytest.mark.parametrize(
    "kind",
    sorted(set(DifferenceKind) - {DifferenceKind.MAKE, DifferenceKind.CHANGE, DifferenceKind.REMOVE}),
)
def test_what_changes_by_itself_is_not_part_of_a_fingerprint(kind: DifferenceKind) -> None:
    assert fingerprint(entry_with(kind=kind)) == fingerprint(Entry(A, FakeSpec(), None))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"format": 2}', True),
        (b"  \n\t{}", True),
        (b"[reconcile]\n", False),
        (b"", False),
        (b" " * 63 + b"{", True),
        (b" " * 64 + b"{", False),
    ],
)
def test_a_plan_file_is_known_by_its_first_sign(tmp_path: Path, content: bytes, expected: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert is_plan(path) is expected


def test_a_file_that_can_not_be_read_is_no_plan(tmp_path: Path) -> None:
    assert not is_plan(tmp_path / "gone")
    assert not is_plan(tmp_path)


@pytest.mark.parametrize("number", [1, 3, "2"])
def test_a_plan_of_another_format_is_refused(tmp_path: Path, number: Any) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"format": number, "version": "0.9", "entries": [{"id": "box.a"}]}))
    with pytest.raises(
        StateError, match=r"plan\.json: a plan of reconcile 0\.9, whose format this version doesn't read"
    ) as caught:
        load_plan(path)
    assert caught.value.hints == ("make a new plan with reconcile diff --out",)


def test_a_plan_of_another_format_may_lack_its_version(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{"format": 1}')
    with pytest.raises(StateError, match="a plan of reconcile another version, whose"):
        load_plan(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "Expecting property name"),
        (b"\xff{", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[reconcile]", "it is not JSON"),
        (b"{}", "format: Field required"),
        (b"[]", "Input should be"),
        (b'{"format": 2}', "version: Field required"),
    ],
)
def test_what_is_no_plan_file_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    with pytest.raises(StateError, match=rf"plan\.json: not a plan file: .*{problem}"):
        load_plan(path)


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("entries.0.fingerprint", {"fingerprint": "x"}),
        ("entries.0.actions", {"actions": None}),
        ("entries.0.extra", {"extra": 1}),
        ("entries.0.later", {"later": None}),
    ],
)
def test_a_plan_file_that_was_tampered_with_is_refused(tmp_path: Path, where: str, change: dict[str, Any]) -> None:
    save(plan_tables(), tmp_path)
    path = tmp_path / "plan.json"
    document = json.loads(path.read_text())
    document["entries"][0] |= change
    path.write_text(json.dumps(document))
    with pytest.raises(StateError, match=rf"plan\.json: not a plan file: {where}: "):
        load_plan(path)


@pytest.mark.parametrize("key", ["datasets", "removes"])
def test_numbers_of_a_plan_file_are_not_negative(tmp_path: Path, key: str) -> None:
    save(plan_tables(), tmp_path)
    path = tmp_path / "plan.json"
    document = json.loads(path.read_text())
    document["entries"][0]["actions"][0][key] = -1
    path.write_text(json.dumps(document))
    with pytest.raises(StateError, match=rf"entries\.0\.actions\.0\.{key}: "):
        load_plan(path)


def test_a_plan_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(plan_tables(), tmp_path)
    path = tmp_path / "plan.json"
    size = path.stat().st_size
    monkeypatch.setattr(plan_file, "LARGEST", size)
    assert load_plan(path).format == FORMAT
    monkeypatch.setattr(plan_file, "LARGEST", size - 1)
    with pytest.raises(StateError, match="larger than 0 MB"):
        load_plan(path)


def test_the_largest_plan_file_has_50_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    with path.open("wb") as stream:
        stream.truncate(50_000_001)
    with pytest.raises(StateError, match="larger than 50 MB"):
        load_plan(path)


def test_a_plan_file_that_can_not_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="gone: can't be read: No such file or directory"):
        load_plan(tmp_path / "gone")


def test_a_plan_is_applied_where_it_was_made(tmp_path: Path) -> None:
    plan = plan_tables()
    check_origin(save(plan, tmp_path), plan.state, "/repo", "https://rucio")


def test_a_plan_of_a_changed_state_is_refused(tmp_path: Path) -> None:
    saved = save(plan_tables(), tmp_path)
    changed = plan_tables(digest="1" * 64).state
    with pytest.raises(StateError, match=r"/states/fake\.toml: the state was changed since the plan was made") as caught:
        check_origin(saved, changed, "/repo", "https://rucio")
    assert caught.value.hints[0] == "make a new plan with reconcile diff --out"
    check_origin(saved, changed, "/repo", "https://rucio", changed=True)


@pytest.mark.parametrize(
    ("butler", "rucio", "problem"),
    [
        ("/other", "https://rucio", "another repository: /repo, and this is /other"),
        ("/repo", "https://other", "another Rucio server: https://rucio, and this is https://other"),
        ("/repo", None, "another Rucio server: https://rucio, and this is None"),
    ],
)
def test_a_plan_of_another_system_is_refused(tmp_path: Path, butler: str, rucio: str | None, problem: str) -> None:
    plan = plan_tables()
    with pytest.raises(StateError, match=f"the plan was made for {problem}") as caught:
        check_origin(save(plan, tmp_path), plan.state, butler, rucio)
    assert caught.value.hints == ("make a new plan here",)


def test_nothing_is_stale_while_the_facts_hold(tmp_path: Path) -> None:
    assert find_stale_entries(save(plan_tables(), tmp_path).by_address, plan_tables()) == {}


def test_progress_of_a_delivery_makes_nothing_stale(tmp_path: Path) -> None:
    saved = save(plan_tables(), tmp_path)
    kind = make_kind()
    kind.conditions = {}
    assert find_stale_entries(saved.by_address, plan_tables(kind)) == {}


def test_what_changed_since_is_stale(tmp_path: Path) -> None:
    saved = save(plan_tables(), tmp_path)
    kind = make_kind()
    kind.things |= {"a": Thing(3), "b": Thing(1, {"x"})}
    assert find_stale_entries(saved.by_address, plan_tables(kind)) == {
        A: "it changed since the plan was made: make it then, nothing to do now",
        B: "it changed since the plan was made: add 2; remove 1 then, set 0; add 1 now",
    }


def test_what_is_done_since_is_neither_refused_nor_done_again(tmp_path: Path) -> None:
    saved = save(plan_tables(), tmp_path)
    kind = make_kind()
    kind.things |= {"a": Thing(3), "b": Thing(1, {"x"})}
    plan = plan_tables(kind)
    limits = find_limits(saved.by_address, plan)
    assert limits.done == (A,)
    assert list(limits.refused) == [B]
    assert limits.allowed == {D: None}
    assert [line.text for line in report_limits(replace(plan, limits=limits))] == [
        "Done since the plan was made: box.a",
        "Refused: box.b: it changed since the plan was made: add 2; remove 1 then, set 0; add 1 now",
    ]


def test_what_is_hindered_or_can_not_be_checked_is_not_done(tmp_path: Path) -> None:
    saved = save(plan_tables(), tmp_path)
    for kind in (DifferenceKind.BLOCKED, DifferenceKind.CONFLICT):
        fake = make_kind()
        fake.things["a"] = Thing(3)
        fake.conditions["a"] = (Condition(kind, "so it is"),)
        assert find_done_entries(saved.by_address, plan_tables(fake)) == ()
    fake = make_kind()
    fake.unobservable = {"a": ObserveError("no answer")}
    assert find_done_entries(saved.by_address, plan_tables(fake)) == ()


def test_many_that_are_done_are_cut_with_their_number() -> None:
    state = make_state({f"box.b{number}": FakeSpec() for number in range(12)})
    plan = make_plan(state)
    limited = replace(plan, limits=PlanLimits(done=tuple(state.resources)))
    assert [line.text for line in report_limits(limited)] == [
        "Done since the plan was made: " + ", ".join(f"box.b{n}" for n in range(10)) + " and 2 more"
    ]


def test_a_saved_plan_is_introduced_by_who_made_it_its_age_and_its_state(tmp_path: Path) -> None:
    saved = save(plan_tables(), tmp_path)
    saved = saved.model_copy(update={"made": {"user": "ada", "host": "lovelace", "since": "2026-11-28T09:00:00.000Z"}})
    now = datetime.datetime(2026, 11, 28, 12, tzinfo=datetime.UTC)
    lines = [line.text for line in introduce(saved, Path("/states/fake.toml"), now)]
    assert lines == [
        "Plan for the state file /states/fake.toml: 3 actions for 2 resources.",
        "Made by ada on lovelace at 2026-11-28T09:00:00.000Z, 3.0 h ago.",
    ]
    moved = [line.text for line in introduce(saved, Path("/moved.toml"), now)]
    assert moved[0] == "Plan for the state file /moved.toml, made for /states/fake.toml: 3 actions for 2 resources."
    for text in ("", "yesterday", "2027-01-01T00:00:00Z"):
        broken = saved.model_copy(update={"made": {"since": text}})
        assert "ago" not in [*introduce(broken, Path("x"), now)][1].text


def test_a_saved_plan_is_shown_with_its_actions_by_resource(tmp_path: Path) -> None:
    saved = save(plan_tables(), tmp_path)
    text = "\n".join(line.text for line in format_saved_plan(saved, tmp_path / "plan.json", state_unchanged=False))
    assert "box.a\n  make: make it\n" in text
    assert "box.b\n  add: add 2, 2 datasets\n  remove: remove 1, removes 1 member\n" in text
    assert "box.d\n  planned again once what it needs has changed or was delivered\n" in text
    assert "Butler  /repo     Rucio  https://rucio\n" in text
    assert "The state file was changed since, so apply refuses this plan" in text
    report = report_saved_plan(saved, tmp_path / "plan.json", state_unchanged=None)
    Draft202012Validator(show_schema()).validate(json.loads(report.model_dump_json()))
    assert (report.format, report.actions, report.removes, report.datasets) == (1, 3, 1, 2)
    assert next((entry.address, entry.kind, entry.name) for entry in report.entries) == ("box.a", "box", "a")


def test_what_only_waits_hides_nothing_that_is_stale(tmp_path: Path) -> None:
    tables = {"box.d": FakeSpec(), "box.a": FakeSpec()}
    kind = make_kind()
    saved = save(plan_tables(kind, tables), tmp_path)
    kind.things["a"] = Thing()
    assert list(saved.by_address) == [D, A]
    assert list(find_stale_entries(saved.by_address, plan_tables(kind, tables))) == [A]


def test_what_can_not_be_checked_or_is_gone_is_stale(tmp_path: Path) -> None:
    saved = save(plan_tables(), tmp_path)
    kind = make_kind()
    kind.unobservable = {"a": ObserveError("no answer")}
    rest = {name: spec for name, spec in TABLES.items() if name not in ("box.b", "box.d")}
    assert find_stale_entries(saved.by_address, plan_tables(kind, rest)) == {
        A: "it could not be checked",
        B: "it is not in the state",
    }


def test_a_plan_allows_the_verbs_that_it_contains(tmp_path: Path) -> None:
    saved = save(plan_tables(), tmp_path)
    assert allowed_verbs(saved.by_address, {}) == {A: frozenset({"make"}), B: frozenset({"add", "remove"}), D: None}
    assert allowed_verbs(saved.by_address, {B: "it changed"}) == {A: frozenset({"make"}), D: None}


def test_a_saved_plan_does_what_it_contains_and_nothing_else(tmp_path: Path) -> None:
    kind = make_kind()
    saved = save(plan_tables(kind), tmp_path)
    kind.things["b"].members = {"x"}
    kind.things["c"].value = 9
    plan = plan_tables(kind)
    refused = find_stale_entries(saved.by_address, plan)
    allowed = allowed_verbs(saved.by_address, refused)
    plan = replace(plan, prune=saved.prune, limits=PlanLimits(allowed, refused))
    outcomes = Executor(plan, FakeContext(), Recorder()).run()
    assert {outcome.address: outcome.status for outcome in outcomes} == {
        A: Status.CHANGED,
        B: Status.BLOCKED,
        C: Status.BLOCKED,
        D: Status.WAITING,
    }
    assert kind.things["c"].value == 9
