"""The report of a plan as text, of fake kinds."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from fakes import FakeAction, FakeContext, FakeKind, FakeSpec, GivenKind, Thing, address, make_plan, make_state

from reconciler.engine.commands import Command
from reconciler.engine.model import Condition, DifferenceKind, Members, Observed
from reconciler.engine.plan import Plan
from reconciler.errors import ObserveError
from reconciler.report.entry_text import list_changes
from reconciler.report.formatting import Line
from reconciler.report.text import format_header, format_stats, report_plan, report_unchecked_needs
from reconciler.systems.stats import Stats


def box(*names: str) -> FakeKind:
    """A kind of which some resources exist."""
    kind = FakeKind()
    kind.things = {name: Thing() for name in names}
    return kind


def report(plan: Plan) -> str:
    return "\n".join(line.text for line in report_plan(plan, 1.0))


def test_nothing_to_remove_is_not_claimed_if_something_could_not_be_checked() -> None:
    kind = box("a", "b")
    kind.unobservable["b"] = ObserveError("the server is down")
    text = report(make_plan(make_state({"box.a": FakeSpec(), "box.b": FakeSpec()}, kind), FakeContext()))
    assert "1 resource could not be checked." in text
    assert "Nothing to remove" not in text
    assert "is in sync" not in text


def test_nothing_to_remove_is_said_if_everything_was_checked() -> None:
    text = report(make_plan(make_state({"box.a": FakeSpec()}, FakeKind())))
    assert text.splitlines()[-1].startswith("1 of 1 resource differs: 1 to change. Nothing to remove.")


def test_a_state_in_sync_is_one_line() -> None:
    text = report(make_plan(make_state({"box.a": FakeSpec()}, box("a"))))
    assert text == "fake is in sync: 1 resource, checked in 1.0 s."


class RiskyAction(FakeAction):
    """An action that can't be undone, and that a key of the state asks for."""

    removes_by_key: ClassVar[bool] = True

    @property
    def risk(self) -> str:
        return "closes it"


def test_risks_are_listed_before_the_summary_alike_ones_once_and_removals_by_a_key_are_counted() -> None:
    kind = GivenKind()
    for name in "abc":
        kind.actions[name] = [RiskyAction(address=address(f"box.{name}"), verb="close", removes=("r",) if name == "c" else ())]
    text = report(make_plan(make_state({f"box.{name}": FakeSpec() for name in "abc"}, kind)))
    assert "\nConsider before applying:\n  ! box.a and 2 others: closes it\n\n3 of 3 resources differ: 3 to change." in text
    assert "1 member to remove, as the state asks." in text
    assert "Nothing to remove" not in text


def test_a_list_that_changes_is_shown_by_what_is_added_removed_and_moved() -> None:
    assert list_changes(["a", "b", "x"], ["b", "a", "c"]) == ["+ c at 3 (of 3)", "- x", "↕ b from 2 to 1", "↕ a from 1 to 2"]


def given(**observed: Observed[FakeSpec]) -> GivenKind:
    """A kind of which this is observed."""
    kind = GivenKind()
    kind.given = observed
    return kind


def lines(kind: FakeKind, *, verbose: bool = False, prune: bool = False, **tables: FakeSpec) -> list[Line]:
    """Report a plan of these tables of a kind."""
    state = make_state({f"{kind.name}.{name}": spec for name, spec in tables.items()}, kind)
    return list(report_plan(make_plan(state, prune=prune), 1.0, verbose=verbose, prune=prune))


def differences(kind: FakeKind, **tables: FakeSpec) -> list[tuple[str, str | None]]:
    """Return the text and colour of the lines about one resource, without its title."""
    made = lines(kind, **tables)
    assert made[0].bold
    return [(line.text, line.colour) for line in made[1:-2]]


def condition(kind: DifferenceKind, text: str, **facts: Any) -> Observed[FakeSpec]:
    return Observed(FakeSpec(), conditions=(Condition(kind, text, **facts),))


def test_the_header_names_the_state_and_those_live_systems_that_it_has() -> None:
    full = make_plan(make_state({"box.a": FakeSpec()}, title="A campaign", ticket="DM-1"))
    bare = make_plan(make_state({"box.a": FakeSpec()}))
    assert list(format_header(full, "/repo", "https://rucio as ada")) == [
        Line("fake · A campaign · DM-1", bold=True),
        Line("Butler  /repo     Rucio  https://rucio as ada"),
    ]
    assert list(format_header(bare, None, "https://rucio")) == [Line("fake", bold=True), Line("Rucio  https://rucio")]
    assert list(format_header(bare, "/repo", None))[1] == Line("Butler  /repo")


