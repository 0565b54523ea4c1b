"""The journal as lines, of events as they are written."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from reconciler.cli import main
from reconciler.engine.journal import Journal
from reconciler.report.formatting import Line
from reconciler.report.journal import collect_actions, collect_runs, format_actions, format_runs, log_schema


def list_runs(events: list[Mapping[str, Any]]) -> list[Line]:
    return list(format_runs(collect_runs(events)))


def list_actions(events: list[Mapping[str, Any]], run: str | None, address: str | None) -> list[Line]:
    return list(format_actions(collect_actions(events, run, address)))


def event(run: str, what: str, time: str = "T0", **facts: Any) -> Mapping[str, Any]:
    return {"run": run, "event": what, "time": time, **facts}


def begin(run: str, time: str = "T0") -> Mapping[str, Any]:
    return event(run, "begin", time, user="ada", host="lovelace", state="/states/a.toml")


def begins(run: str, time: str, address: str, verb: str, reason: str = "") -> Mapping[str, Any]:
    return event(run, "action begins", time, address=address, verb=verb, reason=reason)


def ended(run: str, time: str, address: str, verb: str, outcome: str, **facts: Any) -> Mapping[str, Any]:
    return event(run, "action ended", time, address=address, verb=verb, outcome=outcome, **facts)


def test_an_empty_journal_is_no_lines() -> None:
    assert list(list_runs([])) == []
    assert list(list_actions([], None, None)) == []


def test_a_run_is_one_line_with_the_number_of_actions_done_and_failed() -> None:
    events = [
        begin("r1", "T1"),
        begins("r1", "T2", "box.a", "make"),
        ended("r1", "T3", "box.a", "make", "done"),
        ended("r1", "T4", "box.b", "make", "already"),
        event("r1", "end", "T5", interrupted=False),
    ]
    assert list(list_runs(events)) == [Line("r1   T1   ada@lovelace   2 done, 0 failed   ended   /states/a.toml")]


def test_a_run_with_a_failed_action_is_red() -> None:
    events = [begin("r1", "T1"), ended("r1", "T2", "box.a", "make", "failed"), event("r1", "end", interrupted=False)]
    assert list(list_runs(events)) == [Line("r1   T1   ada@lovelace   0 done, 1 failed   ended   /states/a.toml", "red")]


def test_runs_are_listed_newest_first_with_how_they_ended_even_if_their_events_are_mixed() -> None:
    events = [
        begin("r1", "T1"),
        begin("r2", "T2"),
        ended("r1", "T3", "box.a", "make", "done"),
        event("r2", "end", "T4", interrupted=True),
    ]
    assert [line.text for line in list_runs(events)] == [
        "r2   T2   ada@lovelace   0 done, 0 failed   interrupted   /states/a.toml",
        "r1   T1   ada@lovelace   1 done, 0 failed   did not end   /states/a.toml",
    ]


def test_an_action_is_one_line_with_the_time_at_which_it_began_its_reason_and_what_it_made() -> None:
    events = [
        begin("r1"),
        begins("r1", "T1", 'raw."a/b"', "ingest", "2 not ingested"),
        ended("r1", "T2", 'raw."a/b"', "ingest", "done", made={"raws": 2, "files": 3}, detail=""),
    ]
    assert list(list_actions(events, None, None)) == [
        Line('T1   r1   raw."a/b"   ingest   done   2 not ingested   2 raws, 3 files')
    ]


def test_a_failed_action_is_red_and_its_line_ends_with_the_error() -> None:
    events = [
        begins("r1", "T1", "box.a", "make", "make it"),
        ended("r1", "T2", "box.a", "make", "failed", made={}, detail="no space left"),
    ]
    assert list(list_actions(events, None, None)) == [Line("T1   r1   box.a   make   failed   make it   no space left", "red")]


def test_an_action_whose_beginning_was_lost_has_the_time_at_which_it_ended() -> None:
    events = [ended("r1", "T2", "box.a", "make", "done", detail="late")]
    assert list(list_actions(events, None, None)) == [Line("T2   r1   box.a   make   done   late")]


def test_an_action_that_never_ended_is_red() -> None:
    events = [
        begins("r1", "T1", "box.a", "make", "make it"),
        begins("r2", "T2", "box.a", "make", "make it"),
        ended("r2", "T3", "box.a", "make", "done"),
    ]
    assert list(list_actions(events, None, None)) == [
        Line("T2   r2   box.a   make   done          make it"),
        Line("T1   r1   box.a   make   never ended   make it", "red"),
    ]


def test_a_line_about_an_action_without_a_reason_does_not_end_in_spaces() -> None:
    events = [
        begins("r1", "T1", "box.a", "make"),
        ended("r1", "T2", "box.a", "make", "done"),
        begins("r1", "T3", "box.b", "make"),
    ]
    assert [line.text for line in list_actions(events, None, None)] == [
        "T3   r1   box.b   make   never ended",
        "T1   r1   box.a   make   done",
    ]


def test_actions_are_chosen_by_run_and_by_a_glob_of_addresses_with_or_without_quotes() -> None:
    events = [
        ended("r1", "T1", 'raw."a/b"', "ingest", "done"),
        ended("r2", "T2", 'raw."a/b"', "ingest", "done"),
        ended("r2", "T3", "box.a", "make", "done"),
        event("r2", "end", "T4"),
    ]

    def times(run: str | None, address: str | None) -> list[str]:
        return [line.text.split()[0] for line in list_actions(events, run, address)]

    assert times(None, None) == ["T3", "T2", "T1"]
    assert times("r2", None) == ["T3", "T2"]
    assert times(None, "raw.*") == ["T2", "T1"]
    assert times("r1", 'raw."a/*"') == ["T1"]
    assert times("r1", "box.*") == []
    assert times(None, "RAW.*") == []


def test_columns_are_aligned() -> None:
    events = [
        ended("r1", "T1", "box.a", "make", "done", detail="x"),
        ended("r1", "T2", "box.long", "redefine", "failed", detail="y"),
    ]
    assert [line.text for line in list_actions(events, None, None)] == [
        "T2   r1   box.long   redefine   failed   y",
        "T1   r1   box.a      make       done     x",
    ]


def test_runs_and_actions_are_chosen_by_time_and_by_state_file(tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    os.symlink("/states/a.toml", link)
    events = [
        begin("r1", "2026-11-24T10:00:00Z"),
        ended("r1", "2026-11-24T10:01:00Z", "box.a", "make", "done"),
        {**begin("r2", "2026-11-25T10:00:00Z"), "state": "/states/b.toml"},
        ended("r2", "2026-11-25T10:01:00Z", "box.a", "make", "done"),
    ]
    since = datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC)
    assert [run.run for run in collect_runs(events, since)] == ["r2"]
    assert [run.run for run in collect_runs(events, state=link)] == ["r1"]
    assert [action.run for action in collect_actions(events, since=since)] == ["r2"]
    assert [action.run for action in collect_actions(events, state=Path("/states/a.toml"))] == ["r1"]
    assert [run.run for run in collect_runs([begin("r1", "yesterday")], since)] == []


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal.jsonl"
    for number in range(3):
        written = Journal(path, f"r{number}")
        written.write("begin", user="ada", host="lovelace", state="/states/a.toml")
        written.write("action begins", address='raw."a/b"', verb="ingest", reason="2 not ingested")
        written.write("action ended", address='raw."a/b"', verb="ingest", outcome="done", made={"raws": 2})
        written.write("end", interrupted=False)
    return path


def run_log(journal: Path, *words: str, expect: int = 0) -> str:
    result = CliRunner().invoke(main, ["log", "--journal", str(journal), *words])
    assert result.exit_code == expect, result.output
    return result.output


def test_a_log_that_is_cut_counts_the_rest(journal: Path) -> None:
    lines = run_log(journal, "-n", "2").splitlines()
    assert [line[:2] for line in lines] == ["r2", "r1", "… "]
    assert lines[-1] == "… and 1 earlier run; -n 0 lists all"
    assert len(run_log(journal, "-n", "0").splitlines()) == 3
    assert "… and 2 earlier actions; -n 0 lists all" in run_log(journal, "-n", "1", "--address", "raw.*")


def test_the_log_of_one_run_lists_all_of_its_actions_unless_a_number_is_given(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    events = [begin("long"), *(begins("long", f"T{number:02}", f"collection.u{number}", "make") for number in range(30))]
    journal.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    assert len(run_log(journal, "--run", "long").splitlines()) == 30
    assert len(run_log(journal, "--run", "long", "--address", "collection.*").splitlines()) == 30
    assert run_log(journal, "--run", "long", "-n", "3").splitlines()[3:] == ["… and 27 earlier actions; -n 0 lists all"]
    assert len(run_log(journal, "--address", "collection.*").splitlines()) == 21


def test_a_run_that_the_journal_does_not_have_is_an_error(journal: Path) -> None:
    assert "error: the journal has no such action" in run_log(journal, "--run", "other", expect=1)


def test_the_log_as_json_is_an_object_that_follows_its_schema(journal: Path) -> None:
    runs = json.loads(run_log(journal, "--format", "json", "-n", "1"))
    jsonschema.validate(runs, log_schema())
    assert (runs["format"], runs["more"], runs["actions"]) == (1, 2, [])
    assert runs["runs"][0] | {"began": "", "ended": ""} == {
        "run": "r2",
        "began": "",
        "ended": "",
        "user": "ada@lovelace",
        "state": "/states/a.toml",
        "butler": None,
        "rucio": None,
        "done": 1,
        "failed": 0,
        "end": "ended",
    }
    actions = json.loads(run_log(journal, "--format", "json", "--address", "raw.*"))
    jsonschema.validate(actions, log_schema())
    first = actions["actions"][0]
    assert (first["address"], first["kind"], first["name"], first["made"]) == ('raw."a/b"', "raw", "a/b", {"raws": 2})


@pytest.mark.parametrize("word", ["1h", "2020-01-01", "2020-01-01T10:00:00Z"])
def test_since_takes_a_duration_a_day_and_a_time(journal: Path, word: str) -> None:
    assert len(run_log(journal, "--since", word).splitlines()) == 3


def test_since_refuses_what_is_no_time_as_a_usage_error(journal: Path) -> None:
    assert '"soon" is not a time; write 2026-11-24, or 7d for 7 days ago' in run_log(journal, "--since", "soon", expect=64)
