"""The files in contrib/ are valid for the programs that read them, and their scripts turn exit codes into results."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

from reconciler.cli import main

CONTRIB = ROOT / "contrib"
CRONTAB = CONTRIB / "crontab"
SERVICE = CONTRIB / "systemd" / "reconcile-drift.service"
CRON_JOB = CONTRIB / "kubernetes" / "cronjob.yaml"
GITLAB = CONTRIB / "gitlab" / "reconcile.gitlab-ci.yml"
GITHUB = CONTRIB / "github" / "reconcile.yml"
LINTERS = {
    "crontab": (["checkcrontab", "--strict", "-U", "{}"], CRONTAB, "17 4", "99 4"),
    "kubernetes": (
        ["kubernetes-validate", "--strict", "{}"],
        CRON_JOB,
        "concurrencyPolicy: Forbid",
        "concurrencyPolicy: [Forbid]",
    ),
    "gitlab": (["check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", "{}"], GITLAB, "when: always", "when: sometimes"),
    "github": (
        ["jactionlint", "--profile=correctness", "--strict-exit", "--no-hints", "--shellcheck=", "{}"],
        GITHUB,
        "github.event_name",
        "github.event_nam",
    ),
}
"""For each file: the linter, and an edit that it must notice."""


def find_program(name: str) -> str:
    program = Path(sys.executable).with_name(name)
    found = str(program) if program.exists() else shutil.which(name)
    install = "apt-get install systemd" if name == "systemd-analyze" else "pip install -e '.[test]'"
    assert found, f"{name} isn't installed; install it with: {install}"
    return found


def lint(words: list[str], file: Path) -> subprocess.CompletedProcess[str]:
    name, *rest = (word.format(file) for word in words)
    return subprocess.run([find_program(name), *rest], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("name", LINTERS)
def test_a_file_is_valid_and_its_linter_notices_a_mistake(name: str, tmp_path: Path) -> None:
    words, file, right, wrong = LINTERS[name]
    done = lint(words, file)
    assert done.returncode == 0, done.stdout
    broken = tmp_path / file.name
    broken.write_text(file.read_text().replace(right, wrong))
    assert lint(words, broken).returncode != 0


def test_the_units_are_valid(tmp_path: Path) -> None:
    verify = ["systemd-analyze", "verify", "--man=no", "{}"]
    for file in SERVICE.parent.iterdir():
        done = lint(verify, file)
        assert (done.returncode, done.stdout) == (0, "")
    broken = tmp_path / SERVICE.name
    broken.write_text(SERVICE.read_text().replace("Type=oneshot", "Type=onesho"))
    assert "onesho" in lint(verify, broken).stdout


def test_the_units_and_the_crontab_line_that_timer_prints_are_valid(tmp_path: Path) -> None:
    state = tmp_path / 'a "$HOME" 100% \\ state.toml'
    shutil.copyfile(ROOT / "tests" / "cases" / "small.toml", state)
    words = ["timer", "--every", "6h", "--history", str(tmp_path / "history.sqlite"), str(state)]
    environment = {**os.environ, "RUCIO_CONFIG": str(tmp_path / "rucio $x 5%.cfg"), "PYTHONPATH": str(ROOT)}
    program = [sys.executable, "-m", "reconciler"]
    printed = subprocess.run([*program, *words], env=environment, text=True, capture_output=True, check=True).stdout
    parts = re.split(r"^# .*\n(?=\[Unit\]|\S+ \S+ \* )", printed, flags=re.MULTILINE)
    (tmp_path / "crontab").write_text(parts[1])
    assert lint(LINTERS["crontab"][0], tmp_path / "crontab").returncode == 0
    for part, kind in zip(parts[2:], ("service", "timer"), strict=True):
        (tmp_path / f"reconcile-drift.{kind}").write_text(part)
        done = lint(["systemd-analyze", "verify", "--man=no", "{}"], tmp_path / f"reconcile-drift.{kind}")
        assert (done.returncode, done.stdout) == (0, "")
    command = parts[1].split("  ", 1)[1].strip().replace(r"\%", "%")
    found = subprocess.run(["/bin/sh", "-c", f"set -- {command}; printf '%s\\n' \"$@\""], capture_output=True, text=True).stdout
    assert found.splitlines()[-1] == str(state)
    assert f"RUCIO_CONFIG={tmp_path}/rucio $x 5%.cfg" in found.splitlines()


def read(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


def run_script(folder: Path, script: str, code: int, *shell: str) -> int:
    """Run a script with a reconcile that ends with an exit code, and other programs that do nothing."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for name, body in (("reconcile", f"echo '### plan'; exit {code}"), ("curl", "exit 0"), ("gh", "exit 0")):
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    return subprocess.run([*shell, "-c", script], cwd=folder, env=environment, capture_output=True).returncode


BASH = ("bash", "-eo", "pipefail")
STEPS = {name: job["steps"] for name, job in read(GITHUB)["jobs"].items()}
SCRIPTS = {
    "kubernetes": (read(CRON_JOB)["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"][0], ("/bin/sh",)),
    "gitlab plan": ("\n".join(read(GITLAB)["reconcile plan"]["script"]), BASH),
    "github plan": (STEPS["plan"][1]["run"], BASH),
    "github drift": (STEPS["drift"][1]["run"], BASH),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_differences_are_no_failure_of_a_job_and_errors_are(name: str, tmp_path: Path) -> None:
    script, shell = SCRIPTS[name]
    assert [run_script(tmp_path, script, code, *shell) for code in (0, 2, 1)] == [0, 0, 1]
    if "plan" not in name:
        assert run_script(tmp_path, script, 75, *shell) == 0
    else:
        assert (tmp_path / "plan.md").read_text() == "### plan\n"


def test_every_option_of_reconcile_in_the_files_exists() -> None:
    text = "\n".join(path.read_text() for path in CONTRIB.rglob("*") if path.is_file() and path.suffix != ".md")
    found = re.findall(r"\breconcile (drift|diff|status)((?: [^\n|>;&']*)?)", text)
    assert {command for command, _ in found} == {"drift", "diff", "status"}
    for command, rest in found:
        known = {option for parameter in main.commands[command].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known


def test_the_page_of_the_folder_names_every_file() -> None:
    page = (CONTRIB / "README.md").read_text()
    files = [path.relative_to(CONTRIB) for path in CONTRIB.rglob("*") if path.is_file()]
    assert [
        str(file) for file in files if str(file) not in page and f"{file.parent}/`" not in page and file.name != "README.md"
    ] == []