def test_verbose_lists_resources_in_sync_with_how_they_were_compared() -> None:
    kind = given(a=Observed(FakeSpec(), (Members.counted("raws", 1200), Members("tags", 2, 2))), b=Observed(FakeSpec()))
    made = lines(kind, verbose=True, a=FakeSpec(), b=FakeSpec())
    assert made == [
        Line("  = box.a   1,200 raws by count, 2 tags by members"),
        Line("  = box.b"),
        Line("fake is in sync: 2 resources, 1 of them by count only, checked in 1.0 s.", "green"),
    ]


def test_verbose_adds_resources_in_sync_and_notes_to_the_differences() -> None:
    noted = FakeSpec(note="ask Ada")
    kind = given(a=Observed(noted), b=condition(DifferenceKind.DEGRADED, "stuck"), d=Observed(FakeSpec()))
    kind.unobservable["c"] = ObserveError("down")
    made = lines(kind, verbose=True, a=noted, b=noted, c=noted, d=FakeSpec())
    assert [line.text for line in made[:6]] == [
        "  = box.a",
        "  note: ask Ada",
        f"{'box.b':<72} fake.toml:20",
        "  ! stuck",
        "  note: ask Ada",
        "  = box.d",
    ]
    assert "note" not in "".join(line.text for line in lines(kind, a=noted, b=noted))


@pytest.mark.parametrize(
    ("kind", "glyph", "colour"),
    [
        (DifferenceKind.WAITING, "…", "cyan"),
        (DifferenceKind.LATER, "…", "cyan"),
        (DifferenceKind.DEGRADED, "!", "magenta"),
        (DifferenceKind.BLOCKED, "!", "magenta"),
        (DifferenceKind.CONFLICT, "!", "red"),
        (DifferenceKind.FAILED, "≠", "red"),
    ],
)
def test_each_condition_has_its_glyph_and_colour(kind: DifferenceKind, glyph: str, colour: str) -> None:
    assert differences(given(a=condition(kind, "why")), a=FakeSpec()) == [(f"  {glyph} why", colour)]


def test_a_condition_lists_its_members_and_names_their_field_unless_its_text_is_enough() -> None:
    members = ({"id": "x"}, {"id": "y"})
    listed = given(a=condition(DifferenceKind.BLOCKED, "2 are taken", members=members, field="raws"))
    assert [text for text, _ in differences(listed, a=FakeSpec())] == ["  ! raws: 2 are taken", "      x", "      y"]
    short = given(a=condition(DifferenceKind.BLOCKED, "2 are taken", members=members, field="raws", listed=False))
    assert [text for text, _ in differences(short, a=FakeSpec())] == ["  ! 2 are taken"]


def test_the_commands_for_elsewhere_follow_the_differences() -> None:
    commands = (Command("rucio", "did", "add"), Command("rucio", "did", "update"))
    kind = given(a=condition(DifferenceKind.BLOCKED, "register at the source", commands=commands))
    assert [text for text, _ in differences(kind, a=FakeSpec())] == [
        "  ! register at the source",
        "      $ rucio did add",
        "      $ rucio did update",
    ]


def test_an_absent_resource_is_what_its_first_action_does_or_just_missing() -> None:
    kind = GivenKind()
    assert differences(kind, a=FakeSpec()) == [("  + missing", "green")]
    kind.actions = {"a": [FakeAction(address=address("box.a"), verb="make", reason="no such box")]}
    assert differences(kind, a=FakeSpec()) == [("  + no such box", "green")]


def test_an_absent_resource_names_the_numbers_of_its_members_once_and_does_not_list_them() -> None:
    raws = Members("raws", 1200, 0, missing=({"id": "x"},), awaited=({"id": "y"},))
    tags = Members("tags", 2, 0, missing=({"id": "x"},))
    files = Members("files", 5, 0, awaited=({"id": "x"},))
    kind = given(a=Observed(None, (raws, tags, files), (Condition(DifferenceKind.WAITING, "for files"),)))
    assert differences(kind, a=FakeSpec()) == [("  + missing: 1,200 raws, 2 tags, 5 files", "green"), ("  … for files", "cyan")]


def test_an_absent_resource_of_which_a_part_exists_names_the_numbers_of_what_is_missing() -> None:
    datasets = Members("datasets", 5, 0, missing=({"id": "x"}, {"id": "y"}), awaited=({"id": "z"},))
    collections = Members("collections", 3, 2, missing=({"id": "x"},))
    tags = Members("tags", 4, 1, missing=({"id": "x"},), awaited=({"id": "y"}, {"id": "z"}))
    kind = given(a=Observed(None, (datasets, collections, tags)))
    assert differences(kind, a=FakeSpec())[0] == ("  + missing: 5 datasets, 1 of 3 collections, 3 of 4 tags", "green")


