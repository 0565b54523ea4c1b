"""An apply of several states ends with the worst of their exit codes, and reports what ran before an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import main
from reconciler.engine.model import Address, Outcome, Status
from reconciler.errors import LockHeld, ReconcileError
from reconciler.report.run import RunReport, report_run
from reconciler.report.summary import PlanSummary

HELD = LockHeld("b.toml is locked: another apply has held it", ("wait for it, or give --lock-timeout",))
REFUSED = ReconcileError("b.toml: too much would be removed")


def run(name: str, exit_code: int) -> RunReport:
    counts = PlanSummary(**dict.fromkeys(PlanSummary.model_fields, 0))
    status = Status.FAILED if exit_code else Status.CHANGED
    outcome = Outcome(Address("chain", name), status, "no space left" if exit_code else "")
    return report_run((f"/{name}.toml", name), counts, [outcome], run="r", seconds=1.0, interrupted=False, exit_code=exit_code)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def apply(monkeypatch: pytest.MonkeyPatch, ends: dict[str, int | ReconcileError], *words: str) -> Result:
    """Apply one state after the other, each of which ends with an exit code or an error."""

    def end(path: Path, *_: object) -> RunReport:
        result = ends[path.stem]
        if isinstance(result, ReconcileError):
            raise result
        return run(path.stem, result)

    monkeypatch.setattr("reconciler.cli.apply._apply", end)
    return CliRunner().invoke(main, ["apply", "--yes", *words, *(f"{name}.toml" for name in ends)])


CASES = [
    pytest.param({"a": 1, "b": HELD}, 1, id="an action failed, and the next lock is held"),
    pytest.param({"a": 0, "b": HELD}, 75, id="the next lock is held"),
    pytest.param({"a": 2, "b": HELD}, 75, id="something is left, and the next lock is held"),
    pytest.param({"b": HELD, "a": 1}, 75, id="the first lock is held, so that the other state was not tried"),
    pytest.param({"a": 0, "b": REFUSED}, 1, id="the next state is refused"),
    pytest.param({"a": 2, "c": 0}, 2, id="something is left"),
]


@pytest.mark.parametrize(("ends", "code"), CASES)
def test_the_exit_code_is_the_worst_of_all_states(
    folder: Path, monkeypatch: pytest.MonkeyPatch, ends: dict[str, int | ReconcileError], code: int
) -> None:
    assert apply(monkeypatch, ends).exit_code == code
    document = apply(monkeypatch, ends, "--format", "json")
    assert (document.exit_code, json.loads(document.stdout)["exit_code"]) == (code, code)
    if "b" in ends:
        event = apply(monkeypatch, ends, "--format", "jsonl")
        assert (event.exit_code, json.loads(event.stdout.splitlines()[-1])["exit_code"]) == (code, code)


@pytest.mark.parametrize("output_format", ["text", "json", "jsonl", "markdown"])
def test_the_error_is_printed_once_and_the_summary_has_what_ran(
    folder: Path, monkeypatch: pytest.MonkeyPatch, output_format: str
) -> None:
    result = apply(monkeypatch, {"a": 1, "b": HELD}, "--format", output_format, "--summary", "s.md")
    assert result.stderr.count("error: b.toml is locked") == 1
    assert result.stderr.count("give --lock-timeout") == 1
    assert result.stdout.count("is locked") == (output_format in ("json", "jsonl"))
    assert "| <code>a</code> |" in (folder / "s.md").read_text()
    assert "no space left" in (folder / "s.md").read_text()


def test_there_is_no_summary_if_nothing_ran(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert apply(monkeypatch, {"b": HELD}, "--summary", "s.md").exit_code == 75
    assert not (folder / "s.md").exists()


def test_a_summary_that_cannot_be_written_hides_no_other_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ReconcileError("the summary can't be written")

    monkeypatch.setattr("reconciler.cli.apply.append_summary", fail)
    result = apply(monkeypatch, {"a": 0, "b": HELD}, "--format", "json", "--summary", "s.md")
    document = json.loads(result.stdout)
    assert [error["message"] for error in document["errors"]] == [HELD.problems[0], "the summary can't be written"]
    assert (result.exit_code, document["exit_code"]) == (1, 1)
    assert result.stderr.count("error: ") == 2
    result = apply(monkeypatch, {"a": 0}, "--format", "json", "--summary", "s.md")
    assert (result.exit_code, json.loads(result.stdout)["exit_code"]) == (1, 1)
