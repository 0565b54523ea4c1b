"""A file that an operator names is read only if that ends: a pipe that nobody writes to is refused at once."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.cli import main
from reconciler.engine.plan_file import is_plan, load_plan
from reconciler.errors import MissingFile, StateError
from reconciler.files import table
from reconciler.files.text import digest_file, get_file_version, read_text

STATE = '[reconcile]\nversion = 1\n[repository]\nuri = "repo"\n'


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_a_pipe_in_a_folder_is_not_read(pipe: Path) -> None:
    with pytest.raises(StateError, match="pipe: is not a regular file"):
        read_text(pipe)
    with pytest.raises(StateError, match="pipe: is not a regular file"):
        get_file_version(str(pipe))
    with pytest.raises(StateError, match="pipe: is not a regular file"):
        load_plan(pipe)
    with pytest.raises(StateError, match="pipe: is not a regular file"):
        digest_file(pipe)
    assert not is_plan(pipe)


def test_a_pipe_that_somebody_made_among_the_devices_is_not_read() -> None:
    path = Path("/dev/shm") / f"reconcile-{uuid.uuid4().hex}"
    try:
        os.mkfifo(path)
    except OSError:
        pytest.skip("no folder /dev/shm")
    try:
        with pytest.raises(StateError, match="is not a regular file"):
            read_text(path)
    finally:
        path.unlink()


def test_a_table_that_can_not_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, mode: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    path = tmp_path / "t.csv"
    path.write_text("file,htm7\n")
    monkeypatch.setattr(table, "open", refuse, raising=False)
    with pytest.raises(StateError, match=r"t\.csv: can't be read: Permission denied"):
        table.summarize(str(path))


def test_a_missing_file_in_a_folder_that_may_not_be_listed_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(MissingFile):
        read_text(tmp_path / "gone.toml")


@pytest.mark.parametrize("words", [("validate",), ("show",), ("validate", "--var-file")])
def test_a_command_refuses_a_pipe_as_a_file(pipe: Path, words: tuple[str, ...]) -> None:
    state = pipe.with_name("s.toml")
    state.write_text(STATE)
    result = CliRunner().invoke(main, [*words, str(pipe), *([str(state)] if len(words) > 1 else [])])
    assert result.exit_code == 1
    assert result.output == f"error: {pipe}: is not a regular file\n"


def test_standard_input_may_be_a_pipe(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "reconciler", "validate", "/dev/stdin"]
    done = subprocess.run(command, input=STATE, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "/dev/stdin: valid, 1 resource\n"


def test_a_pipe_of_the_shell_may_be_a_var_file(tmp_path: Path) -> None:
    state = tmp_path / "s.toml"
    state.write_text(STATE + "[vars]\nname = 'a'\n")
    line = f"{sys.executable} -m reconciler validate -v {state} --var-file <(echo 'name = \"b\"')"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
    assert 'name = "b"' in done.stdout, done.stderr
