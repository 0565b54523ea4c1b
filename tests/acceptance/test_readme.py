"""What the README shows is right."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import ROOT

from reconciler.cli import main
from reconciler.engine.registry import discover
from reconciler.state.loader import load

TEXT = (ROOT / "README.md").read_text()


def test_the_state_file_that_it_shows_is_valid_but_for_what_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "readme.toml"
    path.write_text(re.search(r"```toml\n(.*?)```", TEXT, re.DOTALL)[1])  # type: ignore[index]
    assert len(load(path).resources) == 17


def test_it_names_every_kind() -> None:
    assert [name for name in discover() if f"`{name}`" not in TEXT] == []


@pytest.mark.parametrize("line", sorted(set(re.findall(r"reconcile ((?:playground )?\w+)", TEXT))))
def test_every_command_that_it_shows_exists(line: str) -> None:
    words = [word for word in line.split() if word not in ("keeps", "says")]
    if words and words[0] in ("validate", "diff", "apply", "playground"):
        assert CliRunner().invoke(main, [*words, "--help"]).exit_code == 0
