"""The cause of a difference by the memory of earlier checks, the journal and the digests."""

import datetime
from dataclasses import replace
from typing import Any

import pytest
from watch_data import difference, resource, unknown

from reconciler.watch.causes import ResourceMemory, find_cause, is_overdue, worst_cause
from reconciler.watch.check_result import CheckedResource
from reconciler.watch.state_report import Cause

AT = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
IN_SYNC = ResourceMemory(AT, "t", "i", {"raws": (100, 100)})
EDITED = ResourceMemory(AT, "another table", "i", {"raws": (100, 100)})
NEW_INPUT = ResourceMemory(AT, "t", "another input", {"raws": (100, 100)})


def raws(desired: int, present: int) -> CheckedResource:
    return resource(settled=False, members={"raws": (desired, present)})


@pytest.mark.parametrize(
    ("memory", "seen", "kind", "expected"),
    [
        pytest.param(None, raws(100, 90), "make", Cause.UNAPPLIED, id="it was never in sync"),
        pytest.param(IN_SYNC, raws(100, 90), "make", Cause.DRIFTED, id="raws were removed"),
        pytest.param(IN_SYNC, raws(112, 100), "make", Cause.NEW, id="a night was added at the source"),
        pytest.param(IN_SYNC, raws(112, 90), "make", Cause.DRIFTED, id="raws were removed and a night was added"),
        pytest.param(
            replace(IN_SYNC, members={"raws": (100, 112)}),
            raws(120, 110),
            "make",
            Cause.DRIFTED,
            id="a new night was ingested, then lost",
        ),
        pytest.param(EDITED, raws(112, 100), "make", Cause.UNAPPLIED, id="the table was edited"),
        pytest.param(NEW_INPUT, raws(112, 100), "make", Cause.UNAPPLIED, id="an input was edited"),
        pytest.param(IN_SYNC, raws(100, 100), "change", Cause.DRIFTED, id="a key was changed live"),
        pytest.param(IN_SYNC, raws(100, 100), "remove", Cause.DRIFTED, id="somebody added an unwanted member"),
        pytest.param(IN_SYNC, raws(100, 100), "conflict", Cause.DRIFTED, id="the name was taken"),
        pytest.param(None, raws(100, 100), "waiting", Cause.WAITING, id="Rucio is delivering"),
        pytest.param(IN_SYNC, raws(100, 100), "degraded", Cause.DEGRADED, id="a rule is stuck"),
        pytest.param(EDITED, raws(100, 100), "degraded", Cause.DEGRADED, id="a rule is stuck after an edit"),
    ],
)
def test_the_cause_of_a_difference(memory: ResourceMemory | None, seen: CheckedResource, kind: str, expected: Cause) -> None:
    assert find_cause(difference(kind=kind), seen, memory) is expected


def test_a_resource_that_an_apply_of_this_state_left_in_sync_has_drifted_though_no_check_saw_it_in_sync() -> None:
    assert find_cause(difference(), raws(100, 90), None, in_sync_by_journal=True) is Cause.DRIFTED
    assert find_cause(difference(), raws(100, 90), EDITED, in_sync_by_journal=True) is Cause.DRIFTED


def test_the_journal_does_not_hide_that_the_source_grew_since_the_last_check() -> None:
    assert find_cause(difference(), raws(112, 100), IN_SYNC, in_sync_by_journal=True) is Cause.NEW


def test_what_could_not_be_checked_is_unknown_whatever_is_remembered() -> None:
    assert find_cause(unknown(), None, IN_SYNC) is Cause.UNKNOWN


@pytest.mark.parametrize(
    ("causes", "expected"),
    [
        ([Cause.NEW], Cause.NEW),
        ([Cause.WAITING], Cause.WAITING),
        ([Cause.WAITING, Cause.DRIFTED], Cause.DRIFTED),
        ([], Cause.DRIFTED),
        ([Cause.DEGRADED], Cause.DRIFTED),
    ],
)
def test_a_failed_expectation_has_the_cause_of_what_it_counts(causes: list[Cause], expected: Cause) -> None:
    failed = difference("expect.raws", "failed", "count")
    assert find_cause(failed, resource("expect.raws", settled=False), IN_SYNC, causes_of_predecessors=causes) is expected


HOUR = datetime.timedelta(hours=1)


@pytest.mark.parametrize(
    ("cause", "limits", "hours", "expected"),
    [
        (Cause.NEW, {}, 24, False),
        (Cause.NEW, {}, 25, True),
        (Cause.NEW, {"new_after": 3600.0}, 2, True),
        (Cause.NEW, {"new_after": 0.0}, 1, True),
        (Cause.WAITING, {}, 10_000, False),
        (Cause.WAITING, {"deadline": 7200.0}, 2, False),
        (Cause.WAITING, {"deadline": 7200.0}, 3, True),
        (Cause.DRIFTED, {"deadline": 0.0, "new_after": 0.0}, 10_000, False),
    ],
)
def test_what_is_overdue(cause: Cause, limits: dict[str, Any], hours: int, expected: bool) -> None:
    assert is_overdue(cause, resource(**limits), hours * HOUR) is expected


def test_the_worst_of_no_causes_is_none() -> None:
    assert worst_cause([]) is None
    assert worst_cause([Cause.NEW, Cause.DRIFTED, Cause.WAITING]) is Cause.DRIFTED
