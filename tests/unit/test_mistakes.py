"""The mistakes that `reconcile validate` finds, and the table of all of them in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from mistakes import NAME, PAGE, Mistake, read_mistakes, shorten, write_table

from reconciler.cli import main

MISTAKES = read_mistakes()
OFFLINE = [mistake for mistake in MISTAKES if mistake.command.startswith("validate")]


@pytest.mark.parametrize("mistake", OFFLINE, ids=lambda mistake: mistake.what)
def test_a_mistake_has_its_message_with_file_and_line_and_its_exit_code(tmp_path: Path, mistake: Mistake) -> None:
    result = CliRunner().invoke(main, [*mistake.command.split(), str(mistake.write(tmp_path))])
    errors = [
        shorten(line.removeprefix("error: "), tmp_path) for line in result.output.splitlines() if line.startswith("error: ")
    ]
    assert errors == mistake.message
    assert result.exit_code == mistake.code


def test_the_documentation_has_the_table_of_all_mistakes() -> None:
    assert write_table(MISTAKES) in PAGE.read_text(), "write it with: python tests/mistakes.py"


def test_every_message_names_file_and_line_and_none_an_exception_of_python() -> None:
    assert len(MISTAKES) >= 40
    for mistake in MISTAKES:
        assert mistake.message, mistake.what
        assert re.search(rf"\b{NAME}:\d+", mistake.message[0]), mistake.what
        assert not re.search(r"\w+(Error|Exception)\b|Traceback", " ".join(mistake.message)), mistake.what
