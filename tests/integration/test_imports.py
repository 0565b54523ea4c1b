"""The engine, and the tests of it, work where neither the Butler nor a Rucio client is installed."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent.parent
BLOCK = """
import pkgutil, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("lsst", "rucio"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Block())
"""
ENGINE = """
import importlib
import reconciler.engine

for module in pkgutil.iter_modules(reconciler.engine.__path__):
    importlib.import_module(f"reconciler.engine.{module.name}")
assert "deepdiff" not in sys.modules
"""


def run(code: str) -> None:
    _run("-c", BLOCK + code)


def _run(*words: str, **environment: str) -> None:
    command = [sys.executable, *words]
    result = subprocess.run(command, cwd=TESTS.parent, env=os.environ | environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_engine_imports_no_live_system_and_deepdiff_only_when_needed() -> None:
    run(ENGINE)


def test_the_unit_tests_pass_where_neither_library_is_installed(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCK)  # the processes of pytest-xdist run it, too
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", str(TESTS / "unit")]
    _run(*words, PYTHONPATH=os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]))


VALIDATE = """
sys.argv = ["reconcile", "validate", "state/ccms1.toml"]
import importlib.metadata, os

searches = []
search = importlib.metadata.entry_points
importlib.metadata.entry_points = lambda **group: searches.append(group) or search(**group)
from reconciler.cli.main import main

try:
    main()
except SystemExit as end:
    assert not end.code, end.code
needless = {"reconciler.systems.context", "reconciler.systems.workers", "reconciler.engine.executor", "reconciler.engine.plan"}
needless |= {"multiprocessing", "concurrent.futures.process", "rich", "deepdiff", "sqlalchemy", "asyncio"}
assert not needless & set(sys.modules), needless & set(sys.modules)
assert searches == [{"group": "rubin_reconciler.kinds"}], searches
"""


def test_validate_imports_nothing_that_only_a_live_system_needs_and_searches_for_plugins_once() -> None:
    run(VALIDATE)
