"""The benchmarks measure a command by itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "scale"))

from measure import Usage, measure, measure_medians

SMALL = [sys.executable, "-c", "pass"]


def allocate(megabytes: int) -> list[str]:
    """Return a command that uses so much memory."""
    return [sys.executable, "-c", f"x = b'x' * {megabytes * 2**20}"]


def test_a_small_command_after_a_large_one_has_the_memory_of_the_small_one(tmp_path: Path) -> None:
    large = measure(allocate(200), {}, tmp_path)
    small = measure(SMALL, {}, tmp_path)
    assert 200 < large.memory < 300
    assert 0 < small.memory < 100


def test_the_memory_of_the_process_that_measures_is_not_counted(tmp_path: Path) -> None:
    content = b"x" * (200 * 2**20)
    assert measure(SMALL, {}, tmp_path).memory < 100
    assert len(content) == 200 * 2**20


def test_the_time_of_a_command_is_measured(tmp_path: Path) -> None:
    assert 0.3 < measure(["sleep", "0.3"], {}, tmp_path).seconds < 10


@pytest.mark.parametrize("command", [[sys.executable, "-c", "print('out of stars'); raise SystemExit(3)"], ["no-such-program"]])
def test_a_command_that_fails_is_an_error_with_its_output(tmp_path: Path, command: list[str]) -> None:
    with pytest.raises(RuntimeError, match=r"out of stars|No such file"):
        measure(command, {}, tmp_path)


def test_an_expected_exit_code_is_a_success_and_variables_reach_the_command(tmp_path: Path) -> None:
    code = "import os; raise SystemExit(int(os.environ['STARS']))"
    measure([sys.executable, "-c", code], {"STARS": "2"}, tmp_path, (0, 2))


def test_commands_take_turns_and_the_median_of_each_is_returned() -> None:
    order: list[str] = []

    def run(name: str, values: list[float]) -> Usage:
        order.append(name)
        return Usage(values[order.count(name) - 1], 10 * values[order.count(name) - 1])

    found = measure_medians(3, {"a": lambda: run("a", [1, 9, 2]), "b": lambda: run("b", [5, 5, 4])})
    assert found == {"a": Usage(2, 20), "b": Usage(5, 50)}
    assert order == ["a", "b"] * 3
