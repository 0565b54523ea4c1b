"""The last lines of an apply agree with its journal, and with what was done."""

import json
import re
from pathlib import Path

from fakes import FakeContext, FakeKind, FakeSpec, Recorder, Thing, address, fail, make_plan, make_state

from reconciler.engine.executor import Executor
from reconciler.engine.journal import Journal
from reconciler.engine.model import Condition, DifferenceKind, Outcome, Status
from reconciler.report.apply_summary import summarize_run

RECAP = re.compile(r"(?P<counts>(?:\w+ [\d,]+ +)+)acted on (?P<acted>[\d,]+) resources?   (?P<time>.+?)       run (?P<run>\S+)")


def a_mixed_run() -> list[Outcome]:
    """Execute a plan in which each status occurs."""
    tables = {
        "box.fine": FakeSpec(),
        "box.broken": FakeSpec(),
        "box.made": FakeSpec(members=("x",)),
        "box.held": FakeSpec(requires=("box.broken",)),
        "box.late": FakeSpec(),
        "box.stuck": FakeSpec(value=1),
    }
    kind = FakeKind()
    kind.things |= {"fine": Thing(), "late": Thing(), "stuck": Thing()}
    kind.conditions["late"] = (Condition(DifferenceKind.WAITING, "1 file to come"),)
    kind.conditions["stuck"] = (Condition(DifferenceKind.DEGRADED, "stuck for 3 d"),)
    kind.script = [fail("no space left")]
    state, context = make_state(tables, kind), FakeContext()
    return Executor(make_plan(state, context), context, Recorder()).run()


def test_the_recap_and_the_journal_agree(tmp_path: Path) -> None:
    outcomes = a_mixed_run()
    journal = Journal(tmp_path / "journal.jsonl", run="r1")
    journal.end(outcomes, interrupted=False)
    recorded = json.loads(journal.path.read_text())
    recap = RECAP.fullmatch(next(iter(summarize_run(outcomes, 2.0, "r1"))).text)
    assert recap is not None
    shown = {word: int(count) for word, count in re.findall(r"(\w+) ([\d,]+)", recap["counts"])}
    assert shown == {str(status): recorded["counts"].get(status, 0) for status in Status}
    assert shown == {"ok": 1, "changed": 1, "waiting": 1, "degraded": 1, "blocked": 1, "failed": 1}
    assert int(recap["acted"]) == recorded["acted"] == 3  # one of them in vain, and one is still degraded
    assert sum(shown.values()) == len(outcomes)


def test_what_is_not_done_is_listed_with_its_reason() -> None:
    lines = [line.text for line in summarize_run(a_mixed_run(), 2.0, "r1")]
    assert lines[1:] == [
        "Failed: box.broken: no space left",
        "Blocked: box.held: needs box.broken, which failed",
        "Waiting: box.late: 1 file to come",
        "Degraded: box.stuck: stuck for 3 d",
        "Run again, or use --wait, for what is waiting.",
    ]


def test_the_journal_lists_the_same_resources_as_left(tmp_path: Path) -> None:
    outcomes = a_mixed_run()
    journal = Journal(tmp_path / "journal.jsonl", run="r1")
    journal.end(outcomes, interrupted=False)
    left = [item["address"] for item in json.loads(journal.path.read_text())["left"]]
    assert left == ["box.broken", "box.held", "box.late", "box.stuck"]
    assert str(address("box.made")) not in left
