"""A rucio.cfg that can't be read: reported with its path and line, and without what it contains."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from reconciler.cli import main
from reconciler.errors import ObserveError
from reconciler.systems.rucio.connection import RucioConnection, RucioConnectionSettings

SECRET = "hunter2hunter2"
HEAD = b"[client]\nrucio_host = http://127.0.0.1:9\n"
INVALID = {
    "no section": (f"rucio_pass = {SECRET}\n".encode() + HEAD, "rucio.cfg:1: "),
    "a key twice": (HEAD + f"password = {SECRET}\npassword = {SECRET}\n".encode(), "rucio.cfg:4: "),
    "a section twice": (HEAD + HEAD, "rucio.cfg:3: "),
    "no key": (HEAD + f"{SECRET}\n".encode(), "rucio.cfg:3: "),
    "no text": (b"\xff\xfe" + HEAD, "rucio.cfg: is not UTF-8 text"),
}


@pytest.fixture(params=INVALID)
def invalid(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """An invalid rucio.cfg, and the beginning of the message about it."""
    content, problem = INVALID[request.param]
    path = tmp_path / "rucio.cfg"
    path.write_bytes(content)
    return path, problem


def test_an_invalid_configuration_is_reported_with_its_line_and_without_what_it_contains(invalid: tuple[Path, str]) -> None:
    path, problem = invalid
    connection = RucioConnection(RucioConnectionSettings(str(path)))
    with pytest.raises(ObserveError) as caught:
        connection.connect()
    assert f"{path.parent}/{problem}" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_the_address_of_a_server_with_an_invalid_configuration_is_a_phrase(invalid: tuple[Path, str]) -> None:
    assert RucioConnection(RucioConnectionSettings(str(invalid[0]))).place() == "the address in rucio.cfg"


@pytest.mark.parametrize("home", ["RUCIO_HOME", "VIRTUAL_ENV", "CONDA_PREFIX"])
def test_the_address_is_that_of_the_file_that_the_client_would_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    for name in ("RUCIO_CONFIG", "RUCIO_HOME", "VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "rucio.cfg").write_bytes(HEAD)
    monkeypatch.setenv(home, str(tmp_path))
    connection = RucioConnection(RucioConnectionSettings())
    assert connection.place() == "http://127.0.0.1:9"
    connection._client = SimpleNamespace(host="http://127.0.0.1:9/")
    assert connection.place() == "http://127.0.0.1:9"


@pytest.mark.parametrize("command", [["diff"], ["apply", "--yes"], ["doctor"]], ids=" ".join)
def test_no_command_takes_an_invalid_configuration_for_a_bug(
    invalid: tuple[Path, str], command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    state = tmp_path / "s.toml"
    state.write_text('[reconcile]\nversion = 1\n[rucio]\nconfig = "rucio.cfg"\n[rucio_dataset."a:b"]\nopen = true\n')
    result = CliRunner().invoke(main, [*command, str(state)])
    assert result.exit_code == 1
    assert invalid[1] in result.output
    assert "bug" not in result.output
    assert SECRET not in result.output
