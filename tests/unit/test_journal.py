"""The journal has a line for each event, cuts what is long and keeps what is secret out."""

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeAction, address
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine import journal as module
from reconciler.engine.journal import (
    LONGEST_LIST,
    Journal,
    digest,
    read_journal,
    shorten,
    state_folder,
)
from reconciler.engine.model import Outcome, Status
from reconciler.errors import ApplyError, StateError
from reconciler.private_files import open_private_file
from reconciler.version import __version__

A = address("box.a")
WORDS = st.text("abcü:", max_size=5)
ACTION = FakeAction(address=A, verb="add", reason="add 2", members=("x", "y"))
TIMES = ("2026-11-24T12:00:00.000Z", "2026-11-24T12:00:01.000Z", "2026-11-24T12:00:02.000Z", "2026-11-24T12:00:03.000Z")


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    times = iter(TIMES * 9)
    monkeypatch.setattr(module, "timestamp", lambda: next(times))
    return Journal(tmp_path / "state" / "runs" / "journal.jsonl", "20261124T120000-ab12")


def lines(journal: Journal) -> list[dict[str, Any]]:
    return [json.loads(line) for line in journal.path.read_text().splitlines()]


def test_each_event_is_a_line_with_its_run_and_time(journal: Journal) -> None:
    journal.write("first", number=1)
    journal.write("second", texts=["a"])
    assert lines(journal) == [
        {"run": "20261124T120000-ab12", "time": TIMES[0], "event": "first", "number": 1},
        {"run": "20261124T120000-ab12", "time": TIMES[1], "event": "second", "texts": ["a"]},
    ]


def test_a_journal_is_appended_to(journal: Journal) -> None:
    journal.write("first")
    Journal(journal.path, "other").write("second")
    assert [line["run"] for line in lines(journal)] == ["20261124T120000-ab12", "other"]


def test_a_journal_is_readable_by_its_owner_alone(journal: Journal) -> None:
    umask = os.umask(0)
    try:
        journal.write("first")
    finally:
        os.umask(umask)
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.path.parent.stat().st_mode) == 0o700


def test_a_journal_that_others_could_read_is_closed_to_them(journal: Journal) -> None:
    journal.path.parent.mkdir(parents=True, exist_ok=True)
    journal.path.touch(0o644)
    journal.path.chmod(0o644)
    journal.write("begin")
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


def test_values_that_are_no_json_are_written_as_text(journal: Journal) -> None:
    journal.write("first", path=Path("/x"))
    assert lines(journal)[0]["path"] == "/x"


def test_a_run_has_a_name_of_its_own() -> None:
    first, second = Journal(Path("j")), Journal(Path("j"))
    assert first.run != second.run
    date, _, token = first.run.partition("-")
    assert (len(date), date[8], len(token)) == (15, "T", 4)


def test_a_journal_that_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ApplyError, match=r"the journal .*/file/journal can't be written: ") as caught:
        Journal(tmp_path / "file" / "journal").write("first")
    assert caught.value.hints == ("choose another file with --journal",)
    with pytest.raises(ApplyError, match="Is a directory"):
        Journal(tmp_path).write("first")


def test_a_full_disk_is_an_error() -> None:
    """Linux has a device that is always full."""
    with pytest.raises(ApplyError, match="the journal /dev/full can't be written: No space left on device"):
        Journal(Path("/dev/full")).write("first")


