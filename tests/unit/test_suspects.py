"""What a random sample found lost is in the next samples, too."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.engine.journal import state_folder
from reconciler.kinds.shared.suspects import MOST_SUSPECTS, Suspects

DATA_ID = {"instrument": "Cam", "exposure": 7, "detector": 1}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def read(repository: str = "a") -> Suspects:
    context: Any = SimpleNamespace(butler=SimpleNamespace(identity=repository))
    return Suspects.read(context)


def choose(suspects: Suspects, count: int) -> list[str]:
    return suspects.choose([f"d{number}" for number in range(1000)], count, suspects.known.__contains__)


def test_what_was_wrong_is_in_each_sample_until_it_is_right() -> None:
    read().record(["d5", "d6"], {"d5": DATA_ID})
    assert "d5" in choose(read(), 3)
    assert len(choose(read(), 3)) == 3
    assert read().list_exposures() == {("Cam", 7)}
    read().record(["d6", "d7"], {})
    assert "d5" in choose(read(), 1)
    read().record(["d5"], {})
    assert read().known == {}


def test_all_suspects_are_checked_even_if_they_are_more_than_the_sample() -> None:
    read().record([], {f"d{number}": {} for number in range(5)})
    assert sorted(choose(read(), 2)) == [f"d{number}" for number in range(5)]


def test_a_sample_of_few_has_all_of_them() -> None:
    assert sorted(Suspects(Path("x"), {}).choose(["a", "b"], 9, lambda name: False)) == ["a", "b"]


def test_suspects_belong_to_a_repository_and_are_readable_by_their_owner_alone(home: Path) -> None:
    read().record([], {"d5": DATA_ID})
    assert read("b").known == {}
    (path,) = home.rglob("*.json")
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", ["", "[]", '{"d5": 1}', "nonsense"])
def test_a_file_that_has_no_suspects_is_ignored(home: Path, content: str) -> None:
    read().record([], {"d5": DATA_ID})
    (path,) = home.rglob("*.json")
    path.write_text(content)
    assert read().known == {}


def test_the_number_of_suspects_is_limited() -> None:
    read().record([], {f"d{number}": {} for number in range(MOST_SUSPECTS + 5)})
    assert len(read().known) == MOST_SUSPECTS


def test_a_folder_that_can_not_be_written_is_no_error() -> None:
    state_folder().write_text("in the way")
    read().record([], {"d5": DATA_ID})
    assert read().known == {}
