"""Shell completion: commands, options, addresses and globs, in bash as it is, and without slow imports."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.cli import main
from reconciler.state.address_names import list_plain_addresses
from reconciler.state.loader import load

ROOT = Path(__file__).parents[2]
STATE = """
[reconcile]
version = 1
[vars]
me = "u/me"
[repository]
uri = "repo"
create = true
[rucio]
rse = "X"
[collection."${me}/night{1..2}"]
type = "RUN"
[chain.all]
children = ["${me}/night1", "${unknown}"]
[rucio_dataset."raw:Dataset/a"]
[rucio_dataset."raw:Dataset/b c"]
"""


@pytest.mark.parametrize("path", ["state/ccms1.toml", "tests/cases/small.toml"])
def test_the_addresses_are_those_of_the_loaded_state(path: str) -> None:
    loaded = [address.plain for address in load(ROOT / path).resources]
    assert sorted(list_plain_addresses(ROOT / path)) == sorted(loaded)


def test_variables_and_braces_in_keys_are_expanded_and_mistakes_ignored(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(STATE)
    assert list_plain_addresses(file) == [
        *("repository", "collection.u/me/night1", "collection.u/me/night2", "chain.all"),
        *("rucio_dataset.raw:Dataset/a", "rucio_dataset.raw:Dataset/b c"),
    ]
    assert list_plain_addresses(file, {"me": "x"})[1] == "collection.x/night1"
    file.write_text("no toml")
    assert list_plain_addresses(file) == list_plain_addresses(tmp_path) == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one state file, and a program reconcile."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "one.toml").write_text(STATE)
    (tmp_path / "other.toml").write_text(STATE.replace("chain.all", "chain.other"))
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "reconcile"
    code = "import sys\nfrom reconciler.cli import main\ntry: main()\nfinally:\n"
    code += "    slow = {'pydantic', 'jsonschema', 'lsst', 'rucio', 'rich'} & set(sys.modules)\n    assert not slow, slow\n"
    program.write_text(f"#!{sys.executable}\n{code}")
    program.chmod(0o700)
    return tmp_path


def complete(folder: Path, line: str) -> list[str]:
    """Return what bash completes at the end of a line."""
    script = CliRunner().invoke(main, ["completion", "bash"]).output
    call = f'{script}\nCOMP_LINE="$1" COMP_POINT=${{#1}}\n_reconcile_completion reconcile\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", call, "bash", line], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert "Traceback" not in done.stderr
    return done.stdout.split("\n")[:-1]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("reconcile expl", ["explain"]),
        ("reconcile diff --on", ["--only"]),
        ("reconcile diff --only ch", [r"chain.\*", "chain.all"]),
        ("reconcile diff other.toml --only chain.", [r"chain.\*", "chain.other"]),
        ("reconcile diff --only 'chain.a", ["chain.all"]),
        ("reconcile explain other.toml chain.", ["chain.other"]),
        ("reconcile explain ot", ["other.toml"]),
        ("reconcile explain sta", ["state/"]),
        ("reconcile explain rucio_dataset.raw:Data", ["Dataset/a", r"Dataset/b\ c"]),
        ("reconcile explain 'rucio_dataset.raw:Dataset/a", ["rucio_dataset.raw:Dataset/a"]),
        ("reconcile list state/o", ["state/one.toml"]),
        ("reconcile help ra", ["raw", "raw_zip"]),
        ("reconcile help _", [""]),
        ("reconcile log --address coll", [r"collection.\*", "collection.u/me/night1", "collection.u/me/night2"]),
        ("reconcile explain no", [""]),
    ],
)
def test_bash_completes(folder: Path, line: str, expected: list[str]) -> None:
    assert complete(folder, line) == expected


def test_of_very_many_addresses_only_globs_are_offered_until_a_kind_is_typed(folder: Path) -> None:
    (folder / "state" / "one.toml").write_text('[collection."a{1..200}"]\n')
    assert complete(folder, "reconcile diff --only c") == [r"collection.\*"]
    assert len(complete(folder, "reconcile diff --only collection.a19")) == 11


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_calls_the_program(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert "_RECONCILE_COMPLETE" in result.output
    assert "reconcile" in result.output


def test_another_shell_is_a_usage_error() -> None:
    assert CliRunner().invoke(main, ["completion", "tcsh"]).exit_code == 64