def test_an_absent_resource_that_is_known_later_gives_that_reason_once() -> None:
    kind = given(a=Observed(None, conditions=(Condition(DifferenceKind.LATER, "known after box.b"),)))
    assert differences(kind, a=FakeSpec()) == [("  + known after box.b", "green")]


def test_missing_members_are_counted_with_their_size_and_listed() -> None:
    missing = ({"n": "x", "bytes": 200_000_000}, {"n": "y", "bytes": 100_000_000}, {"n": "z", "bytes": None})
    kind = given(a=Observed(FakeSpec(), (Members("raws", 1200, 1197, missing),)))
    assert [text for text, _ in differences(kind, a=FakeSpec())] == [
        "  + raws: 3 of 1,200 missing (300.0 MB)",
        "      x",
        "      y",
        "      z",
    ]


@pytest.mark.parametrize("present", [0, 1])
def test_awaited_members_are_listed_as_such(present: int) -> None:
    kind = given(a=Observed(FakeSpec(), (Members("raws", 3, present, awaited=({"id": "x"}, {"id": "y"})),)))
    assert differences(kind, a=FakeSpec()) == [
        ("  … raws: 2 of 3 not delivered yet", "cyan"),
        ("      x", None),
        ("      y", None),
    ]


@pytest.mark.parametrize(("present", "listed"), [(0, False), (1, True)])
def test_awaited_members_are_listed_beyond_what_is_waited_for_only_if_others_are_present(present: int, listed: bool) -> None:
    waiting = (Condition(DifferenceKind.WAITING, "for a:b, 1 of 3 files here"),)
    kind = given(a=Observed(FakeSpec(), (Members("raws", 3, present, awaited=({"id": "x"}, {"id": "y"})),), waiting))
    texts = [text for text, _ in differences(kind, a=FakeSpec())]
    assert texts[-1] == "  … for a:b, 1 of 3 files here"
    assert ("  … raws: 2 of 3 not delivered yet" in texts) is listed


class Shelf(FakeSpec):
    """A table with a list, a table and an optional value."""

    items: tuple[Any, ...] = ()
    size: dict[str, Any] | None = None
    nested: tuple[Any, ...] | None = None


def changes(observed: Shelf, desired: Shelf) -> list[str]:
    return [text for text, _ in differences(given(a=Observed(observed)), a=desired)]


def test_a_changed_value_is_shown_as_it_is_and_as_it_will_be() -> None:
    assert changes(Shelf(value=1), Shelf(value=2)) == ["  ~ value   1 → 2"]
    assert changes(Shelf(), Shelf(size={"width": 3, "depth": None})) == ["  ~ size   nothing → 3"]
    assert changes(Shelf(nested=()), Shelf()) == ["  ~ nested   nothing → nothing"]
    assert changes(Shelf(nested=("a", "b")), Shelf()) == ["  ~ nested   a, b → nothing"]


def test_a_changed_list_is_shown_by_its_changes_under_one_name() -> None:
    assert changes(Shelf(items=("a", "b")), Shelf(items=("b", "a", {"id": "c"}))) == [
        "  ~ items   + c at 3 (of 3)",
        "            ↕ b from 2 to 1",
        "            ↕ a from 1 to 2",
    ]


def test_a_changed_key_is_shown_by_the_actions_on_its_parts() -> None:
    class ChangeItem(FakeAction):
        """Change an item."""

        changes_field: ClassVar[str] = "items"
        item: str = ""

        @property
        def subject(self) -> str:
            return self.item

    class ChangeValue(FakeAction):
        """Change another key."""

        changes_field: ClassVar[str] = "value"

        @property
        def subject(self) -> str:
            return "value 1"

    kind = given(a=Observed(Shelf(items=("a",))))
    where = address("box.a")
    kind.actions = {
        "a": [
            ChangeItem(address=where, verb="add", reason="new", item="item b"),
            ChangeItem(address=where, verb="move", reason="wrong place", item="item a"),
            ChangeItem(address=where, verb="tidy", reason="has no subject"),
            ChangeValue(address=where, verb="set", reason="of another key"),
        ]
    }
    assert differences(kind, a=Shelf(items=("b", "a"))) == [
        ("  ~ items   add item b: new", "yellow"),
        ("    items   move item a: wrong place", "yellow"),
    ]


