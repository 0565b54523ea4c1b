"""A plan as a shell script, of a fake kind."""

from __future__ import annotations

from fakes import FakeAction, FakeSpec, GivenKind, address, make_plan, make_state

from reconciler.engine.commands import REPO, Command, Comment
from reconciler.engine.model import Condition, DifferenceKind, Members, Observed
from reconciler.errors import ObserveError, PlanError
from reconciler.report.shell import format_command, script

HEADER = ["#!/usr/bin/env bash", "# fake: what reconcile apply /states/fake.toml would do, as commands", "set -eu"]


def lines(kind: GivenKind, *names: str, repository: str | None = None) -> list[str]:
    """Return the script of some resources, without its header."""
    tables = {f"box.{name}": FakeSpec() for name in names}
    made = list(script(make_plan(make_state(tables, kind)), repository))
    assert made[:3] == HEADER
    return made[3:]


def action(name: str, verb: str, reason: str = "") -> FakeAction:
    return FakeAction(address=address(f"box.{name}"), verb=verb, reason=reason)


def in_sync(kind: GivenKind, *names: str) -> None:
    kind.given |= {name: Observed(FakeSpec()) for name in names}


def test_a_state_in_sync_has_nothing_to_do() -> None:
    kind = GivenKind()
    in_sync(kind, "a")
    assert lines(kind, "a") == ["# nothing to do"]


def test_the_repository_is_exported_and_quoted() -> None:
    kind = GivenKind()
    in_sync(kind, "a")
    assert lines(kind, "a", repository="/my repo/$HOME")[0] == "export REPO='/my repo/$HOME'"


def test_the_commands_of_all_actions_follow_the_address_and_the_first_reason() -> None:
    kind = GivenKind()
    in_sync(kind, "b")
    kind.actions = {"a": [action("a", "make", "not there"), action("a", "fill", "empty")]}
    kind.typed = {"make": [Command("butler", "create", REPO)], "fill": [Comment("by hand"), Command("echo", "a b")]}
    assert lines(kind, "a", "b") == [
        "",
        "# box.a (fake.toml:10): not there",
        'butler create "$REPO"',
        "# by hand",
        "echo 'a b'",
    ]


def test_an_action_without_a_command_is_a_comment() -> None:
    kind = GivenKind()
    kind.actions = {"a": [action("a", "make", "not there")]}
    assert lines(kind, "a")[-1] == "# make box.a: no butler or rucio command does this; reconcile apply does"


def test_a_resource_that_differs_without_actions_or_hindrances_is_left_out() -> None:
    kind = GivenKind()
    kind.given = {"a": Observed(FakeSpec(), conditions=(Condition(DifferenceKind.DEGRADED, "stuck"),))}
    assert lines(kind, "a") == []


def test_what_waits_or_is_blocked_is_a_comment_with_the_commands_for_the_source() -> None:
    kind = GivenKind()
    command = Command("rucio", "did", "update", "--close", "a:b c")
    conditions = (
        Condition(DifferenceKind.WAITING, "for 3 files"),
        Condition(DifferenceKind.BLOCKED, "register at the source", commands=(command,)),
        Condition(DifferenceKind.DEGRADED, "stuck"),
        Condition(DifferenceKind.WAITING, "for these members", members=({"id": "m"},)),
    )
    kind.given = {"a": Observed(FakeSpec(), conditions=conditions)}
    assert lines(kind, "a") == [
        "",
        "# box.a (fake.toml:10)",
        "# waiting: for 3 files",
        "# blocked: register at the source",
        "#   at the source: rucio did update --close 'a:b c'",
    ]


def test_what_could_not_be_checked_is_one_comment_even_if_its_error_has_several_lines() -> None:
    kind = GivenKind()
    kind.unobservable["a"] = ObserveError("the server\nis down")
    assert lines(kind, "a") == ["", "# box.a (fake.toml:10)", r"# could not be checked: the server\nis down"]


class Awaiting(GivenKind):
    """A kind whose resource waits for two members."""

    def __init__(self, *conditions: Condition) -> None:
        super().__init__()
        self.typed = {"ingest": [Command("butler", "ingest-raws", REPO, "/raws")]}
        self.given = {"a": Observed(FakeSpec(), (Members("raws", 2, 0, awaited=({"id": "x"}, {"id": "y"})),), conditions)}

    def plan(self, change):  # type: ignore[no-untyped-def]
        if any(part.missing for part in change.observed.members):
            yield action("a", "ingest", "2 not ingested")


def test_members_that_are_awaited_get_the_commands_for_when_they_are_delivered() -> None:
    kind = Awaiting()
    assert lines(kind, "a") == ["", "# box.a (fake.toml:10)", 'butler ingest-raws "$REPO" /raws']


def test_what_is_blocked_gets_no_commands_for_the_members_that_it_also_waits_for() -> None:
    kind = Awaiting(Condition(DifferenceKind.BLOCKED, "two files of one raw"))
    assert lines(kind, "a") == ["", "# box.a (fake.toml:10)", "# blocked: two files of one raw"]


def test_words_are_quoted_but_the_repository_stays_a_variable() -> None:
    words = "butler x \"$REPO\" '$REPO' '$REPO/y' \"it's\" ''"
    assert format_command(Command("butler", "x", REPO, "$REPO", "$REPO/y", "it's", "")) == words
    assert format_command(Comment("by hand")) == "# by hand"


def test_the_script_of_a_refused_plan_ends_before_its_first_command() -> None:
    kind = GivenKind()
    kind.actions = {"a": [action("a", "make")]}
    kind.typed = {"make": [Command("butler", "make")]}
    plan = make_plan(make_state({"box.a": FakeSpec()}, kind))
    made = list(script(plan, None, refusal=PlanError("it is a server", ("name another one",))))
    assert made[2:6] == ["set -eu", "# refused: it is a server", "# name another one", "exit 1"]
    assert made[-1] == "butler make"
