"""The installed wheel: its types, its commands in ``butler``, and a kind and a report format of another package."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT, Bench
from filelock import FileLock

from reconciler.playground.world import OBSERVATORY

CASES = ROOT / "tests" / "cases"
PLUGIN = CASES / "plugin_package"
OFFLINE = ("--no-deps", "--no-index", "--quiet", "--disable-pip-version-check")
BUTLER = "import sys\nfrom lsst.daf.butler.cli.butler import main\nsys.exit(main())\n"
MARKER = '[marker."facility/moved"]\ntext = "moved to the new storage"\n[chain.all]\nchildren = ["facility/moved"]\n'


@dataclass
class Installation:
    """A virtual environment with the wheels of the project and of the plugin; it sees the libraries of the tests' environment."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "venv" / "bin" / "python"

    @property
    def wheel(self) -> Path:
        return next((self.folder / "wheels").glob("rubin_reconciler-*.whl"))

    def create(self) -> None:
        def pip(*words: object) -> None:
            subprocess.run([sys.executable, "-m", "pip", *map(str, words)], check=True, cwd=self.folder)

        self.folder.mkdir()
        pip("wheel", *OFFLINE, "--no-build-isolation", "--wheel-dir", self.folder / "wheels", ROOT, PLUGIN)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.folder / "venv"], check=True)
        pip("--python", self.python, "install", *OFFLINE, *(self.folder / "wheels").glob("*.whl"))
        site = next((self.folder / "venv" / "lib").glob("*/site-packages"))
        libraries = [path for path in sys.path if path.endswith("site-packages")]
        (site / "libraries.pth").write_text("".join(f"{path}\n" for path in libraries))
        (self.folder / "butler").write_text(BUTLER)

    def run(self, bench: Bench, *words: object, **environment: str | None) -> subprocess.CompletedProcess[str]:
        """Run the Python of the installation in the folder of a bench; `None` removes a variable."""
        changed = {**bench.environment, "PYTHONPATH": None, **environment}
        kept = {name: value for name, value in os.environ.items() if name not in changed}
        given = {name: value for name, value in changed.items() if value is not None}
        return subprocess.run(
            [str(self.python), *map(str, words)], capture_output=True, text=True, env=kept | given, cwd=bench.folder
        )

    def reconcile(self, bench: Bench, *words: object, expect: int) -> str:
        done = self.run(bench, "-m", "reconciler", *words)
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stderr if expect in (1, 64) else done.stdout

    def butler(self, bench: Bench, *words: object, expect: int, plugins: str | None = None) -> str:
        done = self.run(bench, self.folder / "butler", "reconcile", *words, DAF_BUTLER_PLUGINS=plugins)
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stderr if expect in (1, 64) else done.stdout


@pytest.fixture(scope="session")
def installation(worlds: Path) -> Installation:
    found = Installation(worlds / "installation")
    with FileLock(worlds / "installation.lock"):
        if not found.folder.exists():
            found.create()
    return found


def test_the_program_runs_from_the_wheel_and_not_from_the_checkout(installation: Installation, sqlite_bench: Bench) -> None:
    code = "import reconciler; print(reconciler.__file__)"
    assert installation.run(sqlite_bench, "-c", code).stdout.startswith(str(installation.folder))


