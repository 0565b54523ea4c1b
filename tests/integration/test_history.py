"""The history of checks on SQLite: ages, resolutions, renamed files, and everything that can be wrong with the file."""

import datetime
import sqlite3
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from watch_data import CHAIN, RAW, check, difference, night, resource, unknown

from reconciler.watch import migrations
from reconciler.watch.acknowledgements import Acknowledgement, Acknowledgements, fingerprint_of
from reconciler.watch.check_result import CheckResult, FoundDifference
from reconciler.watch.history import History, open_history
from reconciler.watch.latest import read_differences
from reconciler.watch.locations import HistoryError, HistoryLocation
from reconciler.watch.observation import failed_check
from reconciler.watch.state_report import Cause, StateReport, Verdict
from reconciler.watch.tables import VERSION_TABLE, metadata

NO_ACKS = Acknowledgements(Path("acks/ccms1.toml"))


@pytest.fixture
def location(tmp_path: Path) -> HistoryLocation:
    return HistoryLocation(tmp_path / "state" / "history.sqlite")


@pytest.fixture
def history(location: HistoryLocation) -> History:
    return open_history(location)


def record(history: History, found: CheckResult, number: float, acks: Acknowledgements = NO_ACKS) -> StateReport:
    history.begin_run(night(number))
    report = history.record(found, acks, night(number))
    history.end_run(night(number))
    return report


def count_rows(location: HistoryLocation, table: str, where: str = "1 = 1") -> int:
    with sqlite3.connect(str(location.file)) as connection:
        return int(connection.execute(f"select count(*) from reconcile_{table} where {where}").fetchone()[0])


