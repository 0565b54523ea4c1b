"""Installing the project into an existing environment changes none of its packages."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

ENVIRONMENTS = sorted((ROOT / "tests" / "envs").glob("*.txt"))
FACILITY = ("lsst-daf-butler", "lsst-pipe-base")
"""Packages of a facility's stack, in addition to those that its environment pins."""


def run(*words: object) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("extra", ["", "[register,parsl,playground]"])
def test_installing_the_project_changes_no_package_of_rubin_env(tmp_path: Path, extra: str) -> None:
    pins = ROOT / "tests" / "envs" / "rubin-env-12.txt"
    run(sys.executable, "-m", "venv", tmp_path / "env")
    python = tmp_path / "env" / "bin" / "python"
    install = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*install, "-r", pins, *FACILITY)
    before = set(run(python, "-m", "pip", "freeze").splitlines())
    run(*install, f"{ROOT}{extra}")
    after = set(run(python, "-m", "pip", "freeze").splitlines())
    assert before - after == set()
    assert len(before) > 20
    run(python, "-c", "import reconciler.cli, deepdiff, rucio.client")


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_each_environment_names_its_python_versions(path: Path) -> None:
    assert re.search(r"^# python: 3\.\d+( 3\.\d+)*$", path.read_text(), re.MULTILINE)


def test_the_rucio_server_is_not_a_dependency_of_the_project() -> None:
    assert "rucio>=" not in (ROOT / "pyproject.toml").read_text()
