"""Kinds are found in the modules of a package."""

from pathlib import Path

import pytest

from reconciler.engine.registry import load_kinds

MODULE = """
from fakes import FakeKind
KIND = FakeKind({name!r}, order={order})
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / f"kinds_{tmp_path.name.replace('-', '_')}"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "helpers.py").write_text("NOT_A_KIND = 1\n")
    for name, order in (("late", 90), ("zebra", 10), ("ant", 10)):
        (folder / f"of_{name}.py").write_text(MODULE.format(name=name, order=order))
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder.name


def test_kinds_come_in_the_order_of_work_and_then_by_name(package: str) -> None:
    kinds = load_kinds(package)
    assert list(kinds) == ["ant", "zebra", "late"]
    assert [kind.name for kind in kinds.values()] == ["ant", "zebra", "late"]


def test_a_package_is_searched_once(package: str) -> None:
    assert load_kinds(package) is load_kinds(package)
