"""The environment of the playground's Rucio server, with pip replaced by a stand-in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from reconciler.playground import rucio_environment
from reconciler.playground.processes import PlaygroundError
from reconciler.playground.rucio_environment import ensure_server_python


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were run; the one that creates an environment leaves an interpreter."""
    found: list[list[str]] = []

    def run(command: list[str]) -> None:
        found.append(command)
        if "venv" in command:
            folder = Path(command[-1]) / "bin"
            folder.mkdir(parents=True)
            (folder / "python").symlink_to(sys.executable)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(rucio_environment, "_run", run)
    return found


def quiet(text: str) -> None:
    """Print nothing."""


def test_the_environment_is_created_once(commands: list[list[str]]) -> None:
    assert ensure_server_python(quiet) == ensure_server_python(quiet)
    assert len(commands) == 2


def test_an_interrupted_creation_is_started_again(commands: list[list[str]]) -> None:
    python = ensure_server_python(quiet)
    (python.parent.parent / "complete").unlink()
    ensure_server_python(quiet)
    assert len(commands) == 4


def test_an_environment_whose_interpreter_was_removed_is_created_again(commands: list[list[str]]) -> None:
    python = ensure_server_python(quiet)
    python.unlink()
    python.symlink_to("/no/such/python")
    assert ensure_server_python(quiet).exists()
    assert len(commands) == 4


@pytest.mark.usefixtures("commands")
def test_a_cache_folder_that_can_not_be_written_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(PlaygroundError, match="file/rubin-reconciler"):
        ensure_server_python(quiet)


def test_the_output_of_a_failed_command_is_shown_without_credentials() -> None:
    script = "import sys; sys.exit('no index at https://me:hunter2@example.org/simple')"
    with pytest.raises(PlaygroundError, match="no index at") as caught:
        rucio_environment._run([sys.executable, "-c", script])
    assert "hunter2" not in str(caught.value)