def test_unwanted_members_are_a_section_of_their_own_that_depends_on_prune() -> None:
    kind = given(
        a=Observed(FakeSpec(), (Members("tags", 0, 0, unwanted=({"id": "x"}, {"id": "y"})),)),
        b=Observed(FakeSpec(protect=True), (Members("tags", 0, 0, unwanted=({"id": "z"}, {"id": "q"})),)),
    )
    tables = {"a": FakeSpec(), "b": FakeSpec(protect=True)}
    kept = lines(kind, **tables)
    assert kept[:7] == [
        Line("Unwanted, and kept without --prune:", "red", bold=True),
        Line(f"{'box.a':<72} fake.toml:10", bold=True),
        Line("  - 2 tags", "red"),
        Line("      x"),
        Line("      y"),
        Line(f"{'box.b':<72} fake.toml:20", bold=True),
        Line("  - 2 tags   (protected: kept)", "red"),
    ]
    assert kept[-1].text == "2 of 2 resources differ. 2 resources contain unwanted members (see --prune).       1.0 s"
    assert lines(kind, prune=True, **tables)[0] == Line("To be removed:", "red", bold=True)
    assert lines(kind, a=FakeSpec())[-1].text.startswith("1 of 1 resource differs. 1 resource contains unwanted members")


def test_one_resource_that_could_not_be_checked_is_named_with_its_hints() -> None:
    kind = given(a=Observed(FakeSpec()))
    kind.unobservable["b"] = ObserveError("no answer", ("Is it up?", "Run again."))
    assert lines(kind, a=FakeSpec(), b=FakeSpec()) == [
        Line("? error: box.b: no answer", "red", bold=True),
        Line("  Is it up?", "red"),
        Line("  Run again.", "red"),
        Line("  The rest was checked: 1 resource, 0 differ. 1 resource unknown."),
        Line(""),
        Line("0 of 2 resources differ. 1 resource could not be checked.       1.0 s", bold=True),
    ]


def test_resources_that_could_not_be_checked_for_one_reason_are_one_error() -> None:
    kind = given(a=condition(DifferenceKind.DEGRADED, "stuck"))
    kind.unobservable = {"b": ObserveError("no answer"), "c": ObserveError("no answer"), "d": ObserveError("refused")}
    made = lines(kind, a=FakeSpec(), b=FakeSpec(), c=FakeSpec(), d=FakeSpec())
    assert [line.text for line in made[2:]] == [
        "",
        "? error: box.*: no answer",
        "",
        "? error: box.d: refused",
        "  The rest was checked: 1 resource, 1 differs. 3 resources unknown.",
        "",
        "1 of 4 resources differs: 1 degraded. 3 resources could not be checked.       1.0 s",
    ]


def test_the_summary_counts_each_resource_once_by_what_matters_most() -> None:
    kind = given(
        a=Observed(FakeSpec(), (Members("raws", 2, 1, missing=({"id": "x"},)),)),
        b=condition(DifferenceKind.WAITING, "for files"),
        c=Observed(
            FakeSpec(), conditions=(Condition(DifferenceKind.DEGRADED, "stuck"), Condition(DifferenceKind.CONFLICT, "taken"))
        ),
        d=condition(DifferenceKind.BLOCKED, "no source"),
        e=condition(DifferenceKind.DEGRADED, "stuck"),
        f=condition(DifferenceKind.FAILED, "too few"),
        g=condition(DifferenceKind.LATER, "known later"),
    )
    kind.actions = {"a": [FakeAction(address=address("box.a"), verb="add")]}
    assert lines(kind, **{name: FakeSpec() for name in "abcdefg"})[-1] == Line(
        "6 of 7 resources differ: 1 to change, 1 waiting, 1 in conflict, 1 blocked, 1 degraded, 1 failing."
        " Nothing to remove.       1.0 s",
        bold=True,
    )


def test_what_the_chosen_resources_need_and_was_not_chosen_is_named() -> None:
    tables = {
        "box.a": FakeSpec(provides=("thing:a",)),
        "box.b": FakeSpec(provides=("thing:b",)),
        "box.c": FakeSpec(needs=("thing:a", "thing:b")),
    }
    state = make_state(tables, box("a", "b", "c"))
    assert list(report_unchecked_needs(make_plan(state, only=["box.c"]))) == [
        Line("Not checked, but needed: box.a, box.b; --with-needs includes them.")
    ]
    assert list(report_unchecked_needs(make_plan(state))) == []
    assert list(report_unchecked_needs(make_plan(state, only=["box.a"]))) == []


