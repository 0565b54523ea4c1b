"""Options that mean the same in all commands: -q, --summary, --color, and JSON for programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import jsonschema
import pytest
from conftest import ROOT, Bench

STATE = '[collection.a]\ntype = "RUN"\n[chain.b]\nchildren = ["a"]\n'
WRONG = f'{STATE}childeren = ["a"]\n'


def check(name: str, line: str) -> dict[str, object]:
    """Return the JSON of a line, checked against a shipped schema."""
    document: dict[str, object] = json.loads(line)
    jsonschema.validate(document, json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text()))
    return document


def run_apart(bench: Bench, *words: object) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own, which keeps standard output and standard error apart; it must fail."""
    command = [sys.executable, "-m", "reconciler", *map(str, words)]
    result = subprocess.run(command, env=os.environ | bench.environment, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    return result


def test_quiet_is_one_line_for_each_state(sqlite_bench: Bench) -> None:
    state = sqlite_bench.state(STATE)
    assert (
        sqlite_bench.run("diff", "-q", state, state, expect=2).output == "DRIFT test: 2 of 3 differ, 2 to change, 0 unknown\n" * 2
    )
    assert sqlite_bench.run("apply", "-q", "--yes", state).output == (
        "CHANGED test: ok 1, changed 2, waiting 0, degraded 0, blocked 0, failed 0\n"
    )
    assert sqlite_bench.run("diff", "-q", state).output == "OK test: 0 of 3 differ, 0 to change, 0 unknown\n"


def test_a_quiet_apply_that_asks_shows_the_plan(sqlite_bench: Bench) -> None:
    output = sqlite_bench.run("apply", "-q", sqlite_bench.state(STATE), typed="\n", expect=2).output
    assert "Plan: 2 actions" in output
    assert "Enter changes nothing" in output
    assert output.endswith("DECLINED test: 2 to change, nothing was changed\n")


@pytest.mark.skipif(
    version("click").startswith("8.1"), reason="this version's test runner takes an ended input for an empty line"
)
def test_a_question_that_nobody_can_answer_changes_nothing_and_names_the_option_that_asks_none(sqlite_bench: Bench) -> None:
    result = sqlite_bench.run("apply", sqlite_bench.state(STATE), typed="", expect=2)
    assert "Standard input has ended, so nobody can answer; --yes applies without a question.\n" in result.stderr
    assert "\nNothing was changed.\n" in result.stdout
    assert "Aborted" not in result.stdout + result.stderr
    assert not sqlite_bench.butler.collections.query("*")


def test_a_summary_is_appended_by_diff_and_by_apply(sqlite_bench: Bench) -> None:
    state, summary = sqlite_bench.state(STATE), sqlite_bench.folder / "summary.md"
    summary.write_text("before\n")
    sqlite_bench.run("diff", state, "--summary", summary, expect=2)
    sqlite_bench.run("apply", "--yes", state, "--summary", summary)
    text = summary.read_text()
    assert text.startswith("before\n### reconcile diff: 1 of 1 state not in sync\n")
    assert "\n### reconcile apply: acted on 2 resources\n" in text


@pytest.mark.parametrize(("place", "problem"), [("nowhere/s.md", "doesn't exist"), (".", "is a folder; name a file")])
def test_a_summary_that_cannot_be_written_is_refused_before_anything_is_done(
    sqlite_bench: Bench, place: str, problem: str
) -> None:
    state = sqlite_bench.state(STATE)
    result = sqlite_bench.run("apply", "--yes", state, "--summary", sqlite_bench.folder / place, expect=64)
    assert problem in result.output
    assert "DRIFT" in sqlite_bench.run("diff", "-q", state, expect=2).output


def test_the_json_of_an_apply_is_one_object(sqlite_bench: Bench) -> None:
    state = sqlite_bench.state(STATE)
    document = check("apply", sqlite_bench.run("apply", "--yes", "--format", "json", state).output)
    assert document["exit_code"] == 0
    ((made),) = document["states"]
    assert made["counts"] == {"ok": 1, "changed": 2, "waiting": 0, "degraded": 0, "blocked": 0, "failed": 0}
    runs = sqlite_bench.run("log").output
    assert made["run"] in runs


def test_the_events_of_an_apply_are_json_lines(sqlite_bench: Bench) -> None:
    state = sqlite_bench.state(STATE)
    lines = sqlite_bench.run("apply", "--yes", "--format", "jsonl", state).output.splitlines()
    events = [check("events", line) for line in lines]
    assert [event["event"] for event in events] == [
        "plan", "settled", "started", "ended", "settled", "started", "ended", "settled", "summary",
    ]  # fmt: skip


def test_the_events_of_a_diff_are_its_states_and_a_summary(sqlite_bench: Bench) -> None:
    state = sqlite_bench.state(STATE)
    lines = sqlite_bench.run("diff", "--format", "jsonl", state, state, expect=2).output.splitlines()
    assert [check("events", line)["event"] for line in lines] == ["diff", "diff", "diff summary"]


def test_the_markdown_of_an_apply_is_what_summary_appends(sqlite_bench: Bench) -> None:
    state, summary = sqlite_bench.state(STATE), sqlite_bench.folder / "summary.md"
    output = sqlite_bench.run("apply", "--yes", "--format", "markdown", "--summary", summary, state, expect=0).output
    assert output.startswith("### reconcile apply: acted on 2 resources\n")
    assert summary.read_text() == output


def test_the_markdown_of_a_saved_plan_has_its_origin_and_a_section_for_each_resource(sqlite_bench: Bench) -> None:
    state, plan = sqlite_bench.state(STATE), sqlite_bench.folder / "plan.json"
    sqlite_bench.run("plan", state, "--out", plan, expect=2)
    output = sqlite_bench.run("show", plan, "--format", "markdown", expect=0).output
    assert output.startswith("### reconcile plan: nothing to remove\n")
    assert "2 actions for 2 resources" in output
    assert output.count("<details>") == 2
    assert "redefine: no such chain" in output


def test_a_check_is_a_json_line_for_each_state_or_one_report_in_markdown(sqlite_bench: Bench) -> None:
    state = sqlite_bench.state(STATE)
    other = state.with_name("other.toml")
    other.write_text(state.read_text())
    lines = sqlite_bench.run("drift", "--format", "jsonl", state, other, expect=2).output.splitlines()
    assert [len(check("drift", line)["states"]) for line in lines] == [1, 1]
    output = sqlite_bench.run("drift", "--format", "markdown", state, other, expect=2).output
    assert output.startswith("### reconcile drift: 2 of 2 states not in sync\n")
    assert "<details>" in output


@pytest.mark.parametrize("output_format", ["json", "jsonl", "markdown"])
def test_a_program_can_not_be_asked(sqlite_bench: Bench, output_format: str) -> None:
    result = sqlite_bench.run("apply", "--format", output_format, sqlite_bench.state(STATE), expect=64)
    assert f"--format {output_format} needs --yes" in result.output


@pytest.mark.parametrize("command", [("diff",), ("apply", "--yes")])
@pytest.mark.parametrize(("output_format", "schema"), [("json", "error"), ("jsonl", "events")])
def test_errors_are_json_too(sqlite_bench: Bench, command: tuple[str, ...], output_format: str, schema: str) -> None:
    state = sqlite_bench.state(WRONG)
    result = run_apart(sqlite_bench, *command, "--format", output_format, state)
    if command[0] == "apply" and output_format == "json":
        schema = "apply"
    document = check(schema, result.stdout)
    assert document["exit_code"] == 1
    (error,) = document["errors"]
    assert 'unknown key "childeren"; did you mean "children"?' in error["message"]
    assert "error: " in result.stderr


def test_an_apply_that_ends_with_an_error_reports_the_states_before_it(sqlite_bench: Bench) -> None:
    good = sqlite_bench.state(STATE)
    bad = good.with_name("bad.toml")
    bad.write_text(f"{good.read_text()}childeren = []\n")
    document = check("apply", run_apart(sqlite_bench, "apply", "--yes", "--format", "json", good, bad).stdout)
    assert [state["name"] for state in document["states"]] == ["test"]
    assert len(document["errors"]) == 1


@pytest.mark.parametrize(
    ("words", "environment", "coloured"),
    [
        ((), {}, False),  # not a terminal
        ((), {"FORCE_COLOR": "1"}, True),
        ((), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ((), {"FORCE_COLOR": "1", "TERM": "dumb"}, True),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
        (("--color", "never"), {"FORCE_COLOR": "1"}, False),
        (("--color", "auto"), {"FORCE_COLOR": "1"}, True),
    ],
)
@pytest.mark.parametrize("before", [True, False], ids=["before the command", "after it"])
def test_colour_can_be_chosen(
    tmp_path: Path, words: tuple[str, ...], environment: dict[str, str], coloured: bool, before: bool
) -> None:
    history = tmp_path / "journal.jsonl"
    history.write_text(
        '{"run": "r1", "time": "2026-11-22T14:32:00Z", "event": "action ended", "address": "x", "outcome": "failed"}\n'
    )
    command = ["log", "--journal", str(history)]
    line = [*words, *command] if before else [*command, *words]
    clean = {"PATH": "/usr/bin", "HOME": str(tmp_path), **environment}
    made = subprocess.run(
        [sys.executable, "-m", "reconciler", *line], env=clean, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ("\x1b[" in made.stdout) is coloured


def test_variables_of_the_environment_reach_diff_and_apply_and_a_saved_plan(
    sqlite_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = sqlite_bench.state('[vars]\nname = "a"\n[collection."${name}"]\ntype = "RUN"\n')
    monkeypatch.setenv("RECONCILE_VAR_name", "b")
    assert "collection.b" in sqlite_bench.run("diff", state, expect=2).output
    plan = sqlite_bench.folder / "plan.json"
    sqlite_bench.run("diff", state, "--out", plan, expect=2)
    monkeypatch.delenv("RECONCILE_VAR_name")
    assert "collection.b" in sqlite_bench.run("apply", "--yes", plan, expect=0).output
    monkeypatch.setenv("RECONCILE_VAR_name", "c")
    sqlite_bench.run("apply", "--yes", state, expect=0)
    assert {"b", "c"} == set(sqlite_bench.butler.collections.query("*"))
