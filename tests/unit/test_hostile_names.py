"""Every report of a world with hostile names is printable text, and its script calls exactly the words of its commands."""

from __future__ import annotations

import json
import os
import subprocess
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fakes import FakeAction, FakeContext, FakeKind, FakeSpec, Thing, make_plan, make_state
from hypothesis import given, settings
from hypothesis import strategies as st
from watch_data import check, difference, night

from reconciler.cli import console
from reconciler.cli.drift import _Output
from reconciler.cli.progress import ConsoleProgress
from reconciler.engine.commands import REPO, Command, Comment, Variable
from reconciler.engine.executor import Executor
from reconciler.engine.journal import Journal, read_journal
from reconciler.engine.kind import MemberText
from reconciler.engine.model import Address, Condition, DifferenceKind, JsonObject
from reconciler.engine.plan import Plan, plan_once_delivered
from reconciler.engine.plan_file import load_plan, save_plan
from reconciler.engine.recording import RecordingListener
from reconciler.errors import ApplyError, ObserveError, StateError
from reconciler.kinds.chain import KIND as CHAIN
from reconciler.kinds.chain import RedefineChain
from reconciler.kinds.collection import KIND as COLLECTION
from reconciler.kinds.collection import DocumentCollection, RegisterCollection
from reconciler.kinds.curated_calibrations import KIND as CURATED
from reconciler.kinds.curated_calibrations import WriteCuratedCalibrations
from reconciler.kinds.dataset_type import KIND as DATASET_TYPE
from reconciler.kinds.dataset_type import RegisterDatasetType
from reconciler.kinds.raw import KIND as RAW
from reconciler.kinds.raw.ingest import IngestRaws
from reconciler.kinds.tagged import KIND as TAGGED
from reconciler.kinds.tagged.kind import AssociateMembers
from reconciler.kinds.tagged.spec import TaggedSpec
from reconciler.report import apply_summary, text
from reconciler.report.explanation import UnprovidedNeed
from reconciler.report.formatting import Line
from reconciler.report.journal import collect_actions, collect_runs, format_actions, format_runs
from reconciler.report.json import report_diff
from reconciler.report.json_text import format_json
from reconciler.report.shell import format_command, script
from reconciler.watch.acknowledgements import Acknowledgements
from reconciler.watch.check_result import CheckResult
from reconciler.watch.evaluation import Memory, evaluate

CONTROLS = [
    "\n",
    "\r",
    "\t",
    "\x1b[31m",
    "\x1b]0;title\x07",
    "\x9b2J",
    "\u202e",
    "\u2066",
    "\u2028",
    "\x85",
    "\x7f",
    "\u200b",
    "\U000e0041",
]
MARKUP = ["[/]", "[red]", "[1]", "*", "a", "b", "é", "望", " ", "-"]
SHELL = ["$(touch pwned)", "`touch pwned`", "'", '"', "\\", ";", "&&", "|", "#", "$REPO", "!", "\ntouch pwned\n#"]
PIECES = CONTROLS + MARKUP + SHELL
NAMES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
)
STUB = '#!/bin/sh\nprintf "%s\\0" "$#" "${0##*/}" "$@" >>"$CALLS"\n'
NO_ACKS = Acknowledgements(Path("a"))
PROGRAMS = ("butler", "rucio", "python", "rucio-register", "touch", "id")


class HostileKind(FakeKind):
    """A fake kind whose commands and member texts contain the names."""

    def commands(self, action: FakeAction) -> Iterable[Command | Comment]:
        yield Comment(f"about {action.address}")
        yield Command("butler", "make", REPO, action.address.name, *action.members, f"--doc={action.reason}")

    def describe(self, member: JsonObject) -> MemberText:
        return MemberText(str(member["id"]), group=f"night {member['id']}", noun="detector")


def make_world(names: list[str]) -> Plan:
    """Plan a world with resources that are missing, that differ, that can't be checked, and that are in conflict."""
    kind = HostileKind()
    first, *others = dict.fromkeys(names)
    specs = {f"box.{first}": FakeSpec(value=1, members=(first,), note=first)}
    for number, name in enumerate(others):
        specs[f"box.{name}"] = FakeSpec(value=1, members=tuple(others), awaited=(f"awaited {name}",))
        if number % 3 == 0:
            kind.things[name] = Thing(members={f"unwanted {name}"})
        elif number % 3 == 1:
            kind.unobservable[name] = ObserveError(f"{name} is broken", (f"is {name} up?",))
        else:
            command = Command("butler", "repair", REPO, name)
            conflict = Condition(DifferenceKind.CONFLICT, f"taken by {name}", ({"id": name},), commands=(command,))
            kind.conditions[name] = (conflict,)
    state = make_state(specs, kind, path=Path(f"/states/{names[0].replace('/', '')}.toml"), title=names[-1], ticket=names[0])
    return make_plan(state, FakeContext(), prune=True)


