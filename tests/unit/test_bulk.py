"""Bulk work is cut into chunks, without splitting what belongs together."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.systems import bulk
from reconciler.systems.bulk import pack_into_chunks, split_into_chunks
from reconciler.systems.butler.commands import CommandReport
from reconciler.systems.context import Context


@given(st.lists(st.lists(st.integers(), min_size=1, max_size=9), max_size=60), st.integers(1, 5), st.integers(1, 40))
def test_packing_keeps_groups_and_order_and_fills_chunks(groups: list[list[int]], width: int, most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "CHUNK", most)
        chunks = pack_into_chunks(groups, width)
        total = sum(map(len, groups))
        assert [group for chunk in chunks for group in chunk] == groups
        assert len(chunks) <= max(len(split_into_chunks(range(total), width)), 0)
        for chunk in chunks:
            assert sum(map(len, chunk[:-1])) < most, "a chunk is larger than allowed by a part of its last group only"


def test_work_for_two_workers_makes_two_chunks() -> None:
    assert pack_into_chunks([[1] * 9, [2] * 9, [3] * 9], 2) == [[[1] * 9, [2] * 9], [[3] * 9]]


def test_commands_that_end_in_another_order_are_not_interrupted_after_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    context = Context()
    monkeypatch.setattr(Context, "butler", SimpleNamespace(collections=dict, many_writers=True))
    monkeypatch.setattr("reconciler.systems.butler.write_definitions.complete_runs", lambda butler, runs: None)
    reports = [(1, CommandReport()), (0, CommandReport())]
    monkeypatch.setattr(context.workers, "each", lambda *arguments, **options: iter(reports))
    ended = []
    for number, _ in context.commands.run_partly([["a"], ["b"]]):
        ended.append(number)
        if len(ended) == 2:
            context.cancellation.requested = lambda: True
    assert ended == [1, 0]