def test_statistics_are_counts_and_the_phases_the_longest_first() -> None:
    assert list(format_stats(Stats({"read": 0.25, "observe": 12.5}, statements=1, calls=1200))) == [
        Line("1 SQL statement, 1,200 Rucio calls"),
        Line("  observe                   12.500 s"),
        Line("  read                       0.250 s"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([], [], []),
        (["a"], ["a"], []),
        ([], ["a", "b"], ["+ a at 1 (of 2)", "+ b at 2 (of 2)"]),
        (["a", "b"], [], ["- a", "- b"]),
        (["a", "b"], ["b"], ["- a"]),
        (["a", "b", "c"], ["c", "b", "a"], ["↕ c from 3 to 1", "↕ a from 1 to 3"]),
        (["x", "a", "b"], ["b", "a"], ["- x", "↕ b from 3 to 1"]),
    ],
)
def test_a_list_changes_by_additions_removals_and_moves(before: list[str], after: list[str], expected: list[str]) -> None:
    assert list_changes(before, after) == expected


def alike(*names: str) -> FakeKind:
    kind = FakeKind()
    for name in names:
        kind.things[name] = Thing(value=1)
    return kind


def test_many_resources_that_differ_alike_are_one_entry_with_their_number() -> None:
    tables = {f"box.{name}": FakeSpec() for name in "abcd"}
    state = make_state(tables, FakeKind(), lines={address(f"box.{name}"): 7 for name in "abcd"})
    lines = [line.text for line in report_plan(make_plan(state), 1.0)]
    assert lines[0].split() == ["box", "×", "4", "fake.toml:7"]
    assert lines[1] == "  + make it"
    assert lines[2:] == ["", "4 of 4 resources differ: 4 to change. Nothing to remove.       1.0 s"]


def test_the_names_of_alike_ones_are_given_if_others_of_the_kind_differ_otherwise() -> None:
    tables = {f"box.{name}": FakeSpec(value=2) for name in "abcdef"}
    lines = [line.text for line in report_plan(make_plan(make_state(tables, alike("f"))), 1.0)]
    assert lines[0].split() == ["box", "×", "5", "fake.toml:10-50"]
    assert lines[2] == "      a, b, c, and 2 more (see -v)"
    assert lines[3].split() == ["box.f", "fake.toml:60"]


def test_few_alike_resources_are_entries_of_their_own_and_so_is_each_with_verbose() -> None:
    tables = {f"box.{name}": FakeSpec() for name in "abcd"}
    plan = make_plan(make_state(tables))
    assert sum(line.text.startswith("box.") for line in report_plan(plan, 1.0, verbose=True)) == 4
    few = make_plan(make_state({name: tables[name] for name in list(tables)[:3]}))
    assert sum(line.text.startswith("box.") for line in report_plan(few, 1.0)) == 3


def test_a_note_of_resources_of_one_table_is_shown_once() -> None:
    tables = {f"box.{name}": FakeSpec(note="each night") for name in "abcd"}
    state = make_state(tables, FakeKind(), lines={address(f"box.{name}"): 7 for name in "abcd"})
    assert [line.text for line in report_plan(make_plan(state), 1.0, verbose=True)].count("  note: each night") == 1


def test_a_table_of_which_nothing_exists_is_one_entry_whatever_its_resources_contain() -> None:
    kind = GivenKind()
    kind.given = {
        name: Observed(
            None,
            (Members("raws", 3, 0, ({"id": "x"}, {"id": "y"}), awaited=({"id": "z"},)), Members("tags", 1, 0, ({"id": name},))),
            conditions=(Condition(DifferenceKind.WAITING, f"for {name}"),) if name in "ab" else (),
        )
        for name in "abcd"
    }
    lines = [line.text for line in report_plan(make_plan(make_state({f"box.{name}": FakeSpec() for name in "abcd"}, kind)), 1.0)]
    assert lines[0].split() == ["box", "×", "4", "fake.toml:10-40"]
    assert lines[1:3] == ["  + missing: 12 raws, 4 tags", "  … 4 waiting for deliveries"]
    assert lines[3] == ""


def test_a_table_of_which_parts_exist_is_one_entry_with_the_numbers_of_what_is_missing() -> None:
    kind = GivenKind()
    for name in "abcd":
        present = {"a": 2, "b": 3}.get(name, 0)
        collections = Members("collections", 3, present, missing=({"id": name},) if present < 3 else ())
        kind.given[name] = Observed(None, (Members("datasets", 2, 0, ({"id": name},)), collections))
    lines = [line.text for line in report_plan(make_plan(make_state({f"box.{name}": FakeSpec() for name in "abcd"}, kind)), 1.0)]
    assert lines[1] == "  + missing: 8 datasets, 7 of 12 collections"