def printed(lines: Iterable[Line]) -> str:
    """Return what the program prints of some lines on its standard output."""

    def run() -> None:
        console.show(lines)

    return capture(run)


def capture(run: Any) -> str:
    with CliRunner().isolation() as streams:
        run()
        return b"".join(stream.getvalue() for stream in streams[:2]).decode()


def assert_printable(output: str) -> None:
    wrong = [sign for sign in output if sign != "\n" and unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp")]
    assert not wrong, repr(output)


@given(st.lists(NAMES, min_size=1, max_size=5))
def test_reports_on_the_terminal_have_no_control_character_but_newline(names: list[str]) -> None:
    plan = make_world(names)
    lines = [*text.format_header(plan, names[0], names[-1]), *text.report_plan(plan, 1.0, verbose=True, prune=True)]
    lines += [*text.report_unchecked_needs(plan), apply_summary.summarize_plan(plan)]
    output = printed(lines)
    assert_printable(output)
    assert output.count("\n") == len(lines), "a newline in a name makes no line"


@given(st.lists(NAMES, min_size=1, max_size=5))
def test_a_json_report_keeps_the_names_and_has_no_control_character_but_newline(names: list[str]) -> None:
    plan = make_world(names)
    document = format_json(report_diff(plan, names[0], None, 1.0).model_dump(mode="json"))
    assert_printable(document)
    found = {resource["address"] for resource in json.loads(document)["resources"]}
    assert found == {str(Address("box", name)) for name in names}


def print_check(output_format: str, found: CheckResult) -> str:
    """Return what ``drift`` prints of one check."""

    def run() -> None:
        output = _Output(output_format, quiet=False, verbose=True)
        output.add(evaluate(found, Memory(), NO_ACKS, night(0)))
        output.finish(None)

    return capture(run)


@pytest.mark.parametrize("output_format", ["json", "jsonl"])
@given(NAMES)
def test_the_json_of_a_check_keeps_the_names_and_has_no_control_character_but_newline(output_format: str, name: str) -> None:
    output = print_check(output_format, check(difference(text=f"doc: {name}", members=({"path": name},))))
    assert_printable(output)
    (report,) = json.loads(output)["states"]
    assert report["differences"][0]["text"] == f"doc: {name}"
    assert output.count("\n") == 1 or output_format == "json"


@pytest.mark.parametrize("output_format", ["json", "jsonl"])
def test_the_json_of_a_check_has_no_credential(output_format: str) -> None:
    link = "see https://bob:hunter2secret@wiki.example.org/x"
    output = print_check(
        output_format, check(difference(text=link, members=({"doc": link, link: 1},), commands=(link,), hints=(link,)))
    )
    assert "hunter2secret" not in output
    assert json.loads(output)["states"][0]["differences"][0]["text"] == "see https://***@wiki.example.org/x"


def test_a_line_of_json_stays_json_where_two_strings_together_resemble_a_credential() -> None:
    output = print_check("jsonl", check(repository="postgresql://db.example.org:5432/main", error="ask bob@example.org"))
    (report,) = json.loads(output)["states"]
    assert (report["repository"], report["error"]) == ("postgresql://db.example.org:5432/main", "ask bob@example.org")


def test_a_document_stays_json_where_a_key_resembles_the_name_of_a_credential() -> None:
    need = UnprovidedNeed(token="collection:u/run", text="the collection u/run", exists=True)
    assert json.loads(capture(lambda: console.print_json(need)))["token"] == "collection:u/run"


@given(st.lists(NAMES, min_size=1, max_size=5))
def test_plan_file_journal_progress_and_summary_of_an_apply_are_printable(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    plan = make_world(names)
    kind = plan.state.kinds["box"]
    assert isinstance(kind, FakeKind)
    kind.script.append(lambda action: (_ for _ in ()).throw(ApplyError(f"{names[0]} is full", (f"free {names[0]}",))))
    journal = Journal(folder / "journal.jsonl")

    def run() -> None:
        journal.begin(state=names[0], butler=names[-1], rucio=None, actions=1)
        with ConsoleProgress() as progress:
            listener = RecordingListener(journal, progress)
            outcomes = Executor(plan, FakeContext(), listener).run()
        journal.end(outcomes, interrupted=False)
        console.show(apply_summary.summarize_run(outcomes, 1.0, journal.run))

    assert_printable(capture(run))
    assert_printable(journal.path.read_text())
    events = list(read_journal(journal.path))
    assert events[0]["state"] == names[0]
    assert_printable(printed([*format_runs(collect_runs(events)), *format_actions(collect_actions(events, journal.run))]))
    save_plan(plan, folder / "plan.json", names[0], None, prune=True)
    assert_printable((folder / "plan.json").read_text())
    load_plan(folder / "plan.json")


@given(NAMES)
def test_the_bar_of_bulk_work_is_printed_whatever_the_name(name: str) -> None:
    import io

    from rich.console import Console
    from rich.progress import Progress

    progress = ConsoleProgress()
    progress.terminal = True
    output = io.StringIO()
    progress.__enter__()
    progress.bars.stop()
    progress.bars = Progress(*progress.bars.columns, console=Console(file=output, width=500), auto_refresh=False)
    progress.action = FakeAction(address=Address("box", name), verb="make")
    progress.report_bulk(name, 1, 2)
    with progress.bars:
        progress.bars.refresh()
    assert_printable(output.getvalue())
    if name.isprintable() and name.isascii() and "  " not in name:
        assert f'box."{name}"' in output.getvalue() or f"box.{name}" in output.getvalue()


@given(st.lists(NAMES, min_size=1, max_size=3))
def test_errors_with_hostile_names_are_a_line_for_each_problem(names: list[str]) -> None:
    error = StateError([f"no {name}" for name in names], names)
    output = capture(lambda: console.print_error(error))
    assert_printable(output)
    assert len(output.splitlines()) == 2 * len(names) + (len(names) > 1)


def run_with_stubs(folder: Path, lines: Iterable[str]) -> list[list[str]]:
    """Check and execute a script with programs that record how they are called, and return their words."""
    programs = folder / "bin"
    programs.mkdir()
    for name in PROGRAMS:
        (programs / name).write_text(STUB)
        (programs / name).chmod(0o755)
    path = folder / "script.sh"
    path.write_text("\n".join(lines) + "\n")
    environment = {"PATH": f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin", "CALLS": str(folder / "calls"), "LC_ALL": "C"}
    subprocess.run(["bash", "-n", str(path)], check=True, cwd=folder)
    done = subprocess.run(["bash", str(path)], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    recorded = (folder / "calls").read_bytes().decode().split("\0")[:-1] if (folder / "calls").exists() else []
    calls = []
    while recorded:
        count = int(recorded[0]) + 2
        calls.append(recorded[1:count])
        recorded = recorded[count:]
    return calls


def words_of(commands: Iterable[Command | Comment], repository: str) -> Iterator[list[str]]:
    for command in commands:
        if isinstance(command, Command):
            yield [repository if isinstance(word, Variable) else word for word in command.words]


@settings(max_examples=30)
@given(st.lists(NAMES, min_size=1, max_size=4))
def test_a_script_calls_exactly_the_words_of_its_commands(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    plan = make_world(names)
    lines = list(script(plan, names[0], {"RUCIO_ACCOUNT": names[-1]}))
    assert_printable("\n".join(lines))
    assert all("\n" not in line for line in lines)
    expected = [
        words
        for entry in plan.entries
        for action in plan_once_delivered(plan.state, entry)
        for words in words_of(plan.state.kind_of(action.address).commands(action), names[0])
    ]
    assert run_with_stubs(tmp_path_factory.mktemp("script"), lines) == expected


@settings(max_examples=30)
@given(NAMES, NAMES)
def test_commands_of_the_kinds_reach_the_programs_word_for_word(
    tmp_path_factory: pytest.TempPathFactory, name: str, other: str
) -> None:
    address = Address("x", name)
    commands = [
        *COLLECTION.commands(RegisterCollection(address=address, type="RUN", doc=other)),
        *COLLECTION.commands(DocumentCollection(address=address, doc=other)),
        *CHAIN.commands(RedefineChain(address=address, children=(other, name), flatten=False, doc=other)),
        *TAGGED.commands(
            AssociateMembers(address=address, spec=TaggedSpec(dataset_type=other, **{"from": [name]}, where=other), ids=())
        ),
        *RAW.commands(IngestRaws(address=address, files=(name, other), locations=(), transfer="direct", run=name)),
        *DATASET_TYPE.commands(
            RegisterDatasetType(address=address, storage_class=other, dimensions=(name,), is_calibration=False)
        ),
        *CURATED.commands(WriteCuratedCalibrations(address=address, instrument=name, label=other, collection=name)),
    ]
    lines = ["export REPO=/repo", *map(format_command, commands)]
    assert_printable("\n".join(lines))
    assert run_with_stubs(tmp_path_factory.mktemp("script"), lines) == list(words_of(commands, "/repo"))


def test_no_kind_writes_the_variable_as_a_plain_word() -> None:
    """A plain word is quoted, so that a collection called ``$REPO`` is one."""
    kinds = Path(__file__).parents[2] / "reconciler" / "kinds"
    assert not [path for path in kinds.rglob("*.py") if '"$REPO"' in path.read_text()]
    assert format_command(Command("butler", REPO, "$REPO")) == "butler \"$REPO\" '$REPO'"


def test_a_word_that_cannot_be_typed_and_one_with_a_credential_are_comments() -> None:
    assert format_command(Command("butler", "a\0b")).startswith("# ")
    shown = format_command(Command("butler", "https://me:hunter2@host/x"))
    assert shown.startswith("# ")
    assert "hunter2" not in shown