def test_an_event_that_is_written_in_part_is_completed(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write may be short, for instance when a signal arrives or the disk is almost full."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:10]))
    journal.write("first")
    assert lines(journal)[0]["event"] == "first"


def test_no_file_stays_open(journal: Journal) -> None:
    before = os.listdir("/proc/self/fd")
    journal.write("first")
    assert os.listdir("/proc/self/fd") == before


def test_the_beginning_of_a_run_says_who_runs_what_where(journal: Journal) -> None:
    journal.begin(state="/s.toml", actions=3)
    (line,) = lines(journal)
    assert line["event"] == "begin"
    assert line["version"] == __version__
    assert line["pid"] == str(os.getpid())
    assert {"user", "host", "since"} <= set(line)
    assert (line["state"], line["actions"]) == ("/s.toml", 3)


def test_an_action_is_recorded_before_and_after(journal: Journal) -> None:
    journal.action_begins(ACTION)
    journal.action_ended(ACTION, "failed", {"members": 1}, "one file is bad")
    begin, end = lines(journal)
    assert begin == {
        "run": journal.run,
        "time": TIMES[1],
        "event": "action begins",
        "address": "box.a",
        "verb": "add",
        "reason": "add 2",
        "args": {"value": 0, "members": ["x", "y"]},
    }
    assert end == {
        "run": journal.run,
        "time": TIMES[2],
        "event": "action ended",
        "address": "box.a",
        "verb": "add",
        "outcome": "failed",
        "made": {"members": 1},
        "detail": "one file is bad",
        "began": TIMES[0],
    }


def test_an_action_that_never_began_has_no_time_and_no_detail(journal: Journal) -> None:
    journal.action_ended(ACTION, "done", {})
    assert (lines(journal)[0]["began"], lines(journal)[0]["detail"]) == ("", "")


def test_the_end_of_a_run_counts_outcomes_and_names_what_is_left(journal: Journal) -> None:
    outcomes = [
        Outcome(A, Status.OK),
        Outcome(A, Status.CHANGED, "", 1),
        Outcome(address("box.b"), Status.OK),
        Outcome(address("box.c/d"), Status.FAILED, "no space left"),
        Outcome(address("box.e"), Status.WAITING, "1 file to come", 1),
    ]
    journal.end(outcomes, interrupted=True)
    (line,) = lines(journal)
    assert line["event"] == "end"
    assert line["counts"] == {"ok": 2, "changed": 1, "failed": 1, "waiting": 1}
    assert line["acted"] == 2
    assert line["left"] == [
        {"address": 'box."c/d"', "state": "failed", "detail": "no space left"},
        {"address": "box.e", "state": "waiting", "detail": "1 file to come"},
    ]
    assert line["interrupted"] is True


def test_a_long_list_is_written_as_its_beginning_and_digest() -> None:
    numbers = list(range(LONGEST_LIST + 1))
    assert shorten({"ids": numbers}) == {"ids": {"count": LONGEST_LIST + 1, "first": [0, 1, 2], "sha256": digest(numbers)}}
    assert shorten(tuple(numbers))["count"] == LONGEST_LIST + 1
    assert shorten(numbers[:-1]) == numbers[:-1]


def test_nested_lists_are_cut_too() -> None:
    long = list(range(50))
    found = shorten([[long], {"deep": (long,)}])
    assert found[0][0]["count"] == found[1]["deep"][0]["count"] == 50
    assert shorten([[long]] * 30)["first"][0][0]["count"] == 50


def test_credentials_are_left_out_at_any_depth() -> None:
    secret = "postgresql://user:hunter2@host/db"
    assert "hunter2" not in json.dumps(shorten({"a": [secret], "b": {"c": secret}, "d": [secret] * 30}))


@pytest.mark.parametrize("value", [None, True, 3, 1.5, "text", [], {}])
def test_short_values_are_written_as_they_are(value: Any) -> None:
    assert shorten(value) == value
    assert type(shorten(value)) is type(value)


@given(st.dictionaries(WORDS, st.integers() | st.lists(WORDS)))
def test_a_digest_does_not_depend_on_the_order_of_keys(document: dict[str, Any]) -> None:
    assert digest(dict(reversed(document.items()))) == digest(document)
    assert digest({**document, "one more": 1}) != digest(document)


def test_a_digest_is_the_sha256_of_json() -> None:
    assert digest({"b": 1, "a": Path("x")}) == hashlib.sha256(b'{"a": "x", "b": 1}').hexdigest()


def test_what_was_written_can_be_read(journal: Journal) -> None:
    journal.write("first", text="ü\u2028\n")
    journal.write("second")
    assert [event["event"] for event in read_journal(journal.path)] == ["first", "second"]
    assert next(iter(read_journal(journal.path)))["text"] == "ü\u2028\n"


def test_lines_that_are_cut_or_of_something_else_are_skipped(journal: Journal) -> None:
    journal.write("first")
    with journal.path.open("ab") as stream:
        stream.write(b'{"run": "x", "ev\n[1]\n{"run": "x"}\n{"event": "x"}\n"run event"\n\n\xff\xfe\n')
    journal.write("second")
    with journal.path.open("ab") as stream:
        stream.write(b'{"run": "20261124T120000-ab12", "event": "thi')
    assert [event["event"] for event in read_journal(journal.path)] == ["first", "second"]


def test_an_event_after_a_line_that_a_crash_cut_is_read(journal: Journal) -> None:
    journal.write("first", made={"run": "inner", "event": "inner"})
    with journal.path.open("ab") as stream:
        stream.write(b'{"run": "x", "time": "2026", "event": "sec')
    journal.write("third", text='{"run": "quoted"}')
    assert [event["event"] for event in read_journal(journal.path)] == ["first", "third"]


def test_a_journal_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"there is no journal at .*gone"):
        list(read_journal(tmp_path / "gone"))


def test_files_about_runs_are_kept_where_the_desktop_standard_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder() == tmp_path / "rubin-reconciler"


def test_a_private_file_replaces_another_one_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")
    path.chmod(0o644)
    with open_private_file(path) as stream:
        stream.write("né")
        stream.flush()
        assert path.read_text() == "old"
        (fresh,) = [found for found in tmp_path.iterdir() if found != path]
        assert stat.S_IMODE(fresh.stat().st_mode) == 0o600
    assert path.read_bytes() == "né".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_private_file_that_is_not_finished_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")

    def write_half() -> None:
        with open_private_file(path) as stream:
            stream.write("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_a_crash_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    (tmp_path / f".plan.json.{os.getpid()}").write_text("a longer text of before")
    with open_private_file(path) as stream:
        stream.write("new")
    assert path.read_text() == "new"


def test_a_private_file_takes_neither_rights_nor_targets_from_what_is_there(tmp_path: Path) -> None:
    """In a folder that others may write to, somebody may have put a file or a link there."""
    path, fresh, victim = tmp_path / "plan.json", tmp_path / f".plan.json.{os.getpid()}", tmp_path / "victim"
    fresh.touch(0o644)
    with open_private_file(path) as stream:
        stream.write("new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    victim.write_text("untouched")
    fresh.symlink_to(victim)
    with open_private_file(path) as stream:
        stream.write("newer")
    assert (path.read_text(), victim.read_text(), path.is_symlink()) == ("newer", "untouched", False)
