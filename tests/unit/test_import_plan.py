"""What is left of an import that was interrupted, while Rucio still delivers the rest; and when butler import may be shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.engine.commands import Command
from reconciler.engine.model import Address, Change, Condition, DifferenceKind, Members
from reconciler.errors import ApplyError
from reconciler.kinds.import_ import ImportDatasets, ImportKind, ImportSpec, ObservedImport, _resets_chains
from reconciler.kinds.shared.export_comparison import ExportParts

EXPORT = """\
description: Butler Data Repository Export
version: 1.0.2
universe_version: 7
universe_namespace: daf_butler
data:
- type: collection
  collection_type: RUN
  name: run
- type: collection
  collection_type: CHAINED
  name: all
  children: [run]
"""
WAITING = (Condition(DifferenceKind.WAITING, "waiting"),)


@pytest.fixture
def spec(tmp_path: Path) -> ImportSpec:
    (tmp_path / "export.yaml").write_text(EXPORT)
    return ImportSpec(export_file=str(tmp_path / "export.yaml"), root="/data")


def plan(spec: ImportSpec, *, chains: Members | None = None, **parts: Members) -> list[ImportDatasets]:
    names = ("datasets", "certifications", "collections", "chains", "dataset types", "tags")
    given = {**parts, "chains": chains or Members("chains", 1, 0, missing=({"collection": "all"},))}
    members = tuple(given.get(name, Members(name, 0, 0)) for name in names)
    parts = ExportParts.from_members(members)
    observed = ObservedImport(spec, members, WAITING if parts.datasets.awaited else (), resets_chains=_resets_chains(spec, parts))
    return list(ImportKind().plan(Change(Address("import", "x"), spec, observed, ())))


def missing(noun: str, *members: dict[str, Any]) -> Members:
    return Members(noun, len(members), 0, missing=members)


def test_what_is_there_is_certified_although_other_datasets_are_waited_for(spec: ImportSpec) -> None:
    range_of_a = {"collection": "calib", "id": "a", "begin": 0, "end": 1}
    (action,) = plan(
        spec,
        datasets=Members("datasets", 2, 1, awaited=({"id": "b"},)),
        certifications=missing("certifications", range_of_a, {**range_of_a, "id": "b"}),
        tags=missing("tags", {"collection": "good", "id": "a"}),
    )
    assert [certification.dataset_id for certification in action.certifications] == ["a"]
    assert [tag.dataset_id for tag in action.tags] == ["a"]
    assert (action.datasets, action.chains) == ((), ("all",))


def test_nothing_is_made_while_all_datasets_are_waited_for(spec: ImportSpec) -> None:
    assert plan(spec, datasets=Members("datasets", 1, 0, awaited=({"id": "b"},)), collections=missing("collections")) == []


@pytest.mark.parametrize(
    ("chains", "shown"),
    [
        (Members("chains", 1, 0, missing=({"collection": "all"},)), True),
        (Members("chains", 1, 1), False),  # butler import would reset its children
        (Members("chains", 0, 0), False),  # another table defines it
    ],
)
def test_butler_import_is_shown_only_if_no_chain_of_the_file_exists_or_has_a_table(
    spec: ImportSpec, chains: Members, shown: bool
) -> None:
    (action,) = plan(spec, chains=chains, datasets=missing("datasets", {"id": "a"}))
    assert any(isinstance(line, Command) for line in ImportKind().commands(action)) is shown


def test_an_export_file_that_changed_since_it_was_compared_is_an_error(spec: ImportSpec) -> None:
    (action,) = plan(spec, datasets=missing("datasets", {"id": "a"}))
    context: Any = None  # it isn't asked
    with pytest.raises(ApplyError, match=r"export.yaml: it was changed while this ran"):
        ImportKind().apply(context, action)
