"""Why raws were not ingested: what the commands reported is said, also if the repository can't be read afterwards."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.errors import ApplyError, ObserveError, PartlyApplied
from reconciler.kinds.raw.losses import Losses
from reconciler.kinds.shared.command_batches import run_in_batches
from reconciler.systems.butler.command_failures import ItemFailure
from reconciler.systems.butler.commands import CommandReport

FILES = ("/data/a.fits", "/data/b.fits")


class Butler:
    """A repository without raws, which may be broken."""

    def __init__(self, problem: str = "") -> None:
        self._problem = problem

    def refs(self, *arguments: object) -> list[object]:
        if self._problem:
            raise ObserveError(self._problem, ["Was it removed?"])
        return []

    def paths(self, refs: object) -> dict[str, str]:
        return {}


def report(butler: Butler, reason: str) -> ObserveError | PartlyApplied:
    context: Any = SimpleNamespace(butler=butler, forget=lambda *systems: None)
    losses = Losses(context, "LSSTComCam/raw/all", None, FILES)
    losses.add(FILES, CommandReport(failures=(ItemFailure(reason, FILES),)))
    with pytest.raises((ObserveError, PartlyApplied)) as caught:
        losses.report()
    return caught.value


def test_what_broke_the_repository_is_said_before_what_is_broken_now() -> None:
    error = report(Butler("the registry's tables are missing"), "database or disk is full")
    assert error.problems == ["database or disk is full", "the registry's tables are missing"]
    assert error.hints == ("Was it removed?",)


def test_files_are_not_to_be_removed_where_the_repository_is_broken() -> None:
    error = report(Butler(), "MissingDatabaseTableError: Table 'dataset_tags_00000001' is missing from database schema.")
    assert not any("remove" in hint for hint in error.hints)
    assert any("remove them" in hint for hint in report(Butler(), "OSError: Empty or corrupt FITS file").hints)


def test_a_command_is_given_up_with_what_happened_before_the_registry_could_not_be_used() -> None:
    full, broken = "database or disk is full", "the registry's tables are missing"
    failures = (
        *(ItemFailure(full, exposure="A"), ItemFailure(full, exposure="B")),
        *(ItemFailure(broken, is_outage=True), ItemFailure("later", exposure="C")),
    )
    context: Any = SimpleNamespace(commands=SimpleNamespace(run_partly=lambda *_: [(0, CommandReport(failures=failures))]))
    with pytest.raises(ApplyError) as caught:
        list(run_in_batches(context, [FILES], list))
    assert caught.value.problems == [full, broken]