def test_the_history_and_its_folder_are_readable_by_their_owner_alone(location: HistoryLocation, history: History) -> None:
    assert location.file is not None
    assert stat.S_IMODE(location.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(location.file.parent.stat().st_mode) == 0o700


def test_a_difference_gets_older_until_it_is_resolved(history: History, location: HistoryLocation) -> None:
    assert record(history, check(), 0).verdict is Verdict.IN_SYNC
    first = record(history, check(difference()), 1).findings[0]
    assert (first.cause, first.age.days, first.times_seen, first.changed) == (Cause.DRIFTED, 0, 1, True)
    later = record(history, check(difference()), 4).findings[0]
    assert (later.cause, later.age.days, later.times_seen, later.changed) == (Cause.DRIFTED, 3, 2, False)
    end = record(history, check(), 5)
    assert [(gone.address, gone.first_seen, gone.resolution) for gone in end.resolved] == [(RAW, night(1), "in sync")]
    assert (end.verdict, end.previous, end.changed) == (Verdict.IN_SYNC, Verdict.DRIFT, True)
    assert not record(history, check(), 6).changed
    assert count_rows(location, "differences") == 1


def test_a_difference_that_comes_back_starts_again(history: History, location: HistoryLocation) -> None:
    for number, found in enumerate([check(), check(difference()), check(), check(difference())]):
        report = record(history, found, number)
    assert (report.findings[0].first_seen, report.findings[0].times_seen) == (night(3), 1)
    assert count_rows(location, "differences", "resolved is not null") == 1


def test_an_edited_table_makes_a_difference_unapplied_and_an_edit_elsewhere_does_not(history: History) -> None:
    record(history, check(), 0)
    edited = resource(settled=False, table_digest="edited")
    assert record(history, check(difference(), resources=(edited, resource(CHAIN))), 1).findings[0].cause is Cause.UNAPPLIED
    assert record(history, check(difference(), digest="edited elsewhere"), 2).findings[0].cause is Cause.DRIFTED


def test_what_is_unknown_keeps_the_age_of_what_differed_before(history: History) -> None:
    record(history, check(), 0)
    record(history, check(difference()), 1)
    down = record(history, check(unknown()), 2)
    assert (down.verdict, down.resolved, down.exit_code) == (Verdict.UNKNOWN, (), 1)
    again = record(history, check(unknown(text="another message")), 3)
    assert (again.findings[0].times_seen, again.changed) == (2, True), "the second unknown in a row is reported again"
    assert not record(history, check(unknown()), 4).changed
    back = record(history, check(difference()), 5)
    assert [(f.cause, f.age.days) for f in back.findings] == [(Cause.DRIFTED, 4)]
    assert [gone.kind for gone in back.resolved] == ["unknown"]


@pytest.mark.parametrize("repository", ["", "davs://x/ccms1"])
def test_a_state_that_could_not_be_checked_at_all_resolves_nothing(
    history: History, location: HistoryLocation, repository: str
) -> None:
    record(history, check(), 0)
    record(history, check(difference()), 1)
    failed = failed_check(Path("/states/ccms1.toml"), "it can't be planned", repository=repository)
    assert record(history, failed, 2).verdict is Verdict.UNKNOWN
    assert [d.kind for d in read_differences(location)] == ["make", "unknown"]
    back = record(history, check(difference()), 3)
    assert [(gone.address, gone.kind) for gone in back.resolved] == [("", "unknown")]


def test_a_renamed_state_file_keeps_its_history(history: History, tmp_path: Path, location: HistoryLocation) -> None:
    before, after = tmp_path / "old.toml", tmp_path / "new.toml"
    before.touch()
    record(history, check(state=str(before)), 0)
    record(history, check(difference(), state=str(before)), 1)
    before.rename(after)
    renamed = record(history, check(difference(), state=str(after)), 3)
    assert [(f.cause, f.age.days, f.changed) for f in renamed.findings] == [(Cause.DRIFTED, 2, False)]
    assert renamed.previous is Verdict.DRIFT
    assert not renamed.changed
    assert count_rows(location, "differences") == 1


def test_a_difference_of_a_renamed_state_is_resolved_by_the_new_one(history: History, tmp_path: Path) -> None:
    before = tmp_path / "old.toml"
    before.touch()
    record(history, check(difference(), state=str(before)), 0)
    before.unlink()
    assert [gone.address for gone in record(history, check(state=str(tmp_path / "new.toml")), 1).resolved] == [RAW]


@pytest.mark.parametrize("first", ["old", "new"])
def test_a_table_that_moves_to_another_state_keeps_its_history_whichever_is_checked_first(
    history: History, tmp_path: Path, first: str, location: HistoryLocation
) -> None:
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    old.touch()
    new.touch()
    record(history, check(state=str(old)), 0)
    record(history, check(difference(), state=str(old)), 1)
    without = check(state=str(old), addresses=(CHAIN,))
    with_it = check(difference(), state=str(new), addresses=(RAW,))
    for found in (without, with_it) if first == "old" else (with_it, without):
        report = record(history, found, 3)
        if found is with_it:
            moved = report.findings[0]
    assert (moved.cause, moved.first_seen, moved.times_seen) == (Cause.DRIFTED, night(1), 2)
    assert [(d.state, d.address) for d in read_differences(location)] == [(str(new), RAW)]


def test_two_states_of_one_repository_do_not_resolve_the_differences_of_each_other(history: History, tmp_path: Path) -> None:
    states = [tmp_path / "a.toml", tmp_path / "b.toml"]
    for state in states:
        state.touch()
    record(history, check(difference(), state=str(states[0])), 0)
    assert record(history, check(state=str(states[1])), 1).resolved == ()
    assert record(history, check(difference(), state=str(states[0])), 2).findings[0].first_seen == night(0)


def test_the_rate_of_a_delivery_gives_the_time_at_which_it_is_expected_to_end(history: History) -> None:
    waiting = {"kind": "waiting", "field": "", "desired": 100}
    assert record(history, check(difference(**waiting, count=90)), 0).findings[0].expected_at is None
    found = record(history, check(difference(**waiting, count=66)), 1).findings[0]
    assert (found.per_hour, found.expected_at) == (1.0, night(1) + datetime.timedelta(hours=66))


def test_what_rucio_still_delivers_does_not_hide_later_drift(history: History) -> None:
    """A facility that gets a new night every night is never without something that is waited for."""
    members = {"raws": (100, 100)}
    waiting = check(difference(kind="waiting", field=""), resources=(resource(members=members),))
    record(history, waiting, 0)
    lost = check(difference(), resources=(resource(settled=False, members={"raws": (100, 90)}),))
    assert record(history, lost, 1).findings[0].cause is Cause.DRIFTED


def test_members_that_arrived_after_the_last_sync_and_are_gone_have_drifted(history: History) -> None:
    def raws(desired: int, present: int) -> CheckResult:
        found = [difference()] if present < desired else []
        members = {"raws": (desired, present)}
        return check(*found, resources=(resource(settled=not found, members=members), resource(CHAIN)))

    record(history, raws(100, 100), 0)
    assert record(history, raws(150, 140), 1).findings[0].cause is Cause.NEW
    assert record(history, raws(150, 130), 2).findings[0].cause is Cause.DRIFTED


def test_an_acknowledgement_covers_a_difference_until_its_last_day_or_until_the_difference_changes(history: History) -> None:
    found = difference(fingerprint="4 raws")
    until = night(5).date()
    entry = Acknowledgement(address=RAW, reason="lost", until=until, fingerprint=fingerprint_of([found], RAW, None))
    acks = Acknowledgements(Path("acks/ccms1.toml"), (entry,))
    record(history, check(), 0)
    covered = record(history, check(found), 1, acks)
    assert (covered.verdict, covered.exit_code, covered.findings[0].cause) == (Verdict.EXPECTED, 0, Cause.ACKNOWLEDGED)
    assert covered.findings[0].acknowledged_by is not None
    assert covered.findings[0].acknowledged_by.days_left == 4
    other = record(history, check(difference(fingerprint="5 raws")), 2, acks)
    assert (other.findings[0].cause, other.exit_code) == (Cause.DRIFTED, 2)
    assert other.findings[0].explanation == "its acknowledgement ended because the difference changed"
    assert record(history, check(found), 5, acks).verdict is Verdict.EXPECTED, "it holds on its last day"
    over = record(history, check(found), 6, acks)
    assert (over.verdict, over.exit_code) == (Verdict.DRIFT, 1)
    assert over.problems == (
        f"acks/ccms1.toml: {RAW}: the acknowledgement ended on {until}; repair the difference, or acknowledge it again",
    )


def test_what_could_not_be_checked_cannot_be_acknowledged(history: History) -> None:
    acks = Acknowledgements(Path("a"), (Acknowledgement(address=RAW, reason="r", until=night(9).date()),))
    assert record(history, check(unknown()), 0, acks).exit_code == 1


def test_pruning_keeps_what_is_open_and_the_latest_verdict_of_each_state(history: History, location: HistoryLocation) -> None:
    record(history, check(difference()), 0)
    record(history, check(), 1)
    record(history, check(difference()), 2)
    record(history, check(state="/states/other.toml", repository="r"), 0)
    assert history.prune(night(100)) == 2
    assert count_rows(location, "verdicts") == 2
    assert count_rows(location, "differences") == 1
    assert count_rows(location, "runs") == 2
    assert record(history, check(difference()), 101).findings[0].first_seen == night(2)


def test_the_last_full_listing_counts_only_if_everything_could_be_checked(history: History) -> None:
    state = "/states/ccms1.toml"
    assert history.last_deep(state) is None
    record(history, check(deep=True), 0)
    record(history, check(unknown(), deep=True), 1)
    record(history, check(), 2)
    assert history.last_deep(state) == night(0)


def test_a_check_that_fails_to_be_recorded_leaves_nothing_of_itself(
    history: History, location: HistoryLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(history, check(), 0)
    with sqlite3.connect(str(location.file)) as connection:
        connection.execute(
            "create trigger fail before insert on reconcile_verdicts begin select raise(abort, 'database or disk is full'); end"
        )
    with pytest.raises(HistoryError, match="the disk is full"):
        record(history, check(difference()), 1)
    assert count_rows(location, "differences") == 0


def test_the_tables_of_the_newest_version_are_those_that_the_program_uses(history: History) -> None:
    with history._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == migrations.HEAD
    assert ScriptDirectory(str(Path(migrations.__file__).parent)).get_heads() == [migrations.HEAD]


def test_opening_a_history_of_the_newest_version_does_not_use_alembic(
    history: History, location: HistoryLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("alembic was used")

    monkeypatch.setattr("alembic.command.upgrade", fail)
    open_history(location)


def test_a_history_of_a_newer_program_is_refused_and_left_as_it_is(history: History, location: HistoryLocation) -> None:
    with sqlite3.connect(str(location.file)) as connection:
        connection.execute(f"update {VERSION_TABLE} set version_num = '9999'")
    before = location.file.read_bytes() if location.file else b""
    with pytest.raises(HistoryError, match="written by a newer version of reconcile"):
        open_history(location)
    assert location.file is not None
    assert location.file.read_bytes() == before


def test_the_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "other.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("create table bookmarks (url text)")
    before = file.read_bytes()
    with pytest.raises(HistoryError, match=r"is the database of another program \(it has a table bookmarks\)"):
        open_history(HistoryLocation(file))
    assert file.read_bytes() == before


def test_a_file_that_is_not_a_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database, but many words about other things\n" * 100)
    with pytest.raises(HistoryError, match="isn't a SQLite database, or is corrupt"):
        open_history(HistoryLocation(file))
    assert file.read_text().startswith("not a database")


def test_a_corrupt_history_is_reported(history: History, location: HistoryLocation) -> None:
    assert location.file is not None
    record(history, check(difference()), 0)
    content = bytearray(location.file.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    location.file.write_bytes(content)
    with pytest.raises(HistoryError, match="it is corrupt"):
        record(open_history(location), check(), 1)


def test_a_locked_history_is_reported(history: History, location: HistoryLocation) -> None:
    impatient = open_history(location, patience=0.05)
    other = sqlite3.connect(str(location.file), isolation_level=None)
    other.execute("begin exclusive")
    with pytest.raises(HistoryError, match="it is locked by another process"):
        record(impatient, check(), 0)
    other.close()
    record(impatient, check(), 0)


def test_a_full_disk_is_reported_and_what_was_recorded_stays(history: History, location: HistoryLocation) -> None:
    record(history, check(difference()), 0)

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("pragma max_page_count = 1")  # SQLite takes the number of pages that it has, and adds no more

    sa.event.listen(history._engine, "connect", limit)
    many = check(*(difference(field=str(n), text="x" * 500) for n in range(1000)))
    with pytest.raises(HistoryError, match="the disk is full"):
        record(history, many, 1)
    sa.event.remove(history._engine, "connect", limit)
    assert count_rows(location, "verdicts") == count_rows(location, "differences") == 1
    assert record(history, check(difference()), 2).findings[0].first_seen == night(0)


def test_a_history_in_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HistoryError, match=r"can't be used: (Not a directory|File exists)"):
        open_history(HistoryLocation(tmp_path / "file" / "history.sqlite"))


def at(number: float) -> str:
    return night(number).isoformat()


def test_what_an_apply_removed_and_breaks_again_is_a_new_difference(history: History, location: HistoryLocation) -> None:
    record(history, check(difference(kind="change")), 0)
    report = record(history, check(difference(kind="change"), in_sync_by_journal={RAW: at(0.5)}), 1)
    (found,) = report.findings
    assert (found.changed, found.age, found.times_seen) == (True, night(0) - night(0), 1)
    assert [(gone.address, gone.resolution, gone.resolved) for gone in report.resolved] == [(RAW, "in sync", night(0.5))]
    again = record(history, check(difference(kind="change"), in_sync_by_journal={RAW: at(0.5)}), 2)
    assert (again.findings[0].first_seen, again.findings[0].times_seen, again.resolved) == (night(1), 2, ())
    assert count_rows(location, "differences") == 2


def test_an_apply_in_between_does_not_end_what_only_a_deep_check_sees(history: History) -> None:
    record(history, check(difference(kind="blocked"), deep=True), 0)
    report = record(history, check(difference(kind="blocked"), deep=True, in_sync_by_journal={RAW: at(0.5)}), 1)
    assert (report.findings[0].first_seen, report.resolved) == (night(0), ())


def test_a_difference_of_a_ledger_is_resolved_when_its_table_leaves_the_state(history: History) -> None:
    record(history, check(difference(kind="degraded", field="ledger")), 0)
    assert record(history, check(), 1).resolved == ()
    assert [gone.address for gone in record(history, check(addresses=(CHAIN,)), 2).resolved] == [RAW]


def test_a_table_that_left_the_state_and_was_in_sync_since_has_no_old_age(history: History) -> None:
    record(history, check(difference(kind="change")), 0)
    record(history, check(addresses=(CHAIN,)), 1)
    record(history, check(), 2)
    (found,) = record(history, check(difference(kind="change")), 60).findings
    assert found.first_seen == night(60)


def test_what_was_unknown_of_a_file_that_was_renamed_is_resolved(
    history: History, tmp_path: Path, location: HistoryLocation
) -> None:
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    old.write_text("")
    record(history, check(difference(), state=str(old)), 0)
    record(history, failed_check(old, "invalid TOML"), 1)
    old.rename(new)
    record(history, check(state=str(new)), 2)
    assert count_rows(location, "differences", "resolved is null") == 0


def test_what_another_state_could_not_check_is_no_second_time_for_this_one(history: History, tmp_path: Path) -> None:
    states = [tmp_path / "a.toml", tmp_path / "b.toml"]
    for state in states:
        state.touch()
    record(history, check(unknown(), state=str(states[0])), 0)
    (found,) = record(history, check(unknown(), state=str(states[1])), 0.1).findings
    assert found.times_seen == 1


def test_what_two_states_could_not_check_is_open_for_both(history: History, tmp_path: Path, location: HistoryLocation) -> None:
    states = [tmp_path / "a.toml", tmp_path / "b.toml"]
    for state in states:
        state.touch()
        record(history, check(unknown(), state=str(state)), 0)
    assert sorted(found.state for found in read_differences(location)) == [str(state) for state in states]
    record(history, check(state=str(states[1])), 1)
    assert [found.state for found in read_differences(location)] == [str(states[0])]


def test_what_was_unknown_keeps_its_age_when_the_file_is_renamed(history: History, tmp_path: Path) -> None:
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    old.touch()
    record(history, check(difference(address=CHAIN), unknown(), state=str(old)), 0)
    old.rename(new)
    (found,) = [f for f in record(history, check(unknown(), state=str(new)), 3).findings if f.cause is Cause.UNKNOWN]
    assert (found.first_seen, found.times_seen) == (night(0), 2)


def test_what_an_older_history_has_as_unknown_moves_to_its_state(history: History, location: HistoryLocation) -> None:
    record(history, check(unknown()), 0)
    with sqlite3.connect(str(location.file)) as connection:
        connection.execute("update reconcile_differences set repository = 'davs://x/ccms1'")
        connection.execute(f"update {VERSION_TABLE} set version_num = '0002'")
    (found,) = record(open_history(location), check(unknown()), 1).findings
    assert (found.first_seen, found.times_seen) == (night(0), 2)
    assert count_rows(location, "differences") == 1


def test_what_turned_into_something_else_is_not_called_in_sync(history: History) -> None:
    record(history, check(difference(kind="waiting", field="")), 0)
    (gone,) = record(history, check(difference(kind="degraded", field="rules")), 1).resolved
    assert gone.resolution == "now degraded"


def expectation(lacking: int) -> FoundDifference:
    return difference("expect.raws", "failed", "count", lacking=lacking)


COUNTS = resource("expect.raws", settled=False, predecessors=(RAW,), follows_content=True)


@pytest.mark.parametrize(
    ("count", "noun", "lacking", "explained"),
    [
        (9, "raws", 9, True),
        (9, "raws", 1, True),
        (9, "raws", 10, False),
        (9, "raws", 0, False),
        (1, "exposures", 189, True),
        (0, "", 90, True),
    ],
)
def test_a_failed_expectation_is_explained_by_what_is_waited_for_only_if_it_lacks_no_more(
    history: History, count: int, noun: str, lacking: int, explained: bool
) -> None:
    record(history, check(addresses=(RAW, "expect.raws")), 0)
    waiting = difference(kind="waiting", field="", count=count, noun=noun)
    found = check(waiting, expectation(lacking), resources=(resource(RAW, settled=False), COUNTS), addresses=(RAW, "expect.raws"))
    report = record(history, found, 1)
    assert report.findings[1].cause is (Cause.WAITING if explained else Cause.DRIFTED)
    assert report.exit_code == (0 if explained else 2)


def test_a_failed_expectation_has_the_worst_cause_of_a_resource_and_is_overdue_with_it(history: History) -> None:
    raw = resource(RAW, settled=False, members={"raws": (20, 10)}, new_after=3 * 86400.0)
    record(history, check(resources=(resource(RAW, members={"raws": (10, 10)}), COUNTS), addresses=(RAW, "expect.raws")), 0)
    new = difference(kind="make", field="raws", count=5, noun="raws")
    waiting = difference(kind="waiting", field="", count=5, noun="raws")
    found = check(new, waiting, expectation(10), resources=(raw, COUNTS), addresses=(RAW, "expect.raws"))
    record(history, found, 1)
    for day, overdue in ((2.5, False), (4.5, True)):
        last = record(history, found, day).findings[-1]
        assert (last.cause, last.overdue) == (Cause.NEW, overdue)


def test_a_check_lists_all_members_again_while_what_only_that_shows_is_open(history: History) -> None:
    record(history, check(difference(kind="blocked"), deep=True), 0)
    assert history.found_only_by_listing("/states/ccms1.toml")
    record(history, check(deep=True), 1)
    assert not history.found_only_by_listing("/states/ccms1.toml")
    record(history, check(difference(kind="blocked")), 2)
    assert not history.found_only_by_listing("/states/ccms1.toml")
