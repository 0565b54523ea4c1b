"""The journal as lines, of events as they are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.report.formatting import Line
from reconciler.report.journal import list_actions, list_runs


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


def test_runs_are_listed_oldest_first_with_how_they_ended_even_if_their_events_are_mixed() -> None:
    events = [
        begin("r1", "T1"),
        begin("r2", "T2"),
        ended("r1", "T3", "box.a", "make", "done"),
        event("r2", "end", "T4", interrupted=True),
    ]
    assert [line.text for line in list_runs(events)] == [
        "r1   T1   ada@lovelace   1 done, 0 failed   did not end   /states/a.toml",
        "r2   T2   ada@lovelace   0 done, 0 failed   interrupted   /states/a.toml",
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


def test_an_action_that_never_ended_is_red_and_comes_last() -> None:
    events = [
        begins("r1", "T1", "box.a", "make", "make it"),
        begins("r2", "T2", "box.a", "make", "make it"),
        ended("r2", "T3", "box.a", "make", "done"),
    ]
    assert list(list_actions(events, None, None)) == [
        Line("T2   r2   box.a   make   done   make it"),
        Line("T1   r1   box.a   make   never ended   make it", "red"),
    ]


def test_a_line_about_an_action_without_a_reason_does_not_end_in_spaces() -> None:
    events = [
        begins("r1", "T1", "box.a", "make"),
        ended("r1", "T2", "box.a", "make", "done"),
        begins("r1", "T3", "box.b", "make"),
    ]
    assert [line.text for line in list_actions(events, None, None)] == [
        "T1   r1   box.a   make   done",
        "T3   r1   box.b   make   never ended",
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

    assert times(None, None) == ["T1", "T2", "T3"]
    assert times("r2", None) == ["T2", "T3"]
    assert times(None, "raw.*") == ["T1", "T2"]
    assert times("r1", 'raw."a/*"') == ["T1"]
    assert times("r1", "box.*") == []
    assert times(None, "RAW.*") == []