def test_the_wheel_has_the_marker_of_typed_packages_and_the_entry_points(installation: Installation) -> None:
    with zipfile.ZipFile(installation.wheel) as wheel:
        names = wheel.namelist()
        (entry_points,) = (wheel.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert "reconciler/py.typed" in names
    assert "[butler.cli]\nreconcile = reconciler.cli.butler_plugin:get_commands" in entry_points
    assert "[console_scripts]\nreconcile = reconciler.__main__:run" in entry_points


# ---------------------------------------------------------------------------------------- subcommands of butler


@pytest.mark.parametrize("plugins", [None, str(OBSERVATORY / "butler-plugins.yaml"), "/none/of/this.yaml"])
def test_butler_reconcile_validates_whatever_daf_butler_plugins_contains(
    installation: Installation, sqlite_bench: Bench, plugins: str | None
) -> None:
    state = sqlite_bench.state('[collection.a]\ntype = "RUN"\n')
    assert "valid, 2 resources" in installation.butler(sqlite_bench, "validate", state, expect=0, plugins=plugins)


def test_butler_reconcile_has_the_exit_codes_of_reconcile(installation: Installation, sqlite_bench: Bench) -> None:
    state = sqlite_bench.state('[collection.a]\ntype = "RUN"\n')
    assert "1 of 2 resources differs" in installation.butler(sqlite_bench, "diff", state, expect=2)
    assert "changed 1" in installation.butler(sqlite_bench, "apply", state, "--yes", expect=0)
    assert "is in sync" in installation.butler(sqlite_bench, "diff", state, expect=0)
    assert "1 done, 0 failed" in installation.butler(sqlite_bench, "log", expect=0)
    state.write_text(state.read_text().replace("RUN", "RUNS"))
    assert '"RUNS" is not one of' in installation.butler(sqlite_bench, "validate", state, expect=1)


def test_butler_reconcile_shows_a_traceback_only_with_debug(installation: Installation, sqlite_bench: Bench) -> None:
    assert "Traceback" not in installation.butler(sqlite_bench, "diff", "none.toml", expect=1)
    assert "Traceback" in installation.butler(sqlite_bench, "--debug", "diff", "none.toml", expect=1)


def test_the_help_of_butler_lists_reconcile_and_that_of_reconcile_shows_how_to_call_it(
    installation: Installation, sqlite_bench: Bench
) -> None:
    listed = installation.run(sqlite_bench, installation.folder / "butler", "--help", DAF_BUTLER_PLUGINS=None)
    assert "\n  reconcile " in listed.stdout
    assert "query-datasets" in listed.stdout
    assert "Could not import" not in listed.stderr
    assert "Usage: butler reconcile diff [OPTIONS]" in installation.butler(sqlite_bench, "diff", "--help", expect=0)


# ------------------------------------------------------------------------------- kinds and formats of packages


def test_a_kind_of_another_package_is_validated_compared_and_applied(installation: Installation, sqlite_bench: Bench) -> None:
    state = sqlite_bench.state(MARKER)
    assert "valid, 3 resources" in installation.reconcile(sqlite_bench, "validate", state, expect=0)
    assert 'marker."facility/moved"' in installation.reconcile(sqlite_bench, "diff", state, expect=2)
    script = installation.reconcile(sqlite_bench, "diff", state, "--format", "shell", expect=2)
    assert "set-marker \"$REPO\" facility/moved 'moved to the new storage'" in script
    assert "changed 2" in installation.reconcile(sqlite_bench, "apply", state, "--yes", expect=0)
    assert sqlite_bench.butler.registry.getCollectionDocumentation("facility/moved") == "moved to the new storage"
    assert "is in sync" in installation.reconcile(sqlite_bench, "diff", state, expect=0)
    assert "changed 0" in installation.reconcile(sqlite_bench, "apply", state, "--yes", expect=0)
    state.write_text(state.read_text().replace("new storage", "newest storage"))
    assert "text" in installation.reconcile(sqlite_bench, "diff", state, expect=2)

    assert "changed 1" in installation.reconcile(sqlite_bench, "apply", state, "--yes", expect=0)


def test_a_saved_plan_with_a_kind_of_another_package_is_applied(installation: Installation, sqlite_bench: Bench) -> None:
    state = sqlite_bench.state(MARKER)
    installation.reconcile(sqlite_bench, "diff", state, "--out", "plan.json", expect=2)
    assert "changed 2" in installation.reconcile(sqlite_bench, "apply", "plan.json", "--yes", expect=0)


def test_mistakes_in_a_table_of_another_package_are_reported_with_their_lines(
    installation: Installation, sqlite_bench: Bench
) -> None:
    state = sqlite_bench.state('[marker.a]\ntxt = "x"\n[markr.b]\n')
    error = installation.reconcile(sqlite_bench, "validate", state, expect=1)
    assert 'test.toml:6: marker.a: unknown key "txt"; did you mean "text"?' in error
    assert 'unknown table "markr"; did you mean "marker"?' in error
    state = sqlite_bench.state('[marker.a]\ntext = " "\n')
    assert "test.toml:5: marker.a: text: must not be empty" in installation.reconcile(sqlite_bench, "validate", state, expect=1)


def test_the_schema_for_editors_describes_the_tables_of_other_packages(installation: Installation, sqlite_bench: Bench) -> None:
    code = "import reconciler; print(*reconciler.state_schema(plugins={})['properties'])"
    assert "marker" in installation.run(sqlite_bench, "-c", code.format(True)).stdout.split()
    assert "marker" not in installation.run(sqlite_bench, "-c", code.format(False)).stdout.split()


def test_a_report_format_of_another_package_gets_the_diffs_of_all_states(installation: Installation, sqlite_bench: Bench) -> None:
    one = sqlite_bench.state(MARKER, "one.toml")
    two = sqlite_bench.state('[collection.b]\ntype = "RUN"\n', "two.toml")
    output = installation.reconcile(sqlite_bench, "diff", one, two, "--format", "csv", expect=2)
    assert output.splitlines() == [
        "state,address,key,difference,members",
        f'{one},"marker.""facility/moved""",,make,0',
        f"{one},chain.all,,make,0",
        f"{two},collection.b,,make,0",
    ]


def test_an_unknown_format_is_an_error_that_lists_those_of_other_packages(
    installation: Installation, sqlite_bench: Bench
) -> None:
    error = installation.reconcile(sqlite_bench, "diff", "x.toml", "--format", "cvs", expect=64)
    assert '"cvs" is not one of text, json, jsonl, markdown, shell, csv; did you mean "csv"?' in error


@pytest.fixture
def broken_package(installation: Installation, tmp_path: Path) -> Iterator[Path]:
    """A package that defines the kind `marker`, too, and a kind and a format whose modules don't exist."""
    info = tmp_path / "packages" / "rubin_broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rubin-broken\nVersion: 1.0\n")
    kinds = "[rubin_reconciler.kinds]\nmarker = broken:KIND\ndoor = broken:KIND\nchain = broken:KIND\n"
    (info / "entry_points.txt").write_text(f"{kinds}[rubin_reconciler.formats]\nhtml = broken:write\n")
    return info.parent


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("door", 'door: the table "door" of rubin-broken 1.0 can\'t be loaded: ModuleNotFoundError: No module named'),
        ("marker", 'marker: the table "marker" is defined by rubin-broken 1.0 and by rubin-markers 0.3; uninstall one'),
        ("chain", 'chain: the table "chain" is built in, and rubin-broken 1.0 defines it too; uninstall rubin-broken'),
    ],
)
def test_a_package_that_does_not_work_is_named_where_its_table_is_used(
    installation: Installation, sqlite_bench: Bench, broken_package: Path, table: str, message: str
) -> None:
    state = sqlite_bench.state(f"[{table}.a]\n")
    done = installation.run(sqlite_bench, "-m", "reconciler", "validate", state, PYTHONPATH=str(broken_package))
    assert done.returncode == 1
    assert f"error: test.toml:5: {message}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_package_that_does_not_work_affects_only_what_needs_it(
    installation: Installation, sqlite_bench: Bench, broken_package: Path
) -> None:
    state = sqlite_bench.state('[collection.a]\ntype = "RUN"\n')
    path = {"PYTHONPATH": str(broken_package)}
    assert installation.run(sqlite_bench, "-m", "reconciler", "diff", state, "--format", "csv", **path).returncode == 2
    failed = installation.run(sqlite_bench, "-m", "reconciler", "diff", state, "--format", "html", **path)
    assert failed.returncode == 1
    assert 'error: the report format "html" of rubin-broken 1.0 can\'t be loaded: ModuleNotFoundError' in failed.stderr


# ---------------------------------------------------------------------------------------------------------- types


WRONG = "from reconciler import nothing, open_session\n\nopen_session(3).plan(only=4).entries[0].adress\n"


def test_mypy_accepts_programs_that_use_the_installed_wheel_and_finds_the_mistakes_in_a_wrong_one(
    installation: Installation, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(WRONG)
    # As a user calls it, with a configuration that contains nothing of this project.
    words = ["--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}", f"--python-executable={installation.python}"]
    programs = [CASES / "user_program" / "nightly.py", PLUGIN / "src" / "rubin_markers", wrong]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *words, *map(str, programs)], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    found = [line.partition(": error: ")[::2] for line in done.stdout.splitlines()[:-1]]
    assert sorted((where, text.rpartition(" [")[2]) for where, text in found) == [
        ("wrong.py:1", "attr-defined]"),
        ("wrong.py:3", "arg-type]"),
        ("wrong.py:3", "arg-type]"),
        ("wrong.py:3", "attr-defined]"),
    ], done.stdout + done.stderr
