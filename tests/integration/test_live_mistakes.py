"""Each mistake of the table in the documentation has its message, with file and line, and its exit code."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from conftest import Bench
from mistakes import NAME, Mistake, read_mistakes, shorten

LIVE = [mistake for mistake in read_mistakes() if mistake.command.startswith("diff")]
BENCHES = {"": "empty_bench", "butler": "sqlite_bench", "comcam": "sqlite_comcam", "rucio": "rucio_bench"}


@pytest.fixture
def sqlite_comcam(empty_bench: Bench, comcam_template: Path) -> Bench:
    """A bench whose repository on SQLite has the instrument registered."""
    shutil.copytree(comcam_template, empty_bench.repo)
    return empty_bench


@pytest.mark.parametrize("mistake", LIVE, ids=lambda mistake: mistake.what)
def test_a_mistake_that_live_systems_reveal_has_its_message(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, mistake: Mistake
) -> None:
    bench: Bench = request.getfixturevalue(BENCHES[mistake.world])
    monkeypatch.chdir(bench.folder)
    path = mistake.write(bench.folder)
    result = bench.run(*mistake.command.split(), path)
    shown = [shorten(line, bench.folder) for line in result.output.splitlines()]
    text = " ".join(line.removeprefix("error: ") for line in shown)
    for line in mistake.message:
        assert line in text, result.output
    assert result.exit_code == mistake.code
    assert not re.search(r"\w+(Error|Exception)\b|Traceback", result.output)
    assert re.search(rf"{NAME}:\d+", result.output)
